"""The planner: validates, solves, and says no more than was proved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..balanced import Flops
from ..evaluate import TIE, Evaluation, evaluate, preferred
from ..greedy import Greedy
from ..problem import Problem
from ..solution import Feasible, Infeasible, Optimal, Solution
from ..uniform import Uniform
from ..validation import validate
from .contradiction import explain
from .homes import ContradictionError, Homes

if TYPE_CHECKING:
    from .phases import Phases, Progress

NAME = "chain"
FALLBACK_S = 3e-5
"""Seconds per unit kept for an answer without search; measured with 100,000 units on 64 devices."""


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
        """ProblemError where the problem is malformed. ``clock`` counts seconds."""
        validate(problem)
        return _Run(problem, self, clock).solution()


class _Run:
    def __init__(self, problem: Problem, limits: Chain, clock: Callable[[], float]) -> None:
        self._problem, self._clock = problem, clock
        reserve = min(limits.time_limit / 2, FALLBACK_S * len(problem.units))
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
            return self._fallback(progress)
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

    def _fallback(self, progress: Progress) -> Solution:
        """Nothing was found in time: the best of what needs no search."""
        proved = progress.none_fits
        reason = "every assignment lacks memory" if proved else "no assignment that fits was found in time"
        answers: list[Solution] = []
        for planner in (Flops(), Greedy(), Uniform()):
            answers += [answer for answer in (planner(self._problem),) if answer.assignment is not None]
            if answers and not isinstance(answers[-1], Infeasible):
                break
        if not answers:
            return Infeasible(NAME, reason, proved=proved)
        found = [answer.evaluation for answer in answers if answer.evaluation is not None]
        least = min(evaluation.shortfall_bytes for evaluation in found)
        near = [i for i, evaluation in enumerate(found) if evaluation.shortfall_bytes == least]
        best = near[preferred([found[i] for i in near])]
        assignment, evaluation = answers[best].assignment, found[best]
        assert assignment is not None
        if not least:
            return Feasible(assignment, evaluation, NAME, min(progress.bound, evaluation.leading))
        proved_bytes = min(least, round(progress.least_lack_bytes))
        reason = f"{reason}; the nearest found lacks {least} bytes on one device"
        return Infeasible(NAME, reason, least, proved, assignment, evaluation, proved_bytes)

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
