"""The one way to ask a planner: the problem is checked before, the answer after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from . import registry
from .evaluate import evaluate
from .graph.problem import GraphProblem
from .problem import Problem
from .registry import Planner, PlannerError, WrongAnswerError
from .solution import Infeasible, Solution


def solve(
    problem: Problem | GraphProblem,
    planner: Planner | str | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Solution:
    """The planner's answer, confirmed by ``evaluate``, with the seconds it took.

    ``planner``: ``chain``, or ``auto`` for a graph, where it is ``None``. ProblemError where the problem is malformed
    (planners check that first); PlannerError for an unknown planner, or one that does not take such problems or is not
    installed; WrongAnswerError for an answer that the judge rejects.
    """
    chosen = planner_for(problem, planner)
    begin = clock()
    solution = chosen(problem)
    seconds = clock() - begin
    confirm(problem, solution)
    return replace(solution, seconds=seconds)


def planner_for(problem: Problem | GraphProblem, planner: Planner | str | None = None) -> Planner:
    """The planner that is asked. PlannerError for an unknown one, and one that does not take such problems."""
    named = default_for(problem) if planner is None else planner
    chosen = registry.parse(named) if isinstance(named, str) else named
    if not isinstance(problem, registry.takes(chosen)):
        kind = "graph" if isinstance(problem, GraphProblem) else "chain"
        able = ", ".join(registry.names_for(type(problem)))
        raise PlannerError(f"planner {registry.specification(chosen)!r} cannot plan a {kind}; use one of {able}")
    return chosen


def default_for(problem: Problem | GraphProblem) -> str:
    """The planner for who names none."""
    return "auto" if isinstance(problem, GraphProblem) else "chain"


def confirm(problem: Problem | GraphProblem, solution: Solution) -> None:
    """Raise :class:`WrongAnswerError` where a solution claims anything that ``evaluate`` does not."""
    if solution.assignment is None:
        if not isinstance(solution, Infeasible):
            raise WrongAnswerError(f"planner {solution.planner!r} gave an answer without an assignment")
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
        said = "; ".join(wrong)
        raise WrongAnswerError(f"planner {solution.planner!r} gave an answer that the judge rejects: {said}")
