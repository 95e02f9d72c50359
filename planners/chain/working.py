"""Working memory of a stage: the larger of compute and update peak, for any span."""

from __future__ import annotations

import numpy as np

from ..problem import Problem, Schedule
from .spans import Floats, Ints, RangeMax, Window


class Working:
    """See ``evaluate`` for the rule. Spans of blocks; sums are over units."""

    def __init__(self, problem: Problem, edges: Ints) -> None:
        units, self._edges = problem.units, edges
        training = problem.schedule is Schedule.TRAINING
        live = np.array([unit.live_bytes * training for unit in units], np.float64)
        transient = np.array([unit.transient_bytes for unit in units], np.float64)
        update = np.array([unit.update_bytes * training for unit in units], np.float64)
        for group in problem.groups if training else ():
            members = list(group.members)
            update[members] = np.maximum(update[members], group.update_bytes)
        ends = [i + 1 for i, unit in enumerate(units) if training and unit.checkpoint_bytes]
        self._live = np.concatenate([[0.0], live.cumsum()])
        self._transient, self._update = RangeMax(transient), RangeMax(update)
        self._segments(np.array([0, *ends, *([] if ends and ends[-1] == len(units) else [len(units)])], np.int64))

    def _segments(self, marks: Ints) -> None:
        """Recompute segments lie between the marks."""
        whole = self._peak(marks[:-1], marks[1:])
        self._whole = RangeMax(whole)
        after = np.searchsorted(marks, self._edges, side="right")  # first mark beyond each edge
        self._next = np.minimum(after, len(marks) - 1)
        self._begun = self._peak(self._edges, marks[self._next])  # from each edge to the end of its segment
        self._current = np.maximum(np.searchsorted(marks, self._edges, side="left") - 1, 0)
        self._open = self._peak(marks[self._current], self._edges)  # from the begin of the segment to each edge
        self._end = marks[self._next]

    def table(self, window: Window) -> Floats:
        starts, stops = window.starts, window.stops
        start, stop = self._edges[starts], self._edges[stops]
        one = self._live[stop] - self._live[start][:, None] + self._transient.table(start, stop)
        between = self._whole.table(self._next[starts], self._current[stops])
        ends = np.maximum(self._begun[starts][:, None], self._open[stops])
        compute = np.where(self._end[starts][:, None] >= stop, one, np.maximum(between, ends))
        return np.maximum(compute, self._update.table(start, stop))

    def between(self, start: Ints, stop: Ints) -> Floats:
        """As ``table``, for pairs of edges."""
        first, last = self._edges[start], self._edges[stop]
        one = self._peak(first, last)
        between = self._whole.of(self._next[start], self._current[stop])
        compute = np.where(
            self._end[start] >= last, one, np.maximum(between, np.maximum(self._begun[start], self._open[stop]))
        )
        return np.maximum(compute, self._update.of(first, last))

    def of(self, start: int, stop: int) -> float:
        return float(self.table(Window(start, start, stop, stop))[0, 0])

    def _peak(self, start: Ints, stop: Ints) -> Floats:
        """Of units within one segment."""
        peak: Floats = self._live[stop] - self._live[start] + self._transient.of(start, stop)
        return peak
