"""An estimate of a device's memory while it is being filled, before it is known where the later devices begin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .problem import Problem, Schedule, Unit
from .row import Row
from .stages import stash_depth


@dataclass(frozen=True, slots=True)
class Needs:
    """A row, with what its units need from elsewhere."""

    row: Row
    reads: tuple[tuple[int, ...], ...]
    """Tensors that each unit reads."""
    groups: tuple[tuple[int, ...], ...]
    """Groups that each unit is a member of."""
    returns: tuple[int, ...]
    """Blocks before which a stage returns to an earlier device, ascending."""

    @classmethod
    def of(cls, row: Row) -> Needs:
        problem = row.problem
        return cls(
            row,
            _by_unit(problem, (tensor.readers for tensor in problem.tensors)),
            _by_unit(problem, (group.members for group in problem.groups)),
            tuple(sorted({r.before for r in row.returns if r.before})),
        )

    def depth(self, device: int, start: int) -> int:
        """Of the stash of the run that begins with block ``start``, were every device and every return one stage."""
        stages = len(self.row.fixed) + len(self.returns)
        stage = device + sum(before <= start for before in self.returns)
        return stash_depth(self.row.problem.schedule, stages, stage, stage, self.row.problem.micro_batches)


def _by_unit(problem: Problem, lists: Iterable[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    found: list[list[int]] = [[] for _ in problem.units]
    for index, units in enumerate(lists):
        for unit in units:
            found[unit].append(index)
    return tuple(map(tuple, found))


class Filling:
    """What one device holds so far: its fixed units, then block after block."""

    def __init__(self, needs: Needs, device: int, start: int) -> None:
        self._problem, self._needs = needs.row.problem, needs
        self._training = self._problem.schedule.trains
        self._recomputed = self._problem.schedule is not Schedule.ONE_F_ONE_B
        self._kept = self._problem.devices[device].base_bytes
        self._units, self._tensors, self._groups = set[int](), set[int](), set[int]()
        self._live = self._transient = self._working = self._depth = 0
        first = needs.row.blocks[0][0] if needs.row.blocks else 0
        leading = needs.depth(device, 0)
        for unit in needs.row.fixed[device]:
            self._depth = leading if unit < first else 0
            self._add(unit)
        self._end_segment()
        self._depth = needs.depth(device, start)

    def with_block(self, units: Iterable[int]) -> int:
        """Adds the units; bytes held then."""
        for unit in units:
            self._add(unit)
        return self._kept + max(self._working, self._live + self._transient)

    def _add(self, index: int) -> None:
        unit = self._problem.units[index]
        self._kept += unit.resident_bytes + unit.code_bytes + self._shared(index) + self._stash(index, unit)
        self._transient = max(self._transient, unit.transient_bytes)
        if self._training:
            self._live += unit.live_bytes * (1 if self._recomputed else self._depth)
            self._working = max(self._working, unit.update_bytes)
            if unit.checkpoint_bytes and self._recomputed:
                self._end_segment()
        self._units.add(index)

    def _end_segment(self) -> None:
        self._working = max(self._working, self._live + self._transient)
        self._live = self._transient = 0

    def _shared(self, index: int) -> int:
        found = [i for i in self._needs.groups[index] if i not in self._groups]
        self._groups.update(found)
        groups = [self._problem.groups[i] for i in found]
        if self._training:
            self._working = max([self._working, *(group.update_bytes for group in groups)])
        return sum(group.bytes for group in groups)

    def _stash(self, index: int, unit: Unit) -> int:
        found = [i for i in self._needs.reads[index] if i not in self._tensors]
        self._tensors.update(found)
        tensors = [self._problem.tensors[i] for i in found]
        entering = sum(tensor.bytes for tensor in tensors if tensor.producer not in self._units)
        checkpoint_bytes = unit.checkpoint_bytes if self._training and self._recomputed else 0
        return self._depth * (entering + checkpoint_bytes)
