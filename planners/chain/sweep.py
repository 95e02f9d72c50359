"""Dynamic programming over devices: the best way to cut the gaps of a skeleton into segments.

Per state of the lattice, a vector says the best value for each block that may come next. A device either takes a
segment (a table of costs ``[start, stop]``) or, where devices may be empty, is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .lattice import Lattice, State, Take
from .spans import Bools, Floats


@dataclass(frozen=True, slots=True)
class Kind:
    """How costs of devices become one value."""

    combine: Callable[[Floats, Floats], Floats]
    nothing: float


LARGEST = Kind(np.maximum, -np.inf)
TOTAL = Kind(np.add, 0.0)


Costs = Callable[[int, int], Floats]
"""(device, rank) to a table; infinite where forbidden."""
Closed = Mapping[State, Bools]
"""(device, used before it) to a vector: True where skipping the device there is forbidden."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One criterion on one lattice."""

    lattice: Lattice
    kind: Kind
    costs: Costs
    closed: Closed

    def best(self) -> float:
        """The value of the best way; infinite where there is none."""
        return self._final(self.forward())

    def forward(self) -> dict[State, Floats]:
        """Per state: best value of the devices before, for each next block."""
        reached = {(0, 0): self._vector(0, self.kind.nothing)}
        for device in range(self.lattice.decided):
            for after, used in self.lattice.skips(device):
                if (device, used) in reached:
                    _least(reached, (after, used), self._skipped(device, used, reached[device, used]))
            for rank in self.lattice.takes(device):
                if (device, rank) in reached:
                    _least(reached, (device + 1, rank + 1), self._taken(device, rank, reached[device, rank]))
        return reached

    def backward(self) -> dict[State, Floats]:
        """Per state: best value of the devices from there on, for each next block."""
        lattice = self.lattice
        rest = {(lattice.decided, lattice.ranks): self._vector(lattice.landing(lattice.ranks), self.kind.nothing)}
        for device in reversed(range(lattice.decided)):
            for after, used in lattice.skips(device):
                if (after, used) in rest:
                    _least(rest, (device, used), self._skipped(device, used, rest[after, used]))
            for rank in lattice.takes(device):
                if (device + 1, rank + 1) in rest:
                    _least(rest, (device, rank), self._before(device, rank, rest[device + 1, rank + 1]))
        return rest

    def path(self) -> dict[int, tuple[int, int]]:
        """Device to segment of one best way, always the same of equals."""
        reached, segments = self.forward(), {}
        skips = {(there, here) for here, there in self.lattice.all_skips()}
        state, at = (self.lattice.decided, self.lattice.ranks), self.lattice.landing(self.lattice.ranks)
        while state != (0, 0):
            target, (device, used) = reached[state][at], state
            for there, here in sorted(skips):
                if there == state and here in reached and self._skipped(*here, reached[here])[at] == target:
                    state = here
                    break
            else:
                state = device - 1, used - 1
                segments[device - 1] = start, _ = self._last_segment(*state, reached[state], at)
                at = start
        return segments

    def narrow(self, limit: float) -> tuple[dict[Take, Bools], dict[State, Bools]]:
        """What lies on ways of value ``limit`` or less: spans per take, and where skipping is now forbidden.

        Of the largest, any way within the result obeys the limit. Of a total, it does if the limit is the best value.
        """
        before, after, combine = self.forward(), self.backward(), self.kind.combine
        spans, closed = {}, {}
        for device, rank in self.lattice.all_takes():
            left, right = before.get((device, rank)), after.get((device + 1, rank + 1))
            if left is not None and right is not None:
                value = combine(combine(left[:, None], self.costs(device, rank)), self._arrivals(rank, right)[None, :])
                spans[device, rank] = value <= limit
        for here, there in self.lattice.all_skips():
            left, right = before.get(here), after.get(there)
            if left is not None and right is not None:
                closed[here] = combine(left, right) > limit
        return spans, closed

    def _final(self, reached: Mapping[State, Floats]) -> float:
        last = reached.get((self.lattice.decided, self.lattice.ranks))
        return np.inf if last is None else float(last[self.lattice.landing(self.lattice.ranks)])

    def _vector(self, at: int, value: float) -> Floats:
        vector = np.full(self.lattice.skeleton.blocks + 1, np.inf)
        vector[at] = value
        return vector

    def _skipped(self, device: int, used: int, vector: Floats) -> Floats:
        closed = self.closed.get((device, used))
        return vector if closed is None else np.where(closed, np.inf, vector)

    def _taken(self, device: int, rank: int, reached: Floats) -> Floats:
        gap, table = self.lattice.skeleton.gap(rank), self.costs(device, rank)
        rows = slice(gap.low, gap.high + 1)
        if gap.landing is not None:
            return self._vector(gap.landing, float(self.kind.combine(reached[rows], table[rows, gap.high]).min()))
        vector = self._vector(0, np.inf)
        vector[rows] = self.kind.combine(reached[rows, None], table[rows, rows]).min(axis=0)
        return vector

    def _before(self, device: int, rank: int, rest: Floats) -> Floats:
        gap, table = self.lattice.skeleton.gap(rank), self.costs(device, rank)
        rows = slice(gap.low, gap.high + 1)
        vector = self._vector(0, np.inf)
        vector[rows] = self.kind.combine(table[rows, rows], self._arrivals(rank, rest)[None, rows]).min(axis=1)
        return vector

    def _arrivals(self, rank: int, rest: Floats) -> Floats:
        """``rest`` by the block where the segment stops, which the returns after it separate from the next one."""
        gap = self.lattice.skeleton.gap(rank)
        stops = self._vector(0, np.inf)
        if gap.landing is None:
            stops[gap.low : gap.high + 1] = rest[gap.low : gap.high + 1]
        else:
            stops[gap.high] = rest[gap.landing]
        return stops

    def _last_segment(self, device: int, rank: int, reached: Floats, at: int) -> tuple[int, int]:
        gap, table = self.lattice.skeleton.gap(rank), self.costs(device, rank)
        stop = at if gap.landing is None else gap.high
        rows = slice(gap.low, gap.high + 1)
        return gap.low + int(self.kind.combine(reached[rows], table[rows, stop]).argmin()), stop


def _least(states: dict[State, Floats], state: State, vector: Floats) -> None:
    states[state] = np.minimum(states[state], vector) if state in states else vector
