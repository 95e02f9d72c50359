"""How a matrix product or convolution is spread over the tiles: in how many passes, with how much memory."""

from __future__ import annotations

import math
from bisect import bisect_left

from ..cost.graph import Work
from ..workload import Precision
from .kinds import Machine

PRODUCT_KINDS = frozenset({"matmul", "conv"})


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


def piece_bytes(work: Work, precision: Precision, machine: Machine, passes: int = 1) -> int:
    """What is spread for one of `passes` equal pieces of a product: its planning temporaries. 0 for other ops."""
    if work.kind not in PRODUCT_KINDS:
        return 0
    return spread_bytes(work.forward_flops // 2 // passes, work.forward_bytes // passes, precision, machine.tiles)


def passes(work: Work, precision: Precision, machine: Machine, proportion: float, parts: int = 1) -> int:
    """In how many pieces a product is made: `parts` that the program asks for, each cut further until its temporaries
    are at most the available memory `proportion` of the IPU.

    The proportion is what PopLibs' planner may use (graphcore/poptorch:python/ops.py, `set_available_memory`); it
    splits a product serially where one pass needs more. A piece of 1/s needs s^(-2/3) of the memory, or less.
    """
    limit = proportion * machine.capacity_bytes

    def within(cuts: int) -> bool:
        return piece_bytes(work, precision, machine, parts * cuts) <= limit

    if within(1):
        return parts
    ratio = piece_bytes(work, precision, machine, parts) / limit
    enough = range(math.ceil(math.pow(ratio, 1.5)) + 2)
    return parts * bisect_left(enough, True, lo=2, key=within)
