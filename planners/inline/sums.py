"""The cut with the least sums: of bytes received, then of squared times; sharded, of times before both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..problem import Problem, Schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = NDArray[Any]
    Ints = NDArray[np.int64]

NEVER = 1 << 62
"""More than any sum of bytes."""


class Sums:
    """Least sums by number of stages and place, for one device after the other from the last to the first."""

    def __init__(self, problem: Problem, places: int) -> None:
        self._sharded = problem.schedule is Schedule.SHARDED
        self._shape = (len(problem.devices) + 2, places)
        self._held = self._none()
        for table in self._held:
            table[0, -1] = 0
        self._behind = self._held
        self._ends: list[Ints] = []
        """Per device, by number of stages and first place: where its run ends; -1 where the device is empty."""

    def _none(self) -> tuple[NDArray[np.float64], Ints, NDArray[np.float64]]:
        return np.full(self._shape, np.inf), np.full(self._shape, NEVER), np.full(self._shape, np.inf)

    def next_device(self, may_be_empty: bool) -> None:
        self._behind = self._held
        us, bytes_, squares = self._held
        self._held = (us.copy(), bytes_.copy(), squares.copy()) if may_be_empty else self._none()
        self._ends.append(np.full(self._shape, -1))

    def add(self, behind: int, allowed: Table, time_us: Table, received: Table) -> None:
        """Runs of the device with ``behind`` stages behind it: the best end of each start, where it beats no run."""
        us, bytes_, squares = (table[behind] for table in self._behind)
        us = np.where(allowed, (time_us if self._sharded else 0.0) + us, np.inf)
        bytes_ = np.where(allowed, received + bytes_, NEVER)
        squares = np.where(allowed, np.square(time_us) + squares, np.inf)
        best = _first_least(us, bytes_, squares)
        rows = np.arange(len(us))
        found = [table[rows, best] for table in (us, bytes_, squares)]
        held = [table[behind + 1] for table in self._held]
        better = _before(found, held)
        for table, values in zip(held, found, strict=True):
            table[better] = values[better]
        self._ends[-1][behind + 1][better] = best[better]

    def assignment(self, places: Sequence[int]) -> tuple[int, ...] | None:
        """The device of every unit; ``None`` where there is no cut."""
        totals = list(zip(*(table[:, 0] for table in self._held), strict=True))
        stages, place, devices = min(range(len(totals)), key=lambda k: totals[k]), 0, list[int]()
        if not np.isfinite(totals[stages][0]):
            return None
        for device, ends in enumerate(reversed(self._ends)):
            end = int(ends[stages, place])
            if end >= 0:
                devices += [device] * (places[end] - places[place])
                stages, place = stages - 1, end
        return tuple(devices)


def _first_least(us: Table, bytes_: Table, squares: Table) -> Ints:
    """Per row the first column with the least of the first, among those of the second, among those of the third."""
    open_ = us <= us.min(axis=1)[:, None]
    masked = np.where(open_, bytes_, NEVER)
    open_ &= masked <= masked.min(axis=1)[:, None]
    return np.asarray(np.where(open_, squares, np.inf).argmin(axis=1))


def _before(found: Sequence[Table], held: Sequence[Table]) -> NDArray[np.bool_]:
    """Where ``found`` comes first, lexicographically; never where it is nothing."""
    first, second, third = (f < h for f, h in zip(found, held, strict=True))
    ties, more = (f == h for f, h in zip(found[:2], held[:2], strict=True))
    return np.asarray((first | (ties & (second | (more & third)))) & np.isfinite(found[0]))
