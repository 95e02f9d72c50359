"""The best cut of the units into runs, one criterion after the other.

A step gives away the devices from the last to the first, so that the number of stages that follow is always known, and
with it how deep a stage keeps what it must. Each criterion is solved over all cuts that reach the optima of those
before: a largest value by shutting out the runs above it, a sum by carrying the further criteria along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluate import TIE, evaluate
from ..problem import Preference, Problem, Schedule
from ..stages import stash_depth
from .places import Places, places_of
from .runs import Runs, runs_of
from .sums import Sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[Any]


@dataclass(frozen=True)
class Search:
    problem: Problem
    places: Places
    runs: Runs
    _limits: list[tuple[Callable[[int, int], Table], float]] = field(default_factory=list)
    """What a run on a device with so many stages behind it may have at most."""

    @classmethod
    def of(cls, problem: Problem, at: list[int]) -> Search:
        return cls(problem, Places(problem, tuple(at)), runs_of(problem, at))

    def best(self) -> tuple[int, ...] | None:
        """The assignment that the judge prefers among those in device order that fit or, where none does, that come
        nearest; ``None`` where no cut obeys the constraints.

        Sharded, where sums of times tie but for rounding, the further criteria may be missed.
        """
        lack = self._least(self.shortfall)
        if lack is None:
            return None
        self._limits.append((self.shortfall, lack))
        criteria = [self._times, self._memories]
        for criterion in criteria if self.problem.prefer is Preference.TIME else criteria[::-1]:
            criterion()
        cuts = self._smallest_sums()
        assert cuts is not None, "some cut is within limits that a cut attains"
        return cuts

    def time_us(self, device: int, behind: int) -> Table:
        work, runs, problem = self.runs.work_us if behind else self.runs.last_us, self.runs, self.problem
        copies = runs.moved * problem.copy_us_per_byte + runs.copies * problem.copy_us
        return np.asarray(work / problem.devices[device].speed + copies)

    def memory(self, device: int, behind: int) -> Table:
        runs, problem = self.runs, self.problem
        depth = stash_depth(problem.schedule, behind + 1, 0, 0, problem.micro_batches)
        working = np.maximum(depth * runs.live + runs.peak, runs.update)
        return np.asarray(problem.devices[device].base_bytes + runs.kept + depth * runs.deep + working)

    def shortfall(self, device: int, behind: int) -> Table:
        return np.asarray(np.maximum(0, self.memory(device, behind) - self.problem.devices[device].capacity_bytes))

    def _times(self) -> None:
        """Sharded, the sum of times is carried along instead."""
        if self.problem.schedule is not Schedule.SHARDED:
            least = self._least(self.time_us)
            assert least is not None, "there is a cut"
            self._limits.append((self.time_us, least * (1 + TIE)))

    def _memories(self) -> None:
        sharded = self.problem.schedule is Schedule.SHARDED
        if sharded and self.problem.prefer is Preference.TIME:
            least: float | None = self._least_memory_of_the_fastest()
        else:
            least = self._least(self.memory)
        assert least is not None, "there is a cut"
        self._limits.append((self.memory, least))

    def _least_memory_of_the_fastest(self) -> int:
        """Sharded: the lowest limit of memory under which the sum of times is as short as it gets."""
        fastest = self._sum_of_times()
        values = np.unique(np.concatenate([self.memory(d, 0).ravel() for d in range(len(self.problem.devices))]))
        low, high = 0, len(values) - 1
        while low < high:
            middle = (low + high) // 2
            self._limits.append((self.memory, int(values[middle])))
            enough = self._sum_of_times() <= fastest * (1 + TIE)
            self._limits.pop()
            low, high = (low, middle) if enough else (middle + 1, high)
        return int(values[low])

    def _sum_of_times(self) -> float:
        cuts = self._smallest_sums()
        if cuts is None:
            return float("inf")
        return evaluate(self.problem, cuts).objective_us

    def _least(self, value: Callable[[int, int], Table]) -> float | None:
        """The least largest value that the limits leave; ``None`` where they leave no cut."""
        worst = np.full((len(self.problem.devices) + 2, len(self.places.at)), np.inf)
        worst[0, -1] = 0.0
        for device, may_be_empty, open_ in self._devices():
            before, worst = worst, np.full_like(worst, np.inf)
            if may_be_empty:
                worst = before.copy()
            for behind in self._behind(device):
                values = np.where(self._within(device, behind, open_), value(device, behind), np.inf)
                reached = np.maximum(values, before[behind][None, :]).min(axis=1)
                worst[behind + 1] = np.minimum(worst[behind + 1], reached)
        least = worst[:, 0].min()
        return None if np.isinf(least) else float(least)

    def _smallest_sums(self) -> tuple[int, ...] | None:
        """The cut with the fewest bytes received and then the least sum of squared times; sharded, the shortest sum of
        times before both. ``None`` where the limits leave no cut."""
        sums = Sums(self.problem, len(self.places.at))
        for device, may_be_empty, open_ in self._devices():
            sums.next_device(may_be_empty)
            for behind in self._behind(device):
                allowed = self._within(device, behind, open_)
                sums.add(behind, allowed, self.time_us(device, behind), self.runs.received)
        return sums.assignment(self.places.at)

    def _devices(self) -> Iterator[tuple[int, bool, Table]]:
        """From the last to the first: whether it may be empty, and the runs it may hold."""
        for device in range(len(self.problem.devices) - 1, -1, -1):
            yield device, self.places.may_be_empty(device), self.places.runs(device)

    def _behind(self, device: int) -> range:
        """How many stages may follow one on the device."""
        later = len(self.problem.devices) - 1 - device
        return range(later + 1) if self.problem.allow_empty else range(later, later + 1)

    def _within(self, device: int, behind: int, allowed: Table) -> Table:
        for value, limit in self._limits:
            allowed = np.logical_and(allowed, value(device, behind) <= limit)
        return allowed


def possible(problem: Problem) -> bool:
    """Whether any cut obeys the constraints."""
    return Search.of(problem, places_of(problem)).best() is not None
