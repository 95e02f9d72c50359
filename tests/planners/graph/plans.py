"""Every plan of blocks, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from planners.graph.blocks import Blocks
from planners.graph.precedence import topological
from planners.graph.race import Stages

Device = tuple[int, int]
"""(pool, which of it)."""


def plans(blocks: Blocks) -> Iterator[Stages]:
    """All that there are, whether they fit or not; of those that differ in nothing but their order, one."""
    free = [(pool, index) for pool, devices in enumerate(blocks.pools) for index in range(len(devices.devices))]
    for home in _homes(blocks, free, []):
        used = sorted(set(home))
        number = {device: index for index, device in enumerate(used)}
        pairs = {(number[home[a]], number[home[b]]) for a, b in blocks.before if home[a] != home[b]}
        order = [used[index] for index in topological(len(used), sorted(pairs))]
        if len(order) == len(used):
            yield tuple((d[0], tuple(b for b, place in enumerate(home) if place == d)) for d in order)


def _homes(blocks: Blocks, free: list[Device], home: list[Device]) -> Iterator[list[Device]]:
    if len(home) == len(blocks.members):
        yield home
        return
    for pool, index in free:
        first = index == 0 or (pool, index - 1) in home
        if first and blocks.pools[pool].work_us[len(home)] != float("inf"):
            home.append((pool, index))
            yield from _homes(blocks, free, home)
            home.pop()
