"""What runs of neighbours in a row of blocks cost, for all runs that begin at one place at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..graph.blocks import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


class Row:
    """Told of the places from the last to the first; all tables are by the number of blocks in the run, from 1."""

    def __init__(self, blocks: Blocks, order: Sequence[int]) -> None:
        self.blocks, self.order = blocks, list(order)
        count = len(order)
        place = {block: index for index, block in enumerate(order)}
        self._work = [pool.work_us[np.array(order)] for pool in blocks.pools]
        self._bytes = blocks.bytes[np.array(order)]
        self._prices = [price for _, price in blocks.tensors]
        self._at = _by_place(count, [[place[b] for b in touched] for touched, _ in blocks.tensors])
        self._last = [max(place[b] for b in touched) for touched, _ in blocks.tensors]
        self._left = [len(touched) for touched, _ in blocks.tensors]
        self._next = dict[int, int]()
        self._begun, self._whole = np.zeros(count), np.zeros(count)
        self._sizes = [size for _, size in blocks.groups]
        self._groups_at = _by_place(count, [[place[b] for b in touched] for touched, _ in blocks.groups])
        self._member = dict[int, int]()
        self._shared = np.zeros(count, np.int64)

    def begin_at(self, start: int) -> None:
        """Of the tensors that the block touches, the run pays where it first does, and gets back where it has all."""
        for tensor in self._at[start]:
            price = self._prices[tensor]
            if tensor in self._next:
                self._begun[self._next[tensor]] -= price
            self._begun[start] += price
            self._next[tensor] = start
            self._left[tensor] -= 1
            if not self._left[tensor]:
                self._whole[self._last[tensor]] += price
        for group in self._groups_at[start]:
            if group in self._member:
                self._shared[self._member[group]] -= self._sizes[group]
            self._shared[start] += self._sizes[group]
            self._member[group] = start

    def work_us(self, pool: int, start: int, stop: int) -> Floats:
        return np.cumsum(self._work[pool][start:stop])

    def copies_us(self, start: int, stop: int) -> Floats:
        return np.maximum(np.cumsum(self._begun[start:stop] - self._whole[start:stop]), 0.0)

    def bytes(self, start: int, stop: int) -> Ints:
        return np.cumsum(self._bytes[start:stop] + self._shared[start:stop])


def _by_place(count: int, places: Sequence[Sequence[int]]) -> list[list[int]]:
    """Per place what touches it."""
    found: list[list[int]] = [[] for _ in range(count)]
    for index, touched in enumerate(places):
        for place in touched:
            found[place].append(index)
    return found
