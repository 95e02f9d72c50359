"""What a run gets from elsewhere, gives away, and shares, for all runs that begin at one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..evaluate import copies_of, moved_bytes
from ..problem import Problem, Schedule, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


class Flows:
    """Told of every unit from the last to the first; all tables are by the unit behind the end of the run."""

    def __init__(self, problem: Problem) -> None:
        count = len(problem.units)
        self._problem = problem
        self._tensors = [tensor for tensor in problem.tensors if tensor.readers]
        self._readers, self._makers, self._members = (_lists(count) for _ in range(3))
        for index, tensor in enumerate(self._tensors):
            self._makers[_maker(tensor)].append(index)
            for reader in tensor.readers:
                self._readers[reader].append(index)
        for index, group in enumerate(problem.groups):
            for member in group.members:
                self._members[member].append(index)
        self._received, self._arrivals, self._read, self._shared = (np.zeros(count + 1, np.int64) for _ in range(4))
        self._sent, self._departures = (np.zeros(count + 1, np.int64) for _ in range(2))
        self._next: dict[int, int] = {}
        self._member: dict[int, int] = {}

    def begin_at(self, unit: int) -> None:
        """``unit`` is the first of the run now. What is read or shared counts at the first unit that does."""
        for index in self._readers[unit]:
            self._reads(index, unit)
        for index in self._makers[unit]:
            self._makes(index, unit)
        for index in self._members[unit]:
            group = self._problem.groups[index]
            self._shared[self._member.get(index, unit)] -= group.bytes if index in self._member else 0
            self._shared[unit] += group.bytes
            self._member[index] = unit

    def _reads(self, index: int, unit: int) -> None:
        before = self._next.get(index)
        if before is not None:
            self._count(index, before, -1)
        self._count(index, unit, 1)
        self._next[index] = unit

    def _count(self, index: int, unit: int, sign: int) -> None:
        tensor = self._tensors[index]
        self._received[unit] += sign * moved_bytes(self._problem, tensor)
        self._arrivals[unit] += sign * copies_of(self._problem, tensor)
        self._read[unit] += sign * tensor.bytes

    def _makes(self, index: int, unit: int) -> None:
        """From here on it is made in the run; what the host gives is read there still."""
        tensor, first = self._tensors[index], self._next[index]
        self._count(index, first, -1)
        if tensor.producer is None:
            self._read[first] += tensor.bytes
        if self._problem.schedule is not Schedule.SHARDED:
            away = slice(unit + 1, tensor.readers[-1] + 1)
            self._sent[away] += moved_bytes(self._problem, tensor)
            self._departures[away] += copies_of(self._problem, tensor)

    def of(self, start: int) -> dict[str, Ints]:
        received = _from(self._received, start)
        return {
            "received": received,
            "moved": received + self._sent,
            "copies": _from(self._arrivals, start) + self._departures,
            "reads": _from(self._read, start),
            "shared": _from(self._shared, start),
        }


def _lists(count: int) -> list[list[int]]:
    return [[] for _ in range(count)]


def _maker(tensor: Tensor) -> int:
    return tensor.readers[0] if tensor.producer is None else tensor.producer


def _from(at: Ints, start: int) -> Ints:
    """Sums over the units from ``start`` to before each."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(at[:-1])])
    return np.asarray(before - before[start])
