"""The planner: validates, solves, and says no more than was proved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..evaluate import TIE, Evaluation, evaluate
from ..fallback import SECONDS_PER_UNIT, fallback
from ..problem import Problem
from ..solution import Feasible, Infeasible, Optimal, Solution
from ..support import refuse_unknown
from ..validation import validate
from .contradiction import explain
from .homes import ContradictionError, Homes

if TYPE_CHECKING:
    from .phases import Phases, Progress

NAME = "chain"


@dataclass(frozen=True, slots=True)
class Chain:
    """Exact: dynamic programming over stages, for every set of stages that return to a visited device.

    Without returns, and with those that sequential layers leave possible, that is milliseconds. Each return that is
    really free multiplies the work by up to ``blocks^2 x devices``; most is left out unseen. Past either limit the
    answer is the best found, with a lower bound that was proved.
    """

    time_limit: float = 10.0
    """Seconds."""
    rows: int = 10_000_000
    """Sets of returns to look at, each once per device: a limit that, unlike seconds, is the same on every machine."""

    def __post_init__(self) -> None:
        if not self.time_limit >= 0 or self.rows < 0:
            raise ValueError(f"chain has time_limit {self.time_limit} and rows {self.rows}, expected 0 or more")

    def __call__(self, problem: Problem, clock: Callable[[], float] = time.perf_counter) -> Solution:
        """ProblemError where the problem is malformed, ValueError for what :func:`refuse_unknown` names.

        ``clock`` counts seconds.
        """
        validate(problem)
        refuse_unknown(NAME, problem)
        return _Run(problem, self, clock).solution()


class _Run:
    def __init__(self, problem: Problem, limits: Chain, clock: Callable[[], float]) -> None:
        self._problem, self._clock = problem, clock
        size = len(problem.units) + sum(len(tensor.readers) for tensor in problem.tensors)
        reserve = min(limits.time_limit / 2, SECONDS_PER_UNIT * size)
        self._until, self._left = clock() + limits.time_limit - reserve, limits.rows

    def solution(self) -> Solution:
        try:
            homes = Homes.of(self._problem)
        except ContradictionError as contradiction:
            return Infeasible(NAME, str(contradiction), proved=True)
        phases = self._phases(self._problem, homes)
        complete = self._within_limits(phases.run)
        progress = phases.progress
        if progress.none_valid:
            return Infeasible(NAME, explain(self._problem, self._possible), proved=True)
        if progress.best.values is None:
            least = round(progress.least_lack_bytes)
            return fallback(self._problem, NAME, progress.bound, progress.none_fits, least)
        assignment = phases.assignment()
        evaluation = evaluate(self._problem, assignment)
        _agree(evaluation.valid, assignment)
        if progress.none_fits:
            _agree(not evaluation.fits, assignment)
            return self._too_large(progress, assignment, evaluation)
        _agree(evaluation.fits, assignment)
        return self._fits(progress, complete, assignment, evaluation)

    def _fits(self, progress: Progress, complete: bool, assignment: tuple[int, ...], found: Evaluation) -> Solution:
        if progress.leading or found.leading <= progress.bound * (1 + TIE):
            return Optimal(assignment, found, NAME, refined=complete and progress.refined)
        return Feasible(assignment, found, NAME, min(progress.bound, found.leading))

    def _too_large(self, progress: Progress, assignment: tuple[int, ...], found: Evaluation) -> Solution:
        lack = found.shortfall_bytes
        worst = max(range(len(found.devices)), key=lambda d: found.devices[d].shortfall_bytes)
        least = min(lack, max(1, round(progress.least_lack_bytes)))
        reason = f"every assignment lacks memory; the nearest lacks {lack} bytes on device {worst}"
        if least < lack:
            reason += f" (found in time; the least is {least} bytes or more)"
        return Infeasible(NAME, reason, lack, True, assignment, found, least)

    def _possible(self, problem: Problem) -> bool | None:
        """Whether some assignment obeys all constraints, None where time does not suffice to say."""
        try:
            phases = self._phases(problem, Homes.of(problem))
        except ContradictionError:
            return False
        complete = self._within_limits(phases.lack)
        return True if phases.progress.best.values is not None else (False if complete else None)

    def _phases(self, problem: Problem, homes: Homes) -> Phases:
        from .blocks import Blocks
        from .phases import Phases

        return Phases(Blocks.of(problem, homes), self._tick)

    def _within_limits(self, work: Callable[[], object]) -> bool:
        """Whether the work came to its end."""
        from .phases import OutOfTimeError

        try:
            work()
        except OutOfTimeError:
            return False
        return True

    def _tick(self, rows: int) -> None:
        from .phases import OutOfTimeError

        self._left = -1 if self._clock() > self._until else self._left - rows
        if self._left < 0:
            raise OutOfTimeError


def _agree(holds: bool, assignment: tuple[int, ...]) -> None:
    """The tables of the search say what the judge says; anything else is a bug here."""
    if not holds:
        raise AssertionError(f"chain and evaluate disagree on {assignment}; please report the problem as JSON")
