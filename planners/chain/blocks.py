"""The problem in blocks: units that may not be parted merged, constraints and flows between blocks prepared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..evaluate import moved_bytes
from ..problem import Problem
from .homes import Homes
from .measures import Measures
from .spans import Ints, Items, Rectangles, differences


@dataclass(frozen=True)
class Blocks:
    """Block ``k`` holds the units from ``edges[k]`` to ``edges[k + 1] - 1``."""

    problem: Problem
    homes: Homes
    edges: Ints

    @classmethod
    def of(cls, problem: Problem, homes: Homes) -> Blocks:
        edges = [0, *(i + 1 for i in range(len(problem.units)) if i not in problem.forbidden_cuts)]
        return cls(problem, homes, np.array(edges, np.int64))

    def __len__(self) -> int:
        return len(self.edges) - 1

    @cached_property
    def measures(self) -> Measures:
        return Measures(self.problem, self.edges)

    def block_of(self, unit: int) -> int:
        return int(np.searchsorted(self.edges, unit, side="right")) - 1

    def blocks_of(self, units: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted({self.block_of(unit) for unit in units}))

    @cached_property
    def shared(self) -> Items:
        """Groups: bytes once per device that holds a member."""
        groups = self.problem.groups
        return Items.of(len(self), [(-1, self.blocks_of(group.members), group.bytes) for group in groups])

    @cached_property
    def copied(self) -> Items:
        """Tensors as copies see them: the first reader of a host tensor is its source."""
        tensors = [
            (self._flow(t.producer, t.readers, True), moved_bytes(self.problem, t)) for t in self.problem.tensors
        ]
        return Items.of(len(self), [(*flow, size) for flow, size in tensors])

    @cached_property
    def stashed(self) -> Items:
        """Tensors as stashes see them: a host tensor has no source."""
        tensors = [(self._flow(t.producer, t.readers, False), t.bytes) for t in self.problem.tensors]
        return Items.of(len(self), [(*flow, size) for flow, size in tensors])

    @cached_property
    def ties(self) -> tuple[tuple[int, ...], ...]:
        """Blocks of each ``colocate`` group that has more than one."""
        groups = [self.blocks_of(group.members) for group in self.problem.groups if group.colocate]
        return tuple(sorted({blocks for blocks in groups if len(blocks) > 1}))

    @cached_property
    def pinned(self) -> tuple[int | None, ...]:
        """Per block: the device of the pin it holds."""
        pins = {self.block_of(unit): device for unit, device in self.problem.pins}
        return tuple(pins.get(block) for block in range(len(self)))

    @cached_property
    def home(self) -> tuple[int | None, ...]:
        """Per block: the only device it may be on, as far as is known beforehand."""
        return tuple(self.homes.device(int(edge)) for edge in self.edges[:-1])

    @cached_property
    def strangers(self) -> tuple[tuple[int, ...], ...]:
        """Per device: the blocks whose home is another one."""
        homes = [(block, home) for block, home in enumerate(self.home) if home is not None]
        return tuple(tuple(b for b, home in homes if home != d) for d in range(len(self.problem.devices)))

    @cached_property
    def group_ends(self) -> tuple[int, ...]:
        """Per device: the first one after it that differs from it, by its numbers or because a block must be there."""
        devices, named = self.problem.devices, {home for home in self.home if home is not None}
        ends = [len(devices)] * len(devices)
        for d in reversed(range(len(devices) - 1)):
            alike = devices[d] == devices[d + 1] and named.isdisjoint((d, d + 1))
            ends[d] = ends[d + 1] if alike else d + 1
        return tuple(ends)

    @cached_property
    def returners(self) -> tuple[int, ...]:
        """Blocks that can give a stage a reason to return: the pinned, and all but the first of a tied group."""
        pinned = {block for block, device in enumerate(self.pinned) if device is not None}
        return tuple(sorted(pinned.union(*(members[1:] for members in self.ties))))

    def may_return_after(self, stop: int) -> bool:
        """Whether a stage that begins at this block or later may return."""
        return bool(self.returners) and self.returners[-1] >= stop

    @cached_property
    def cut_bytes(self) -> Ints:
        """Per edge: bytes sure to be copied where a stage begins there (made just before it, read just after)."""
        items, sums = self.copied, np.zeros(len(self) + 1, np.int64)
        near = (items.previous == items.source[items.item]) & (items.reader == items.previous + 1)
        np.add.at(sums, items.reader[near], items.size[items.item[near]])
        return sums

    def any_of(self, members: Iterable[int]) -> Ints:
        """Table of the number of the given blocks within each span."""
        flags = np.zeros(len(self) + 1, np.int64)
        flags[[m + 1 for m in members]] = 1
        return differences(flags.cumsum())

    def returning(self, device: int) -> Ints:
        """Table of reasons: positive where a stage of that span may return to the device."""
        reasons = self.any_of(block for block, pin in enumerate(self.pinned) if pin == device)
        spans = Rectangles(len(self))
        later = Items.of(len(self), [(members[0], members[1:], 1) for members in self.ties])
        later.entering(spans, later.size)
        return reasons + spans.table()

    def _flow(self, producer: int | None, readers: Sequence[int], host_free: bool) -> tuple[int, tuple[int, ...]]:
        blocks = self.blocks_of(readers)
        source = -1 if producer is None else self.block_of(producer)
        if producer is None and host_free and blocks:
            source = blocks[0]
        return source, tuple(block for block in blocks if block > source)
