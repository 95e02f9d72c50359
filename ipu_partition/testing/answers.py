"""What may be said of one answer."""

from __future__ import annotations

import math

from planners import TIE, Feasible, Infeasible, Optimal, PlannerError, Problem, Solution, confirm


def wrong_form(answer: object) -> str | None:
    """What is not of the declared types, or missing."""
    if not isinstance(answer, (Optimal, Feasible, Infeasible)):
        return f"the answer is {answer!r}, expected Optimal, Feasible or Infeasible"
    if not isinstance(answer, Infeasible) and (answer.assignment is None or not math.isfinite(answer.lower_bound)):
        return f"the answer has assignment {answer.assignment} and bound {answer.lower_bound}, expected both"
    if isinstance(answer, Infeasible) and not answer.reason:
        return "the answer is Infeasible without a reason"
    if (answer.assignment is None) != (answer.evaluation is None):
        return "the answer has an assignment or an evaluation, expected both or neither"
    if answer.assignment is not None and not _plain(answer.assignment):
        return f"the assignment is {answer.assignment!r}, expected a tuple of int"
    return None


def _plain(assignment: object) -> bool:
    return type(assignment) is tuple and all(type(device) is int for device in assignment)


def rejected(problem: Problem, answer: Solution) -> str | None:
    try:
        confirm(problem, answer)
    except PlannerError as error:
        return str(error)
    return None


def dishonest(answer: Solution, best: Solution) -> str | None:
    if isinstance(answer, Infeasible):
        return _too_pessimistic(answer, best)
    if isinstance(best, Infeasible):
        return f"the answer is {type(answer).__name__}, but nothing fits: {best.reason}"
    least = best.evaluation.leading
    if answer.lower_bound > least * (1 + TIE):
        return f"the lower bound is {answer.lower_bound}, but {best.assignment} has {least}"
    if isinstance(answer, Optimal) and answer.refined and answer.evaluation.key() != best.evaluation.key():
        return f"{answer.evaluation.key()} is called optimal, but {best.assignment} has {best.evaluation.key()}"
    return None


def _too_pessimistic(answer: Infeasible, best: Solution) -> str | None:
    if not isinstance(best, Infeasible):
        if answer.proved or answer.least_shortfall_bytes:
            return f"nothing is said to fit, but {best.assignment} does"
        return None
    if best.assignment is not None and answer.least_shortfall_bytes > best.shortfall_bytes:
        return f"at least {answer.least_shortfall_bytes} bytes are said to lack, but {best.assignment} lacks less"
    return None


def score(answer: Solution) -> tuple[float, ...]:
    """Lack of memory, then the criteria in their order: the less, the better; empty without an assignment."""
    evaluation = answer.evaluation
    return () if evaluation is None else (evaluation.shortfall_bytes, *evaluation.key())
