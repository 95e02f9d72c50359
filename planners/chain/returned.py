"""What a device costs that holds returns: tables for its first visit, for several sets of returns at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..problem import Schedule
from .blocks import Blocks
from .spans import Bools, Floats, Ints, Items, Window, entering, inside, summed
from .tables import Plain


class Return(NamedTuple):
    """Blocks ``start`` to ``stop - 1`` as a stage on ``device``, visited before; ``after`` stages follow it."""

    start: int
    stop: int
    device: int
    after: int


def depth(schedule: Schedule, reader: Ints, holder: Ints) -> Ints:
    """``stages.stash_depth`` with stages counted from the end: the last is 0."""
    if schedule is Schedule.SHARDED:
        return np.ones_like(reader)
    if schedule is Schedule.INFERENCE:
        return holder - reader + 1
    return np.where((reader == 0) & (holder == 0), 0, reader + holder + 1)


@dataclass(frozen=True, slots=True)
class Seen:
    """How the returns of each row meet the items that they make or read. One entry per row and item."""

    rows: int
    items: Items
    row: Ints
    made: Ints
    """Number of the return that makes it, else -1."""
    wanted: Ints
    """Number of the earliest return that reads it and does not make it, else -1."""
    outside: Ints
    """Last reading block that is in no return of the row, else -1."""

    @property
    def read(self) -> Bools:
        return self.wanted >= 0

    def total(self, weight: Floats) -> Floats:
        """Sum of the weights, per row, to be added to tables."""
        sums: Floats = np.bincount(self.row, weight.astype(np.float64), self.rows).astype(np.float64)
        return sums[:, None, None]

    def entering(self, window: Window, weight: Floats) -> Floats:
        """As ``Items.entering``, per row."""
        items = self.items
        corners = entering(window, items.reader, items.previous)
        return summed(window, self.rows, corners, weight[items.item], self.row[items.item])

    def inside(self, window: Window, weight: Floats, until: Ints) -> Floats:
        """As ``Items.inside``, per row."""
        return summed(window, self.rows, inside(window, self.items.source, until), weight, self.row)


@dataclass(frozen=True)
class Returned:
    """The returns of one device, ascending: a row for each set. Rows differ only in where returns begin and end."""

    blocks: Blocks
    rows: Sequence[tuple[Return, ...]]

    @cached_property
    def _spans(self) -> Ints:
        """[row, return, 2]."""
        return np.array([[r[:2] for r in row] for row in self.rows], np.int64)

    @cached_property
    def _after(self) -> Ints:
        """Per return."""
        return np.array([r.after for r in self.rows[0]], np.int64)

    def _sum(self, prefix: Floats | Ints) -> Floats:
        """Per row, over its returns."""
        sums: Floats = (prefix[self._spans[:, :, 1]] - prefix[self._spans[:, :, 0]]).sum(axis=1, dtype=np.float64)
        return sums[:, None, None]

    @cached_property
    def work_us(self) -> Floats:
        """Per row, at speed 1."""
        sums: Floats = self.blocks.works_us(self._spans[:, :, 0], self._spans[:, :, 1]).sum(axis=1)
        return sums[:, None, None]

    @cached_property
    def units(self) -> Floats:
        return self._sum(self.blocks.edges)

    @cached_property
    def layers(self) -> Floats:
        return self._sum(self.blocks.layers)

    def received(self, plain: Plain) -> Floats:
        seen = self._seen(self.blocks.copied)
        size, end = seen.items.size, self._end(seen)
        certain = size * (seen.read & (seen.made < 0))
        table = plain.received - seen.entering(plain.window, size * seen.read)
        return table - seen.inside(plain.window, certain, end) + seen.total(certain)

    def sent(self, plain: Plain) -> Floats:
        if self.blocks.sharded:
            return plain.sent[None]
        seen = self._seen(self.blocks.copied)
        size = seen.items.size
        table = plain.sent - seen.inside(plain.window, size, seen.items.last)
        made = size * ((seen.made >= 0) & (seen.outside >= 0))
        return table + seen.inside(plain.window, size, seen.outside) + seen.total(made)

    def memory(self, plain: Plain, after: int) -> Floats:
        """Without the base."""
        window, shared = plain.window, self._seen(self.blocks.shared)
        read = shared.items.size * shared.read
        held = plain.fixed - shared.entering(window, read) + (shared.total(read) + self._held)
        more = self._working - plain.working
        own = self.blocks.deep(after)
        return held + np.maximum(more, 0.0) + plain.deep * own + self._boundary(window, after)

    @cached_property
    def _working(self) -> Floats:
        peaks = self.blocks.working.between(self._spans[:, :, 0], self._spans[:, :, 1])
        return peaks.max(axis=1)[:, None, None]  # type: ignore[no-any-return]

    @cached_property
    def _held(self) -> Floats:
        """Weights, code and checkpoints."""
        sums = self.blocks.checkpoint_bytes
        checkpoints = (sums[self._spans[:, :, 1]] - sums[self._spans[:, :, 0]]) * self._depth(self._after, self._after)
        held: Floats = self._sum(self.blocks.held_bytes) + checkpoints.sum(axis=1)[:, None, None]
        return held

    def _boundary(self, window: Window, after: int) -> Floats:
        """Tensors that a return reads and does not make, beyond what the first visit stashes by itself."""
        seen = self._seen(self.blocks.stashed)
        size, first = seen.items.size, np.full(len(seen.row), after)
        wanted, made = (self._after[np.maximum(number, 0)] for number in (seen.wanted, seen.made))
        entered, kept, returned = (self._depth(wanted, holder) * seen.read for holder in (wanted, first, made))
        table = seen.inside(window, size * (kept - entered), self._end(seen)) - seen.entering(window, size * entered)
        return table + seen.total(size * np.where(seen.made >= 0, returned, entered))

    def legal(self, plain: Plain) -> Bools:
        """Tied groups whole, and the first visit parted from the first return."""
        window = plain.window
        seen = self._seen(self.blocks.tied)
        one = np.ones(len(seen.row))
        first, last = seen.items.reader, seen.items.last  # pairs are in order of item
        begin = np.searchsorted(seen.items.item, np.arange(len(seen.row)))
        whole = inside(window, first[begin] if len(begin) else first, np.full(len(begin), len(self.blocks)))
        whole = whole._replace(left=np.maximum(last + 1, window.left) - window.left)
        split = plain.split - seen.entering(window, one) + summed(window, seen.rows, whole, one, seen.row)
        legal: Bools = split == 0
        low, high = self._rest(seen)
        legal &= (window.starts[None, :] <= low[:, None])[:, :, None] & (window.stops[None, :] > high[:, None])[
            :, None, :
        ]
        return legal & (window.stops[None, None, :] < self._spans[:, :1, :1])

    def _rest(self, seen: Seen) -> tuple[Ints, Ints]:
        """Per row: first and last block that is tied to one of a return and in none."""
        low, high = np.full(seen.rows, len(self.blocks)), np.full(seen.rows, -1)
        row = seen.row[seen.items.item]
        outside = self._number(seen.items.reader, row) < 0
        np.minimum.at(low, row[outside], seen.items.reader[outside])
        np.maximum.at(high, row[outside], seen.items.reader[outside])
        return low, high

    def _seen(self, items: Items) -> Seen:
        if id(items) not in self._known:
            self._known[id(items)] = self._look(items)
        return self._known[id(items)]

    @cached_property
    def _known(self) -> dict[int, Seen]:
        return {}

    def _look(self, items: Items) -> Seen:
        row, number = items.touching(self._spans)
        some = items.some(number)
        made, here = self._number(some.source, row), self._number(some.reader, row[some.item])
        most = self._spans.shape[1]
        wanted = np.full(len(row), most, np.int64)
        other = (here >= 0) & (here != made[some.item])
        np.minimum.at(wanted, some.item[other], here[other])
        wanted[wanted == most] = -1
        outside = np.full(len(row), -1, np.int64)
        np.maximum.at(outside, some.item[here < 0], some.reader[here < 0])
        return Seen(len(self.rows), some, row, made, wanted, outside)

    def _number(self, block: Ints, row: Ints) -> Ints:
        """Number of the row's return that holds the block, else -1."""
        number = np.full(len(block), -1, np.int64)
        for index in range(self._spans.shape[1]):
            spans = self._spans[row, index]
            number[(spans[:, 0] <= block) & (block < spans[:, 1])] = index
        return number

    def _depth(self, reader: Ints, holder: Ints) -> Ints:
        return depth(self.blocks.problem.schedule, reader, holder)

    def _end(self, seen: Seen) -> Ints:
        return np.full(len(seen.row), len(self.blocks), np.int64)
