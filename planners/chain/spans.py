"""Sums over all spans ``[start, stop)`` of blocks within a window of starts and stops.

A table is an array indexed ``[start - window.low, stop - window.left]``. Bytes are whole numbers in double precision,
exact below 2**53 (``validation.MOST_BYTES``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Window(NamedTuple):
    """Starts ``low..high`` and stops ``left..right``, all inclusive. Spans may stop before they start."""

    low: int
    high: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.high - self.low + 1, self.right - self.left + 1

    @property
    def area(self) -> int:
        rows, columns = self.shape
        return rows * columns

    def holds(self, other: Window) -> bool:
        return (
            self.low <= other.low and other.high <= self.high and self.left <= other.left and other.right <= self.right
        )

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Where this window lies in a table of the outer one."""
        return (
            slice(self.low - outer.low, self.high - outer.low + 1),
            slice(self.left - outer.left, self.right - outer.left + 1),
        )

    def of_prefix(self, sums: npt.NDArray[Any]) -> Floats:
        """Table of ``sums[stop] - sums[start]``."""
        table: Floats = sums[None, self.left : self.right + 1] - sums[self.low : self.high + 1, None]
        return table

    @property
    def starts(self) -> Ints:
        return np.arange(self.low, self.high + 1)

    @property
    def stops(self) -> Ints:
        return np.arange(self.left, self.right + 1)


@dataclass(frozen=True)
class Items:
    """Things that a block makes and later ones want, in flat arrays: tensors, or groups, which nobody makes."""

    size: Floats
    source: Ints
    """Per item; -1 where no block makes it."""
    last: Ints
    """Per item: the last reading block."""
    item: Ints
    """Per pair of item and reading block, in order of reader."""
    reader: Ints
    previous: Ints
    """Per pair: the reader of the same item before this one, or the source."""

    @classmethod
    def of(cls, items: Iterable[tuple[int, Sequence[int], float]]) -> Items:
        """From (source, ascending readers after the source, size)."""
        kept = [(source, readers, size) for source, readers, size in items if readers and size]
        pairs = [
            (reader, number, previous)
            for number, (source, readers, _) in enumerate(kept)
            for reader, previous in zip(readers, (source, *readers), strict=False)
        ]
        reader, item, previous = np.array(sorted(pairs), np.int64).reshape(-1, 3).T
        sizes = np.array([size for _, _, size in kept], np.float64)
        source = np.array([source for source, _, _ in kept], np.int64)
        last = np.array([readers[-1] for _, readers, _ in kept], np.int64)
        return cls(sizes, source, last, item, reader, previous)

    def __len__(self) -> int:
        return len(self.size)

    @cached_property
    def by_source(self) -> Ints:
        return np.argsort(self.source, kind="stable")

    @cached_property
    def _sources(self) -> Ints:
        return self.source[self.by_source]

    def pairs_read(self, start: int, stop: int) -> slice:
        """The pairs whose reader is within."""
        first, end = np.searchsorted(self.reader, (start, stop))
        return slice(int(first), int(end))

    def made(self, start: int, stop: int) -> Ints:
        """The items whose source is within."""
        first, end = np.searchsorted(self._sources, (start, stop))
        return self.by_source[first:end]

    @cached_property
    def _by_item(self) -> tuple[Ints, Ints]:
        """Pairs in order of item, and where those of each item begin."""
        order = np.argsort(self.item, kind="stable")
        return order, np.searchsorted(self.item[order], np.arange(len(self) + 1))

    def touching(self, spans: Ints) -> tuple[Ints, Ints]:
        """(row, item) of the items that a block of the row's spans makes or reads; ``spans`` is [row, span, 2]."""
        count = spans.shape[1]
        read, reading = ranges(*np.searchsorted(self.reader, spans.reshape(-1, 2).T))
        made, making = ranges(*np.searchsorted(self._sources, spans.reshape(-1, 2).T))
        items = np.concatenate([self.item[read], self.by_source[made]])
        rows = np.concatenate([reading, making]) // count
        keys = np.unique(rows * max(1, len(self)) + items)
        return keys // max(1, len(self)), keys % max(1, len(self))

    def some(self, items: Ints) -> Items:
        """Those items alone, renumbered; one may be there several times. Pairs are in order of item."""
        order, begin = self._by_item
        pairs, number = ranges(begin[items], begin[items + 1])
        pairs = order[pairs]
        return Items(
            self.size[items], self.source[items], self.last[items], number, self.reader[pairs], self.previous[pairs]
        )

    def entering(self, window: Window, weight: Floats) -> Floats:
        """Sum of the weights (per item) of items that a span reads and does not hold the source of."""
        pairs = self.pairs_read(window.low, window.right)
        corners = entering(window, self.reader[pairs], self.previous[pairs])
        table: Floats = summed(window, 1, corners, weight[self.item[pairs]], None)[0]
        return table

    def inside(self, window: Window, weight: Floats, until: Ints) -> Floats:
        """Sum of the weights (per item) of items whose source a span holds, if it stops at ``until`` or before."""
        items = self.made(window.low, window.right)
        corners = inside(window, self.source[items], until[items])
        table: Floats = summed(window, 1, corners, weight[items], None)[0]
        return table


