"""Fewer blocks: those without work that some best plan keeps with a neighbour, or anywhere.

*Idle* blocks take no time on any pool and cannot matter to memory: they have no bytes, or any device holds everything.

1. An idle block in no tensor is left out. It can be with the latest of what it needs.
2. Idle blocks that each need (or are each needed by) ``hub`` alone, such that a tensor touches them and the hub and
   nothing else, join the hub where their tensors that do not touch it cost no more than that one. Put them where the
   hub is: each device that held any of them, and the hub's, saves that tensor's price and pays the others' at most.
3. So does an idle block all of whose tensors touch its hub: they become whole on more devices, and split on none.

Each step leaves a problem with the same best value, so they may follow each other in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .contraction import Contraction

if TYPE_CHECKING:
    from ..graph.blocks import Blocks

Stages = list[tuple[int, list[int]]]


class Reduction:
    """``blocks`` is what is left of ``original``, numbered anew."""

    def __init__(self, original: Blocks) -> None:
        self._original = _roomy(original) if _fits_anywhere(original) else original
        self._graph = Contraction(self._original)
        while self._pass():
            pass
        self._members, self.blocks = self._graph.blocks()

    def _pass(self) -> bool:
        """Whether any block was left out or joined another."""
        graph, before = self._graph, len(self._graph.members)
        for block in sorted(graph.idle):
            if not graph.tensors_of[block] and len(graph.members) > 1:
                graph.leave_out(block)
                continue
            hub = next((hub for hub in graph.hubs(block) if graph.price_apart([block], hub) == 0), None)
            if hub is not None:
                graph.join([block], hub)
        for tensor in sorted(graph.touched):
            touched = sorted(graph.touched.get(tensor, ()))
            for hub in touched:
                rest = [block for block in touched if block != hub]
                if self._may_join(rest, hub) and graph.price_apart(rest, hub) <= graph.price[tensor]:
                    graph.join(rest, hub)
                    break
        return len(graph.members) < before

    def _may_join(self, moved: Sequence[int], hub: int) -> bool:
        return self._graph.idle.issuperset(moved) and all(hub in self._graph.hubs(block) for block in moved)

    def expand(self, stages: Sequence[tuple[int, Iterable[int]]]) -> Stages:
        """The plan for the original blocks."""
        found: Stages = [(pool, [b for block in blocks for b in self._members[block]]) for pool, blocks in stages]
        home = {block: stage for stage, (_, blocks) in enumerate(found) for block in blocks}
        early: dict[int, list[int]] = {}
        for first, then in self._original.before:
            early.setdefault(then, []).append(first)
        for block in range(len(self._original.members)):
            if block not in home:
                home[block] = max((home[before] for before in early.get(block, ())), default=0)
                found[home[block]][1].append(block)
        return found


def _fits_anywhere(blocks: Blocks) -> bool:
    """Whether any device holds everything."""
    most = int(blocks.bytes.sum()) + sum(size for _, size in blocks.groups)
    return all(pool.capacity is None or most <= pool.capacity for pool in blocks.pools)


def _roomy(blocks: Blocks) -> Blocks:
    """The same without memory."""
    pools = tuple(replace(pool, capacity=None) for pool in blocks.pools)
    return replace(blocks, bytes=0 * blocks.bytes, pools=pools, groups=())
