"""Blocks that are being left out and joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..graph.blocks import Blocks, reduced
from ..graph.precedence import topological


class Contraction:
    """A block is named by its first member."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.members = {block: [block] for block in range(len(blocks.members))}
        self.touched = {tensor: set(touched) for tensor, (touched, _) in enumerate(blocks.tensors)}
        self.price = [price for _, price in blocks.tensors]
        self.tensors_of: dict[int, set[int]] = {block: set() for block in self.members}
        for tensor, touched in self.touched.items():
            for block in touched:
                self.tensors_of[block].add(tensor)
        self.idle = set(_idle(blocks))
        self._early: dict[int, set[int]] = {block: set() for block in self.members}
        self._late: dict[int, set[int]] = {block: set() for block in self.members}
        for early, late in blocks.before:
            self._tie(early, late)
        self._mask = {block: 1 << block for block in self.members}
        self._below = _closure(self._early, sorted(self.members))
        self._above = _closure(self._late, sorted(self.members, reverse=True))

    def hubs(self, block: int) -> Iterator[int]:
        """What it can be with, whatever else is where: needing it alone, but for what comes before that; or needed."""
        for hub in sorted(self._early[block]):
            if all(self._mask[other] & self._below[hub] for other in self._early[block] - {hub}):
                yield hub
        for hub in sorted(self._late[block]):
            if all(self._mask[other] & self._above[hub] for other in self._late[block] - {hub}):
                yield hub

    def price_apart(self, moved: Iterable[int], hub: int) -> float:
        """Of the tensors of the moved blocks that do not touch the hub."""
        apart = set().union(*(self.tensors_of[block] for block in moved)) - self.tensors_of[hub]
        return sum(self.price[tensor] for tensor in apart)

    def leave_out(self, block: int) -> None:
        for early in self._early[block]:
            for late in self._late[block]:
                self._tie(early, late)
        self._forget(block)

    def join(self, moved: Iterable[int], hub: int) -> None:
        for block in moved:
            self.members[hub] += self.members[block]
            self._mask[hub] |= self._mask[block]
            self._below[hub] |= self._below[block]
            self._above[hub] |= self._above[block]
            for early in self._early[block] - {hub}:
                self._tie(early, hub)
            for late in self._late[block] - {hub}:
                self._tie(hub, late)
            for tensor in self.tensors_of[block]:
                self.touched[tensor] = self.touched[tensor] - {block} | {hub}
                self.tensors_of[hub].add(tensor)
            for tensor in [tensor for tensor in self.tensors_of[block] if len(self.touched[tensor]) == 1]:
                del self.touched[tensor]
                self.tensors_of[hub].discard(tensor)
            self._forget(block)

    def _tie(self, early: int, late: int) -> None:
        self._early[late].add(early)
        self._late[early].add(late)

    def _forget(self, block: int) -> None:
        for early in self._early.pop(block):
            self._late[early].discard(block)
        for late in self._late.pop(block):
            self._early[late].discard(block)
        self.idle.discard(block)
        del self.members[block], self.tensors_of[block]

    def blocks(self) -> tuple[list[list[int]], Blocks]:
        """The members of every block that is left, and the blocks, numbered anew."""
        given, names = self._blocks, sorted(self.members)
        place = {name: index for index, name in enumerate(names)}
        order = topological(len(names), sorted((place[a], place[b]) for a in names for b in self._late[a]))
        members = [sorted(self.members[names[index]]) for index in order]
        place = {names[index]: new for new, index in enumerate(order)}
        home = {block: new for new, held in enumerate(members) for block in held}
        starts = np.cumsum([0, *map(len, members[:-1])])
        flat = np.array([block for held in members for block in held])
        return members, replace(
            given,
            members=tuple(tuple(sorted(node for block in held for node in given.members[block])) for held in members),
            bytes=np.add.reduceat(given.bytes[flat], starts),
            pools=tuple(replace(p, work_us=np.add.reduceat(p.work_us[flat], starts)) for p in given.pools),
            before=reduced(len(names), {(place[a], place[b]) for a in names for b in self._late[a]}),
            tensors=self._tensors(place),
            groups=tuple((tuple(sorted(home[block] for block in held)), size) for held, size in given.groups),
        )

    def _tensors(self, place: dict[int, int]) -> tuple[tuple[tuple[int, ...], float], ...]:
        prices: dict[tuple[int, ...], float] = {}
        for tensor, touched in self.touched.items():
            held = tuple(sorted(place[block] for block in touched))
            prices[held] = prices.get(held, 0.0) + self.price[tensor]
        return tuple(sorted(prices.items()))


def _idle(blocks: Blocks) -> list[int]:
    """Blocks without work and bytes."""
    shared = {block for members, _ in blocks.groups for block in members}
    work = sum(pool.work_us for pool in blocks.pools) + blocks.bytes
    return [block for block in range(len(blocks.members)) if work[block] == 0 and block not in shared]


def _closure(near: dict[int, set[int]], order: list[int]) -> dict[int, int]:
    """Per block a bit set of all that it leads to; the order has what is nearer to the end first."""
    found: dict[int, int] = {}
    for block in order:
        found[block] = 0
        for other in near[block]:
            found[block] |= found[other] | 1 << other
    return found
