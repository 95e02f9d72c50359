"""Where a run of units may begin when every device holds one, and which runs a device may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..problem import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]


def in_order(problem: Problem) -> bool:
    """Whether no valid assignment returns to a device, so that runs in device order are all there are."""
    ties = any(group.colocate and len(group.members) > 1 for group in problem.groups)
    loose = len(problem.sequential) < len(problem.units) and problem.schedule.returns
    return not (loose and (ties or problem.pins))


def places_of(problem: Problem) -> list[int]:
    """Units before which a run may begin, and the end: no tied group and no pair that may not be parted is cut."""
    count = len(problem.units)
    whole = [(cut, cut + 1) for cut in problem.forbidden_cuts]
    whole += [(g.members[0], g.members[-1]) for g in problem.groups if g.colocate and g.members]
    begun = np.zeros(count + 1, np.int64)
    for first, last in whole:
        begun[first + 1] += 1
        begun[last + 1] -= 1
    covered = np.cumsum(begun)
    return [0, *(int(p) for p in np.flatnonzero(covered[:count] == 0) if p), count]


@dataclass(frozen=True, slots=True)
class Places:
    """The places, and the counts of units that devices ask for."""

    problem: Problem
    at: tuple[int, ...]

    def runs(self, device: int) -> Bools:
        """Per pair of places: whether the run between them may be on the device."""
        asked, edges = self.problem.devices[device], np.array(self.at)
        strangers = [unit for unit, home in self.problem.pins if home != device]
        units, pinned = _between(edges), _between(np.searchsorted(sorted(strangers), edges))
        allowed = (units >= max(1, asked.min_units)) & (pinned == 0)
        if asked.layers is not None:
            layers = _between(np.searchsorted(sorted(self.problem.sequential), edges))
            allowed &= layers == asked.layers
        return np.asarray(allowed)

    def may_be_empty(self, device: int) -> bool:
        return self.problem.allow_empty and self.problem.devices[device].layers in (None, 0)


def _between(before: Ints) -> Ints:
    """Per pair of places: how many lie between, from how many lie before each."""
    return np.asarray(before[None, :] - before[:, None])
