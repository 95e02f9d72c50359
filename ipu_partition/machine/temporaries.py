"""Memory that is live only while a unit runs: operands of an op beside what is saved, and matmul temporaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..cost.graph import UnitCost, Work
from ..workload import Mode, Precision, Workload
from .constants import MemoryModel
from .kinds import Machine

PRODUCT_KINDS = frozenset({"matmul", "conv"})

PartsOf = Callable[[Work], int]
"""Pieces in which a product is made one after the other (serialisation of its weight); usually 1."""


def spread_bytes(macs: int, operand_bytes: int, precision: Precision, tiles: int) -> int:
    """Bytes that all tiles together receive and hold for a matrix product of `macs` multiply-adds.

    A product of sizes A = t k, B = k n, C = t n is cut into `tiles` blocks p_t p_k p_n. Every tile holds its block of
    each operand and of the partial result: A p_n + B p_t + C p_k in all, whose least value is
    3 (tiles A B C)^(1/3). In bytes A B C = width^2 x partial width x macs^2, whatever the shape (and for batched
    products too). It never exceeds (tiles)^(1/3) x (A + B + C), which bounds convolutions, whose operands are
    smaller than their unfolded form. Partials are 2 bytes with half partials, else 4.
    """
    width, partial = precision.float_bytes, 2 if precision.half_partials else 4
    best = 3.0 * (float(tiles) * width * width * partial * float(macs) ** 2) ** (1 / 3)
    bound = (tiles * partial / width) ** (1 / 3) * operand_bytes
    return int(min(best, bound))


def matmul_temporaries(
    work: Work, workload: Workload, machine: Machine, model: MemoryModel, proportion: float, parts: int = 1
) -> int:
    """Planning temporaries of one product: what it wants, at most the available memory `proportion` of the IPU.

    The proportion is what PopLibs' planner may use (graphcore/poptorch:python/ops.py, `set_available_memory`).
    """
    if work.kind not in PRODUCT_KINDS:
        return 0
    macs, operands = work.forward_flops // 2 // parts, work.forward_bytes // parts
    wanted = model.temporary_factor * spread_bytes(macs, operands, workload.precision, machine.tiles)
    return int(min(wanted, proportion * machine.capacity_bytes))


def transient_bytes(
    unit: UnitCost,
    workload: Workload,
    machine: Machine,
    model: MemoryModel,
    *,
    proportion: float,
    gradient_bytes: int = 0,
    parts: PartsOf = lambda work: 1,
) -> int:
    """Most bytes beside the saved activations while `unit` runs.

    Inference: the forward peak, or a product's activations with its temporaries. Training, where saved activations
    are counted apart: the forward peak beyond them, the peak of activation gradients, or a product's activation
    gradients with its temporaries and the largest weight gradient, which exists whole before it is accumulated.
    """
    training = workload.mode is Mode.TRAINING
    forward = max(0, unit.forward_peak_bytes - unit.saved_bytes) if training else unit.forward_peak_bytes
    backward = unit.backward_peak_bytes if training else 0
    gradient = gradient_bytes if training else 0
    return max(
        forward, backward, gradient, *_products(unit.work, workload, machine, model, proportion, gradient, parts), 0
    )


def _products(
    works: Iterable[Work],
    workload: Workload,
    machine: Machine,
    model: MemoryModel,
    proportion: float,
    gradient: int,
    parts: PartsOf,
) -> list[int]:
    return [
        w.forward_bytes
        - w.weight_bytes
        + gradient
        + matmul_temporaries(w, workload, machine, model, proportion, parts(w))
        for w in works
        if w.kind in PRODUCT_KINDS
    ]
