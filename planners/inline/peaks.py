"""Working memory of runs of units: see ``evaluate`` for the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..problem import Problem, Schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


class Peaks:
    """Told of every unit from the last to the first; all tables are by the unit behind the end of the run."""

    def __init__(self, problem: Problem) -> None:
        units, trains = problem.units, problem.schedule.trains
        self._segments = problem.schedule is Schedule.TRAINING
        self._live = np.array([u.live_bytes if self._segments else 0 for u in units], np.int64)
        self._transient = np.array([u.transient_bytes for u in units], np.int64)
        self._update = np.array([u.update_bytes if trains else 0 for u in units], np.int64)
        for group in problem.groups if trains else ():
            members = list(group.members)
            self._update[members] = np.maximum(self._update[members], group.update_bytes)
        self._ends = [self._segments and unit.checkpoint_bytes > 0 for unit in units]
        self._end = len(units)
        """Behind the segment that the first unit of the run is in."""
        self._behind = np.zeros(len(units) + 1, np.int64)
        """Peaks of the runs that begin there."""

    def begin_at(self, unit: int) -> None:
        if self._ends[unit]:
            self._behind = self._peak(unit + 1)
            self._end = unit + 1

    def of(self, start: int) -> dict[str, Ints]:
        update = np.zeros(len(self._update) + 1, np.int64)
        update[start + 1 :] = np.maximum.accumulate(self._update[start:])
        return {"peak": self._peak(start), "update": update}

    def _peak(self, start: int) -> Ints:
        """All that has run is live until the segment of ``start`` ends; then the worst of all segments counts."""
        found = np.zeros(len(self._live) + 1, np.int64)
        if start < self._end:
            live = np.cumsum(self._live[start : self._end])
            found[start + 1 : self._end + 1] = live + np.maximum.accumulate(self._transient[start : self._end])
        whole = found[self._end] if start < self._end else 0
        found[self._end + 1 :] = np.maximum(whole, self._behind[self._end + 1 :])
        return found
