"""The best cut of a row into stages: dynamic programming over places and the devices that are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ..graph.blocks import Blocks
from ..graph.bounds import prices_of
from .row import Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_CELLS = 10**7
"""Blocks times places where a row may be cut; longer rows are cut only where parts of equal work end."""
MOST_STATES = 512
"""Numbers of devices left that are told apart; with more, devices are taken in the order of their pools."""
SLACK = 1 + 1e-9
"""Against rounding, where a cut is ruled out by the weights before and behind it."""


class Split:
    """Cuts rows of the same blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        counts = [len(pool.devices) for pool in blocks.pools]
        if prod(count + 1 for count in counts) <= MOST_STATES:
            self.left = list(product(*(range(count + 1) for count in counts)))
        else:
            self.left = _in_order(counts)
        self.rest = [self._without(pool) for pool in range(len(counts))]
        self.moves = [(np.array(list(rest)), np.array(list(rest.values()))) for rest in self.rest]
        self.prices = prices_of(blocks)
        self.share = np.array([float(np.dot(left, self.prices.device)) for left in self.left])
        """Of all devices' price, per state."""
        finite = [np.where(np.isfinite(pool.work_us), pool.work_us, 0.0).sum() for pool in blocks.pools]
        self.most_us = float(max(finite)) + sum(price for _, price in blocks.tensors) + 1.0
        """More than any stage can take."""

    def _without(self, pool: int) -> dict[int, int]:
        """Where a device of the pool is left: the devices left, and what is left once it is taken, as indices."""
        index, found = {left: i for i, left in enumerate(self.left)}, dict[int, int]()
        for i, left in enumerate(self.left):
            fewer = (*left[:pool], left[pool] - 1, *left[pool + 1 :])
            found[i] = index.get(fewer, index.get((*(0 for _ in left[:pool]), *fewer[pool:]), -1))
        return {left: rest for left, rest in found.items() if self.left[left][pool] and rest >= 0}

    def best(
        self, order: Sequence[int], below_us: float, over: Callable[[], bool], cells: int = MOST_CELLS
    ) -> list[tuple[int, list[int]]] | None:
        """The stages of the best cut of the row, where all take less than ``below_us``; ``None`` where there is none,
        or it is over."""
        cut = _Cut(self, order, below_us, cells)
        for start in range(len(order) - 1, -1, -1):
            if start % 64 == 0 and over():
                return None
            cut.begin_at(start)
        return cut.stages()


class _Cut:
    """Of one row, from its end."""

    def __init__(self, split: Split, order: Sequence[int], below_us: float, cells: int) -> None:
        self._split, self._order = split, list(order)
        self._below = min(below_us, split.most_us)
        self._row = Row(split.blocks, self._order)
        count, states = len(self._order), len(split.left)
        self._value = np.full((count + 1, states), np.inf)
        self._value[count] = 0.0
        self._ends = np.full((count, states, 2), -1, np.int64)
        self._places = _places(split.blocks, self._order, cells)
        self._before = np.concatenate([[0.0], np.cumsum(split.prices.weight_us[np.array(self._order)])])

    def begin_at(self, start: int) -> None:
        """All stages that begin there, for the states that leave enough to both sides."""
        self._row.begin_at(start)
        share, below = self._split.share, self._below * SLACK
        enough = self._before[-1] - self._before[start] <= share * below
        enough &= self._before[start] <= (share[-1] - share) * below + self._before[-1] * (SLACK - 1)
        if not self._places[start] or not enough.any():
            return
        for pool, (lefts, rests) in enumerate(self._split.moves):
            wanted = np.flatnonzero(enough[lefts])
            if len(wanted):
                self._stages_on(pool, start, lefts[wanted], rests[wanted])

    def _stages_on(self, pool: int, start: int, lefts: NDArray[np.int64], rests: NDArray[np.int64]) -> None:
        devices, row = self._split.blocks.pools[pool], self._row
        load = row.work_us(pool, start, len(self._order))
        stop = start + int(np.searchsorted(load, self._below))
        load = load[: stop - start]
        if devices.pays:
            load = load + row.copies_us(start, stop)
        open_ = (load < self._below) & self._places[start + 1 : stop + 1]
        if devices.capacity is not None:
            open_ &= row.bytes(start, stop) <= devices.capacity
        ends = np.flatnonzero(open_)
        if not len(ends):
            return
        reached = np.maximum(load[ends, None], self._value[(start + 1 + ends)[:, None], rests])
        at = reached.argmin(axis=0)
        best = reached[at, np.arange(len(lefts))]
        better = best < self._value[start, lefts]
        self._value[start, lefts[better]] = best[better]
        self._ends[start, lefts[better], 0] = start + 1 + ends[at[better]]
        self._ends[start, lefts[better], 1] = pool

    def stages(self) -> list[tuple[int, list[int]]] | None:
        if not np.isfinite(self._value[0, -1]):
            return None
        place, left, found = 0, len(self._split.left) - 1, list[tuple[int, list[int]]]()
        while place < len(self._order):
            end, pool = (int(v) for v in self._ends[place, left])
            found.append((pool, self._order[place:end]))
            left = self._split.rest[pool][left]
            place = end
        return found


def _places(blocks: Blocks, order: Sequence[int], cells: int) -> NDArray[np.bool_]:
    """Per number of blocks before it: whether the row may be cut there."""
    count = len(order)
    found = np.ones(count + 1, np.bool_)
    most = max(1, cells // count)
    if count > most:
        least = np.array([pool.work_us for pool in blocks.pools]).min(axis=0)[np.array(order)]
        done = np.cumsum(least + least.sum() / count)
        parts = np.floor(done / done[-1] * most) if done[-1] else np.arange(count) * most // count
        found[1:-1] = np.diff(parts) > 0
    return found


def _in_order(counts: list[int]) -> list[tuple[int, ...]]:
    """What is left while the devices are taken pool by pool, the least first."""
    found, left = [(0,) * len(counts)], [0] * len(counts)
    for pool in reversed(range(len(counts))):
        for _ in range(counts[pool]):
            left[pool] += 1
            found.append(tuple(left))
    return found
