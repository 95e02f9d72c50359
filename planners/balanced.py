"""The baselines that balance one quantity over the devices: bytes of weights, or compute time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from .cuts import completions, cut, ends_of, no_cut
from .layers import judged, weight_bytes, work_us
from .problem import Problem
from .row import Row, row_of
from .solution import Solution
from .validation import validate

if TYPE_CHECKING:
    from .cuts import Ends, Indices

CLOSE = 1e-12
"""Relative difference at which the search for the least share of time ends."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Balances weights: the largest sum of resident and shared bytes of a device is as small as cuts between layers
    allow. A shared group counts once, with its first member. Memory and time are looked at only to judge the result.
    """

    def __call__(self, problem: Problem) -> Solution:
        """ProblemError where the problem is malformed."""
        validate(problem)
        return _balanced(problem, "parameters", weight_bytes(problem), [1.0] * len(problem.devices), 1.0)


@dataclass(frozen=True, slots=True)
class Flops:
    """Balances compute: the longest time of a device without copies is as short as cuts between layers allow.

    Units after the model's last checkpoint count without recomputation.
    """

    def __call__(self, problem: Problem) -> Solution:
        """ProblemError where the problem is malformed."""
        validate(problem)
        return _balanced(problem, "flops", work_us(problem), [device.speed for device in problem.devices], 0.0)


def _balanced(
    problem: Problem, planner: str, weights: Sequence[float], rates: Sequence[float], grain: float
) -> Solution:
    row = row_of(problem)
    cuts = least_cuts(row, weights, rates, grain)
    if cuts is None:
        return no_cut(planner, row)
    return judged(problem, planner, f"the split by {planner}", row.assignment(cuts))


def least_cuts(row: Row, weights: Sequence[float], rates: Sequence[float], grain: float) -> tuple[int, ...] | None:
    """Cuts with the least largest share, as even as that leaves; ``None`` where no cuts obey the constraints.

    The share of a device is the sum of the ``weights`` of its units over its rate; shares are multiples of ``grain``,
    or found to within ``CLOSE`` where that is 0. Bisection: about 45 looks at every block and device.
    """
    shares = _Shares(row, weights, rates)
    ends = ends_of(row)
    best = shares.even(ends)
    if best is None:
        return None
    high = shares.largest(best)
    low = shares.bound() - max(grain, high * CLOSE)
    while high - low > max(grain, high * CLOSE):
        middle = (low + high) / 2
        found = shares.even(shares.within(ends, middle))
        if found is None:
            low = middle
        else:
            best, high = found, min(middle, shares.largest(found))
    return best


class _Shares:
    """What the devices bear under any cuts of one row."""

    def __init__(self, row: Row, weights: Sequence[float], rates: Sequence[float]) -> None:
        import numpy as np

        self._before = np.cumsum([0.0, *(sum(weights[unit] for unit in block) for block in row.blocks)])
        self._fixed = [float(sum(weights[unit] for unit in units)) for units in row.fixed]
        self._rates = rates
        self._later_fixed = [*accumulate(reversed(self._fixed))][::-1]
        self._later_rates = [*accumulate(reversed(rates))][::-1]

    def bound(self) -> float:
        """No largest share is below."""
        fixed = max(weight / rate for weight, rate in zip(self._fixed, self._rates, strict=True))
        return max(fixed, float(self._before[-1] + self._later_fixed[0]) / self._later_rates[0])

    def largest(self, cuts: Sequence[int]) -> float:
        runs = zip(self._fixed, self._rates, (0, *cuts), cuts, strict=False)
        return max(float(fixed + self._before[stop] - self._before[start]) / rate for fixed, rate, start, stop in runs)

    def within(self, ends: Sequence[Ends], most: float) -> list[Ends]:
        """The ends that leave every device a share of at most ``most``."""
        room = [most * rate - fixed for rate, fixed in zip(self._rates, self._fixed, strict=True)]
        reach = {free: self._reach(free) for free in set(room)}
        return [end.within(reach[free], free >= 0) for end, free in zip(ends, room, strict=True)]

    def _reach(self, room: float) -> Indices:
        import numpy as np

        return np.searchsorted(self._before, self._before + room, side="right") - 1

    def even(self, ends: Sequence[Ends]) -> tuple[int, ...] | None:
        """Cuts among the ends that come near to equal shares, device by device."""

        def nearest(device: int, start: int, candidates: Indices) -> int:
            left = self._later_fixed[device] + self._before[-1] - self._before[start]
            share = left * self._rates[device] / self._later_rates[device] - self._fixed[device]
            return int(candidates[abs(self._before[candidates] - self._before[start] - share).argmin()])

        return cut(ends, completions(ends), nearest)
