"""The planner: validates, solves, and says no more than was proved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..evaluate import TIE, evaluate
from ..problem import Problem, Schedule
from ..solution import Feasible, Infeasible, Optimal, Solution
from ..validation import validate
from .contradiction import explain
from .homes import ContradictionError, Homes

if TYPE_CHECKING:
    from .solve import Incumbent, Solver

NAME = "chain"


@dataclass(frozen=True, slots=True)
class Chain:
    """Exact: dynamic programming over segments, for every set of stages that return to a visited device.

    Without returns, and with those that sequential layers leave possible, that is milliseconds. Each return that is
    really free multiplies the skeletons by up to ``blocks^2 x devices^2``; most are discarded unseen. Past either limit
    the answer is the best found, with a lower bound that was proved.
    """

    time_limit: float = 10.0
    """Seconds."""
    skeletons: int = 100_000
    """Partial and complete skeletons to look at: a limit that, unlike seconds, is the same on every machine."""

    def __post_init__(self) -> None:
        if not self.time_limit >= 0 or self.skeletons < 0:
            raise ValueError(
                f"chain has time_limit {self.time_limit} and skeletons {self.skeletons}, expected 0 or more"
            )

    def __call__(self, problem: Problem, clock: Callable[[], float] = time.perf_counter) -> Solution:
        """ProblemError where the problem is malformed. ``clock`` counts seconds."""
        validate(problem)
        return _Run(problem, self, clock).solution()


class _Run:
    def __init__(self, problem: Problem, limits: Chain, clock: Callable[[], float]) -> None:
        self._problem, self._limits, self._clock = problem, limits, clock
        self._until, self._left = clock() + limits.time_limit, limits.skeletons

    def solution(self) -> Solution:
        try:
            homes = Homes.of(self._problem)
        except ContradictionError as contradiction:
            return Infeasible(NAME, str(contradiction), proved=True)
        solver = self._solver(self._problem, homes)
        lack = solver.lack()
        if not lack.ties:
            return self._nothing(proved=lack.complete)
        if lack.value > 0:
            return self._too_large(homes, lack)
        best = solver.objective(lack.ties)
        return self._best(solver.finish(best), best.complete)

    def _best(self, assignment: tuple[int, ...], complete: bool) -> Solution:
        evaluation = evaluate(self._problem, assignment)
        _agree(evaluation.valid and evaluation.fits, assignment)
        bound_us = lower_bound_us(self._problem)
        if complete or evaluation.objective_us <= bound_us * (1 + TIE):
            return Optimal(assignment, evaluation, NAME)
        return Feasible(assignment, evaluation, NAME, min(bound_us, evaluation.objective_us))

    def _too_large(self, homes: Homes, lack: Incumbent) -> Solution:
        """The nearest assignment is the best one were every device larger by what is lacking."""
        missing = int(lack.value)
        devices = tuple(replace(d, capacity_bytes=d.capacity_bytes + missing) for d in self._problem.devices)
        larger = self._solver(replace(self._problem, devices=devices), homes)
        assignment = larger.finish(larger.objective(lack.ties))
        evaluation = evaluate(self._problem, assignment)
        _agree(evaluation.valid and evaluation.shortfall_bytes == missing, assignment)
        worst = max(range(len(devices)), key=lambda d: evaluation.devices[d].shortfall_bytes)
        extent = "every assignment lacks memory" if lack.complete else "no assignment that fits was found in time"
        reason = f"{extent}; the nearest lacks {missing} bytes on device {worst}"
        return Infeasible(NAME, reason, missing, lack.complete, assignment, evaluation)

    def _nothing(self, proved: bool) -> Solution:
        if not proved:
            return Infeasible(NAME, "no assignment that obeys the constraints was found in time")
        return Infeasible(NAME, explain(self._problem, self._possible), proved=True)

    def _possible(self, problem: Problem) -> bool | None:
        """Whether some assignment obeys all constraints, None where time does not suffice to say."""
        try:
            lack = self._solver(problem, Homes.of(problem)).lack()
        except ContradictionError:
            return False
        return True if lack.ties else (False if lack.complete else None)

    def _solver(self, problem: Problem, homes: Homes) -> Solver:
        from .blocks import Blocks
        from .solve import Solver

        return Solver(Blocks.of(problem, homes), self._tick)

    def _tick(self) -> None:
        from .solve import OutOfBudgetError

        self._left = -1 if self._clock() > self._until else self._left - 1
        if self._left < 0:
            raise OutOfBudgetError


def _agree(holds: bool, assignment: tuple[int, ...]) -> None:
    """The tables of the search say what the judge says; anything else is a bug here."""
    if not holds:
        raise AssertionError(f"chain and evaluate disagree on {assignment}; please report the problem as JSON")


def lower_bound_us(problem: Problem) -> float:
    """No assignment has a better objective: work that nothing avoids, spread perfectly, and no unit is divided."""
    fastest = max(device.speed for device in problem.devices)
    last = max((i for i, unit in enumerate(problem.units) if unit.checkpoint_bytes), default=-1)
    if problem.schedule is not Schedule.TRAINING:
        work = [unit.forward_us for unit in problem.units]
    else:
        work = [u.forward_us * (2 if i <= last else 1) + u.backward_us for i, u in enumerate(problem.units)]
    if problem.schedule is Schedule.SHARDED:
        return sum(work) / fastest
    return max(sum(work) / sum(device.speed for device in problem.devices), max(work) / fastest)
