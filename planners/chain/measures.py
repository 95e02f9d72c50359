"""Time and memory of blocks, as sums up to each edge or as tables over spans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..problem import Problem, Schedule, Unit
from .spans import Floats, Ints, differences


@dataclass(frozen=True)
class Measures:
    """``edges`` are the units where a stage may begin, and the end."""

    problem: Problem
    edges: Ints

    @property
    def training(self) -> bool:
        return self.problem.schedule is Schedule.TRAINING

    @cached_property
    def compute_us(self) -> Floats:
        """Time of a stage at speed 1, as ``evaluate.stage_us``."""
        if not self.training:
            return differences(self._prefix(lambda unit: unit.forward_us))
        forward = self._prefix(lambda unit: unit.forward_us)
        table = differences(self._prefix(lambda unit: unit.forward_us + unit.backward_us)) + differences(forward)
        table[:, -1] += np.maximum(self._forward_to_checkpoint - forward, 0.0) - (forward[-1] - forward)
        return table

    @cached_property
    def floor_us(self) -> Floats:
        """Up to each edge: the time at speed 1 that no placement avoids."""
        forward = self._prefix(lambda unit: unit.forward_us)
        if not self.training:
            return forward
        work = self._prefix(lambda unit: unit.forward_us + unit.backward_us)
        return work + np.minimum(forward, self._forward_to_checkpoint)

    @cached_property
    def _forward_to_checkpoint(self) -> float:
        """Forward time up to the last checkpoint of all: what follows is not recomputed if in the last stage."""
        units = self.problem.units
        last = max((i for i, unit in enumerate(units) if unit.checkpoint_bytes), default=-1)
        return float(sum(unit.forward_us for unit in units[: last + 1]))

    @cached_property
    def held_bytes(self) -> Ints:
        """Up to each edge: weights and code."""
        return self._int_prefix(lambda unit: unit.resident_bytes + unit.code_bytes)

    @cached_property
    def checkpoint_bytes(self) -> Ints:
        """Up to each edge: recompute checkpoints."""
        return self._int_prefix(lambda unit: unit.checkpoint_bytes if self.training else 0)

    @cached_property
    def sequential(self) -> Ints:
        """Up to each edge: number of sequential units."""
        flags = [0, *np.cumsum([unit in self.problem.sequential for unit in range(len(self.problem.units))])]
        return np.array(flags, np.int64)[self.edges]

    @cached_property
    def working_bytes(self) -> Ints:
        """Larger of compute and update peak within a stage; of several stages the largest counts."""
        units = len(self.problem.units)
        table = np.zeros((units + 1, units + 1), np.int64)
        live, transient, peak = (np.zeros(units, np.int64) for _ in range(3))  # of the spans begun at each unit
        for i, unit in enumerate(self.problem.units):
            begun = slice(0, i + 1)
            live[begun] += unit.live_bytes if self.training else 0
            transient[begun] = np.maximum(transient[begun], unit.transient_bytes)
            peak[begun] = np.maximum(peak[begun], live[begun] + transient[begun])
            peak[begun] = np.maximum(peak[begun], self._update_bytes(i))
            table[begun, i + 1] = peak[begun]
            if unit.checkpoint_bytes and self.training:
                live[begun] = transient[begun] = 0
        return table[np.ix_(self.edges, self.edges)]

    def _update_bytes(self, unit: int) -> int:
        if not self.training:
            return 0
        groups = [group.update_bytes for group in self.problem.groups if unit in group.members]
        return max([self.problem.units[unit].update_bytes, *groups])

    def _prefix(self, value: Callable[[Unit], float]) -> Floats:
        sums = np.concatenate([[0.0], np.cumsum([value(unit) for unit in self.problem.units])])
        return sums[self.edges]

    def _int_prefix(self, value: Callable[[Unit], int]) -> Ints:
        sums = np.cumsum(np.array([0, *(value(unit) for unit in self.problem.units)], np.int64))
        return sums[self.edges]
