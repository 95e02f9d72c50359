"""Memory that is live only while a unit runs: activations beside what is saved, and temporaries of products."""

from __future__ import annotations

from collections.abc import Callable

from ..cost.graph import UnitCost, Work
from ..workload import Mode, Workload
from .kinds import Machine
from .products import piece_bytes

PassesOf = Callable[[Work], int]
"""Pieces in which a product is made, one after the other."""


def transient_bytes(
    unit: UnitCost,
    workload: Workload,
    machine: Machine,
    *,
    passes: PassesOf,
    gradient_bytes: int = 0,
) -> int:
    """Most bytes beside the saved activations while `unit` runs: what is alive while an op runs, and the op's planning
    temporaries. In training, where saved activations are counted apart, also the largest weight gradient, which exists
    whole before it is accumulated, beside any op that runs backward.
    """

    def temporaries(work: Work) -> int:
        return piece_bytes(work, workload.precision, machine, passes(work))

    forward = max((w.forward_live_bytes + temporaries(w) for w in unit.work), default=0)
    if workload.mode is Mode.INFERENCE:
        return max(forward, unit.forward_peak_bytes)
    backward = max((w.backward_live_bytes + temporaries(w) for w in unit.work if w.backward_bytes), default=0)
    return max(0, max(forward, backward + gradient_bytes, unit.forward_peak_bytes) - unit.saved_bytes)
