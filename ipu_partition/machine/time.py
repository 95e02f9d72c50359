"""Predicted microseconds of the work of a unit.

A program on an IPU alternates compute and exchange and does not overlap them (bulk synchronous), so one op takes

    overhead + max(flops / (efficiency x peak), bytes / bandwidth) + exchanged bytes / exchange bandwidth

where exchange is counted for matrix products and convolutions: the blocks of operands that every tile receives
(:func:`.products.spread_bytes`). That is what makes short sequences slow: flops grow with the square of what
bytes grow with.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..cost.graph import ParameterCost, UnitCost, Work
from ..workload import Precision
from .constants import TimeModel
from .kinds import Machine
from .products import PRODUCT_KINDS, piece_bytes
from .temporaries import PassesOf


def overhead_us(machine: Machine, model: TimeModel) -> float:
    """Fixed microseconds of one op: a number of cycles, so a faster clock shortens it."""
    return model.op_overhead_cycles / machine.clock_hz * 1e6


def _once(_: Work) -> int:
    return 1


def forward_us(work: Work, precision: Precision, machine: Machine, model: TimeModel, passes: int = 1) -> float:
    """One op forward, made in `passes` pieces."""
    products = 1 if work.kind in PRODUCT_KINDS else 0
    return _op_us(work, work.forward_flops, work.forward_bytes, products, precision, machine, model, passes)


def backward_us(work: Work, precision: Precision, machine: Machine, model: TimeModel, passes: int = 1) -> float:
    """One op backward: as many products as its backward FLOPs hold forward ones (two, or one where an operand needs
    no gradient). 0.0 where nothing flows back."""
    if not work.backward_flops and not work.backward_bytes:
        return 0.0
    dense = work.kind in PRODUCT_KINDS and work.forward_flops
    products = round(work.backward_flops / work.forward_flops) if dense else 0
    return _op_us(work, work.backward_flops, work.backward_bytes, products, precision, machine, model, passes)


def _op_us(
    work: Work,
    flops: int,
    traffic: int,
    products: int,
    precision: Precision,
    machine: Machine,
    model: TimeModel,
    passes: int,
) -> float:
    rate = model.matmul_efficiency * machine.peak_flops_per_s(precision.float_bytes)
    share = {"loss": model.loss_share}.get(work.kind, 1.0 if products else model.elementwise_share)
    busy = max(flops / rate, traffic / (share * machine.sram_bytes_per_s))
    pieces = products * passes
    received = pieces * piece_bytes(work, precision, machine, passes)
    return max(1, pieces) * overhead_us(machine, model) + (busy + received / machine.exchange_bytes_per_s) * 1e6


def unit_forward_us(
    unit: UnitCost, precision: Precision, machine: Machine, model: TimeModel, passes: PassesOf = _once
) -> float:
    """All work of the unit forward."""
    return sum(w.count * forward_us(w, precision, machine, model, passes(w)) for w in unit.work)


def unit_backward_us(
    unit: UnitCost, precision: Precision, machine: Machine, model: TimeModel, passes: PassesOf = _once
) -> float:
    """All work of the unit backward, without the recomputation of its forward pass and without accumulation."""
    return sum(w.count * backward_us(w, precision, machine, model, passes(w)) for w in unit.work)


def accumulate_us(
    parameters: Iterable[ParameterCost], precision: Precision, machine: Machine, model: TimeModel
) -> float:
    """Adding the gradients of one micro-batch to the accumulators: two reads and a write, an op per parameter."""
    bandwidth = model.elementwise_share * machine.sram_bytes_per_s
    return sum(
        overhead_us(machine, model) + 3 * p.elements * precision.float_bytes / bandwidth * 1e6
        for p in parameters
        if p.trainable
    )


def copy_us_per_byte(machine: Machine) -> float:
    """Of a copy between two IPUs. Copies come after compute and do not overlap with it
    (graphcore/popart:docs/notes/transforms/pipelining.md)."""
    return 1e6 / machine.link_bytes_per_s
