"""What a stage costs, in double precision; ``judge`` has the rules."""

from __future__ import annotations

from collections.abc import Sequence

from .blocks import Blocks


def load_us(blocks: Blocks, pool: int, chosen: Sequence[int]) -> float:
    """Time of a device of the pool that holds the blocks; infinite where one cannot run there."""
    devices, held = blocks.pools[pool], set(chosen)
    work = float(sum(devices.work_us[block] for block in chosen))
    if not devices.pays:
        return work
    return work + sum(price for touched, price in blocks.tensors if _in_part(touched, held))


def lacks(blocks: Blocks, pool: int, chosen: Sequence[int]) -> int:
    """Units of bytes that it lacks, 0 where the blocks fit."""
    capacity, held = blocks.pools[pool].capacity, set(chosen)
    if capacity is None:
        return 0
    shared = sum(size for touched, size in blocks.groups if not held.isdisjoint(touched))
    return max(0, int(blocks.bytes[list(chosen)].sum()) + shared - capacity)


def _in_part(touched: tuple[int, ...], held: set[int]) -> bool:
    return 0 < sum(block in held for block in touched) < len(touched)
