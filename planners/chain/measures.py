"""Time and memory of blocks, as sums up to each edge: what any span of them costs follows by subtraction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..evaluate import moved_bytes
from ..problem import Problem, Schedule
from ..stages import stash_depth
from .spans import Bools, Floats, Ints, Items, Window
from .working import Working


@dataclass(frozen=True)
class Measures:
    """Block ``k`` holds the units from ``edges[k]`` to ``edges[k + 1] - 1``. Prefixes are sums up to each edge."""

    problem: Problem
    edges: Ints

    def __len__(self) -> int:
        return len(self.edges) - 1

    @cached_property
    def training(self) -> bool:
        return self.problem.schedule is Schedule.TRAINING

    @cached_property
    def sharded(self) -> bool:
        return self.problem.schedule is Schedule.SHARDED

    def deep(self, after: int) -> int:
        """How deep a stage stashes what it reads or checkpoints, if so many stages follow it."""
        return stash_depth(self.problem.schedule, after + 1, 0, 0)

    def block_of(self, unit: int) -> int:
        return int(self._block[unit])

    @cached_property
    def _block(self) -> Ints:
        return np.repeat(np.arange(len(self)), np.diff(self.edges))

    def blocks_of(self, units: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({int(self._block[unit]) for unit in units}))

    def _flow(self, producer: int | None, readers: Sequence[int], host_free: bool) -> tuple[int, tuple[int, ...]]:
        blocks = (self.block_of(readers[0]),) if len(readers) == 1 else self.blocks_of(readers)
        source = -1 if producer is None else self.block_of(producer)
        if producer is None and host_free and blocks:
            source = blocks[0]
        return source, tuple(block for block in blocks if block > source)

    def _prefix(self, values: Sequence[float]) -> Floats:
        sums = np.zeros(len(values) + 1)
        np.cumsum(values, out=sums[1:])
        return sums[self.edges]

    # -- work ----------------------------------------------------------------------------------------------------------

    @cached_property
    def forward_us(self) -> Floats:
        return self._prefix([unit.forward_us for unit in self.problem.units])

    @cached_property
    def once_us(self) -> Floats:
        """Prefix of the work without recomputation."""
        if not self.training:
            return self.forward_us
        return self._prefix([unit.forward_us + unit.backward_us for unit in self.problem.units])

    @cached_property
    def recomputed_us(self) -> Floats:
        """Per edge: recomputation of a last stage that begins there."""
        units = self.problem.units
        last = max((i for i, unit in enumerate(units) if unit.checkpoint_bytes), default=-1) + 1
        upto = float(np.cumsum([0.0, *(unit.forward_us for unit in units)])[last])
        return np.maximum(upto - self.forward_us, 0.0)

    @cached_property
    def floor_us(self) -> Floats:
        """Prefix of the time at speed 1 that no placement avoids."""
        if not self.training:
            return self.forward_us
        floor_us: Floats = self.once_us + self.recomputed_us[0] - self.recomputed_us
        return floor_us

    @cached_property
    def layers(self) -> Ints:
        """Prefix of the number of sequential units."""
        flags = np.zeros(len(self.problem.units) + 1, np.int64)
        flags[[unit + 1 for unit in self.problem.sequential]] = 1
        return flags.cumsum()[self.edges]

    @cached_property
    def sequential_us(self) -> Floats:
        """Prefix of the same, of blocks of sequential units alone."""
        whole = np.diff(self.layers) == np.diff(self.edges)
        return np.concatenate([[0.0], np.cumsum(np.where(whole, np.diff(self.floor_us), 0.0))])

    def work_us(self, window: Window) -> Floats:
        """``works_us`` of all spans of a window."""
        return self.works_us(window.starts[:, None], window.stops[None, :])

    def works_us(self, start: Ints, stop: Ints) -> Floats:
        """Time at speed 1 of stages between pairs of edges, as ``evaluate.stage_us``."""
        once: Floats = self.once_us[stop] - self.once_us[start]
        if self.training:
            again = self.forward_us[stop] - self.forward_us[start]
            once = once + np.where(stop == len(self), self.recomputed_us[start], again)
        return once

    # -- memory --------------------------------------------------------------------------------------------------------

    @cached_property
    def held_bytes(self) -> Floats:
        """Prefix of weights and code."""
        return self._prefix([unit.resident_bytes + unit.code_bytes for unit in self.problem.units])

    @cached_property
    def checkpoint_bytes(self) -> Floats:
        return self._prefix([unit.checkpoint_bytes * self.training for unit in self.problem.units])

    @cached_property
    def working(self) -> Working:
        return Working(self.problem, self.edges)

    @cached_property
    def shared(self) -> Items:
        """Groups: bytes once per device that holds a member."""
        return Items.of((-1, self.blocks_of(group.members), group.bytes) for group in self.problem.groups)

    @cached_property
    def copied(self) -> Items:
        """Tensors as copies see them: the first reader of a host tensor is its source."""
        return Items.of(
            (*self._flow(t.producer, t.readers, True), moved_bytes(self.problem, t)) for t in self.problem.tensors
        )

    @cached_property
    def stashed(self) -> Items:
        """Tensors as stashes see them: a host tensor has no source."""
        return Items.of((*self._flow(t.producer, t.readers, False), t.bytes) for t in self.problem.tensors)

    @cached_property
    def cut_us(self) -> Floats:
        """Per edge: time to receive what is made just before it and read just after, by a stage begun there."""
        items, sums = self.copied, np.zeros(len(self) + 1)
        near = (items.previous == items.source[items.item]) & (items.reader == items.previous + 1)
        np.add.at(sums, items.reader[near], items.size[items.item[near]])
        return sums * self.problem.copy_us_per_byte

    @cached_property
    def cheapest_cut_us(self) -> float:
        return float(self.cut_us[1:-1].min()) if len(self) > 1 else 0.0

    @cached_property
    def least_cut_us(self) -> float:
        """What every cut costs at least on either side; nothing is sent where sharded."""
        return 0.0 if self.sharded else self.cheapest_cut_us

    @cached_property
    def floor_list(self) -> list[float]:
        return [float(us) for us in self.floor_us]

    def reach(self, room: float, deep: int) -> Ints | None:
        """Per stop: where a stage with so much room begins at the earliest, by what only grows with the span.

        That is weights, working memory, and ``deep`` times the checkpoints and the least that is stashed at the start.
        None: at the very beginning.
        """
        key = room, deep
        if key not in self._reach:
            everything = self.deep_bytes(deep)[-1] + deep * self.least_stash_bytes + self._working_bytes
            self._reach[key] = None if everything <= room else self._begins(room, deep)
        return self._reach[key]

    @cached_property
    def _reach(self) -> dict[tuple[float, int], Ints | None]:
        return {}

    def _begins(self, room: float, deep: int) -> Ints:
        """Searches all stops at once, from where a shallower stage would begin: it is mostly near."""
        stops, held = np.arange(len(self) + 1), self.deep_bytes(deep)
        shallower = [d for r, d in self._reach if r == room and d < deep and self._reach[r, d] is not None]
        known = self._reach[room, max(shallower)] if shallower else None
        low: Ints = np.searchsorted(held, held - room)
        low = low if known is None else np.maximum(low, known)

        def fits(start: Ints) -> Bools:
            size = held - held[start] + self.working.between(start, stops)
            return size + np.where(start > 0, deep * self.least_stash_bytes, 0.0) <= room

        low, high = _gallop(np.minimum(low, stops), stops, fits)
        while np.any(low < high):
            middle = (low + high) // 2
            good = fits(middle)
            low, high = np.where(good, low, np.minimum(middle + 1, high)), np.where(good, middle, high)
        return np.where(fits(np.zeros_like(stops)), 0, low)  # nothing enters at the very beginning

    @cached_property
    def _working_bytes(self) -> float:
        return self.working.of(0, len(self))

    @cached_property
    def least_stash_bytes(self) -> float:
        """What every stage but the first reads at least that was made just before it."""
        items, sums = self.stashed, np.zeros(len(self) + 1)
        near = (items.previous == items.source[items.item]) & (items.reader == items.previous + 1)
        np.add.at(sums, items.reader[near], items.size[items.item[near]])
        return float(sums[1:-1].min(initial=np.inf)) if len(self) > 1 else 0.0

    def deep_bytes(self, deep: int) -> Floats:
        """Prefix of weights and code, and of checkpoints so many deep."""
        if deep not in self._deep:
            self._deep[deep] = self.held_bytes + deep * self.checkpoint_bytes
        return self._deep[deep]

    def deep_list(self, deep: int) -> list[float]:
        """The same for single questions."""
        if deep not in self._deep_lists:
            self._deep_lists[deep] = [float(size) for size in self.deep_bytes(deep)]
        return self._deep_lists[deep]

    @cached_property
    def _deep(self) -> dict[int, Floats]:
        return {}

    @cached_property
    def _deep_lists(self) -> dict[int, list[float]]:
        return {}


def _gallop(low: Ints, most: Ints, good: Callable[[Ints], Bools]) -> tuple[Ints, Ints]:
    """Bounds of the first good number of each row, ``most`` being good: in ever longer steps from ``low``."""
    high, width, open_ = low, 1, np.ones(len(low), bool)
    while True:
        open_ = open_ & ~(good(high) | (high == most))
        if not open_.any():
            return low, high
        low = np.where(open_, high + 1, low)
        high = np.where(open_, np.minimum(high + width, most), high)
        low, width = np.minimum(low, high), 2 * width