class Corners(NamedTuple):
    """Which things count for which spans: rows ``first`` to before ``end``, columns ``left`` to before ``right``."""

    first: Ints
    end: Ints
    left: Ints
    right: Ints


def entering(window: Window, reader: Ints, previous: Ints) -> Corners:
    """The spans that begin after ``previous`` and hold ``reader``."""
    first = np.maximum(previous + 1, window.low) - window.low
    end = np.minimum(reader, window.high) + 1 - window.low
    left = np.maximum(reader + 1, window.left) - window.left
    return Corners(first, end, left, np.full_like(left, window.shape[1]))


def inside(window: Window, source: Ints, until: Ints) -> Corners:
    """The spans that hold ``source`` and stop at ``until`` or before."""
    end = np.minimum(source, window.high) + 1 - window.low
    left = np.maximum(source + 1, window.left) - window.left
    right = np.minimum(until, window.right) + 1 - window.left
    return Corners(np.zeros_like(end), np.where(source < 0, 0, end), left, right)


def summed(window: Window, planes: int, corners: Corners, weight: Floats, plane: Ints | None) -> Floats:
    """Tables ``[plane, start, stop]`` of the sums of the weights: two-dimensional sums of differences at corners."""
    rows, columns = window.shape
    keep = (corners.first < corners.end) & (corners.left < corners.right) & (weight != 0)
    if not keep.any():
        return np.zeros((planes, rows, columns))
    first, end, left, right = (side[keep] for side in corners)
    weight, width = weight[keep], columns + 1
    if plane is not None:
        offset = plane[keep] * (rows + 1)
        first, end = first + offset, end + offset
    flat = np.concatenate([first * width + left, end * width + left, first * width + right, end * width + right])
    sums = np.bincount(flat, np.concatenate([weight, -weight, -weight, weight]), planes * (rows + 1) * width)
    table: Floats = sums.reshape(planes, rows + 1, width)[:, :-1, :-1].cumsum(axis=1)
    return table.cumsum(axis=2, out=table)


def ranges(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All numbers of each range, one range after the other, and the number of the range."""
    counts = end - begin
    number = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts - begin, counts), number


class RangeMax:
    """The largest of any run of numbers at once; of an empty run 0. Memory: numbers x log2(numbers)."""

    def __init__(self, numbers: Floats) -> None:
        levels, width = [np.asarray(numbers, np.float64)], 1
        while 2 * width <= len(numbers):
            longer = levels[-1].copy()
            np.maximum(longer[:-width], levels[-1][width:], out=longer[:-width])
            levels.append(longer)
            width *= 2
        self._levels = np.stack(levels) if len(numbers) else np.zeros((1, 1))
        self._level = np.concatenate([[0], np.frexp(np.arange(1.0, len(numbers) + 1))[1] - 1]).astype(np.int64)
        self._constant = not len(numbers) or not np.any(numbers)

    def table(self, start: Ints, stop: Ints) -> Floats:
        """Of all pairs, both ascending; where ``stop <= start`` the answer is 0."""
        first, end = int(start[0]), int(stop[-1])
        if self._constant or end <= first:
            return np.zeros((len(start), len(stop)))
        numbers = self._levels[0, first:end]
        runs = np.where(np.arange(first, end) >= start[:, None], numbers, 0.0)
        np.maximum.accumulate(runs, axis=1, out=runs)
        table: Floats = runs[:, np.maximum(stop - 1 - first, 0)]
        table[:, stop <= first] = 0.0
        return table

    def of(self, start: Ints, stop: Ints) -> Floats:
        """Broadcasts; where ``stop <= start`` the answer is 0."""
        if self._constant:
            return np.zeros(np.broadcast_shapes(start.shape, stop.shape))
        level = self._level[np.maximum(stop - start, 0)]
        first = self._levels[level, np.minimum(start, self._levels.shape[1] - 1)]
        last = self._levels[level, np.maximum(stop - (1 << level), 0)]
        return np.where(stop > start, np.maximum(first, last), 0.0)
