"""The one way to ask a planner: the problem is checked before, the answer after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from .evaluate import evaluate
from .problem import Problem
from .registry import Planner, PlannerError, parse
from .solution import Infeasible, Solution


def solve(
    problem: Problem, planner: Planner | str = "chain", clock: Callable[[], float] = time.perf_counter
) -> Solution:
    """The planner's answer, confirmed by ``evaluate``, with the seconds it took.

    ProblemError where the problem is malformed (planners check that first); PlannerError for an unknown planner, and
    for an answer that the judge rejects.
    """
    chosen = parse(planner) if isinstance(planner, str) else planner
    begin = clock()
    solution = chosen(problem)
    seconds = clock() - begin
    confirm(problem, solution)
    return replace(solution, seconds=seconds)


def confirm(problem: Problem, solution: Solution) -> None:
    """Raise :class:`PlannerError` where a solution claims anything that ``evaluate`` does not."""
    if solution.assignment is None:
        if not isinstance(solution, Infeasible):
            raise PlannerError(f"planner {solution.planner!r} gave an answer without an assignment")
        return
    found = evaluate(problem, solution.assignment)
    wrong = list(found.violations)
    if solution.evaluation != found:
        wrong.append("its numbers are not those of evaluate")
    if isinstance(solution, Infeasible):
        if not 0 < solution.shortfall_bytes == found.shortfall_bytes >= solution.least_shortfall_bytes:
            wrong.append(
                f"it claims a lack of {solution.shortfall_bytes} bytes, at least {solution.least_shortfall_bytes}; "
                f"there is one of {found.shortfall_bytes}"
            )
    else:
        if not found.fits:
            wrong.append(f"it lacks {found.shortfall_bytes} bytes on one device")
        if not solution.lower_bound <= found.leading:
            wrong.append(f"its lower bound {solution.lower_bound} is above its value {found.leading}")
    if wrong:
        raise PlannerError(f"planner {solution.planner!r} gave an answer that the judge rejects: {'; '.join(wrong)}")
