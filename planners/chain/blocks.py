"""The problem in blocks: units that may not be parted merged, and what constraints say about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..problem import Problem
from .homes import Homes
from .measures import Measures
from .spans import Ints, Items


@dataclass(frozen=True)
class Blocks(Measures):
    """Blocks with their constraints."""

    homes: Homes

    @classmethod
    def of(cls, problem: Problem, homes: Homes) -> Blocks:
        edges = [0, *(i + 1 for i in range(len(problem.units)) if i not in problem.forbidden_cuts)]
        return cls(problem, np.array(edges, np.int64), homes)

    @cached_property
    def ties(self) -> tuple[tuple[int, ...], ...]:
        """Blocks of each ``colocate`` group that has more than one."""
        groups = [self.blocks_of(group.members) for group in self.problem.groups if group.colocate]
        return tuple(sorted({blocks for blocks in groups if len(blocks) > 1}))

    @cached_property
    def tied(self) -> Items:
        """The tied groups, each of weight 1."""
        return Items.of((-1, members, 1.0) for members in self.ties)

    @cached_property
    def ties_of(self) -> dict[int, tuple[int, ...]]:
        """Block to the tied groups that it is in."""
        found: dict[int, tuple[int, ...]] = {}
        for number, members in enumerate(self.ties):
            for block in members:
                found[block] = (*found.get(block, ()), number)
        return found

    @cached_property
    def home(self) -> dict[int, int]:
        """Block to the only device it may be on, as far as is known beforehand."""
        found = {}
        for block, edge in enumerate(self.edges[:-1]):
            device = self.homes.device(int(edge))
            if device is not None:
                found[block] = device
        return found

    @cached_property
    def named(self) -> frozenset[int]:
        return frozenset(self.home.values())

    def strangers(self, device: int) -> Ints:
        """Prefix of the number of blocks that belong to another device."""
        key = device if device in self.named else -1
        if key not in self._strangers:
            flags = np.zeros(len(self) + 1, np.int64)
            flags[[block + 1 for block, home in self.home.items() if home != key]] = 1
            self._strangers[key] = flags.cumsum()
        return self._strangers[key]

    @cached_property
    def _strangers(self) -> dict[int, Ints]:
        return {}

    def run_start(self, devices: int) -> int:
        """The first of the devices just below this number that are alike, by their numbers and by their blocks."""
        return self._run_starts[devices]

    @cached_property
    def _run_starts(self) -> list[int]:
        devices, starts = self.problem.devices, [0, 0]
        for d in range(1, len(devices)):
            alike = devices[d] == devices[d - 1] and self.named.isdisjoint((d, d - 1))
            starts.append(starts[-1] if alike else d)
        return starts

    @cached_property
    def pinned(self) -> dict[int, int]:
        """Block to the device of the pin it holds."""
        return {self.block_of(unit): device for unit, device in self.problem.pins}

    @cached_property
    def returner_blocks(self) -> Ints:
        return np.array(self.returners, np.int64)

    @cached_property
    def returners(self) -> tuple[int, ...]:
        """Blocks that can give a stage a reason to return: the pinned, and all but the first of a tied group."""
        return tuple(sorted({*self.pinned}.union(*(members[1:] for members in self.ties))))

    @cached_property
    def first_beyond(self) -> list[int]:
        """Per number of devices: the first block that belongs to a device beyond them."""
        count = len(self.problem.devices)
        return [min((b for b, home in self.home.items() if home >= d), default=len(self)) for d in range(count + 1)]
