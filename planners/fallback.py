"""The best answer without search, for planners that ran out of time."""

from __future__ import annotations

from .balanced import Flops
from .evaluate import preferred
from .greedy import Greedy
from .problem import Problem
from .solution import Feasible, Infeasible, Solution
from .uniform import Uniform

SECONDS_PER_UNIT = 3e-5
"""What it takes at most; measured with 100,000 units on 64 devices."""


def fallback(
    problem: Problem, planner: str, bound: float = 0.0, proved: bool = False, least_shortfall_bytes: int = 0
) -> Solution:
    """The first baseline that fits, else the one that comes nearest, under the name of ``planner``.

    ``bound``: what is proved of the leading criterion. ``proved``: that nothing fits; it lacks at least that much.
    """
    answers: list[Solution] = []
    for baseline in (Flops(), Greedy(), Uniform()):
        answers += [answer for answer in (baseline(problem),) if answer.assignment is not None]
        if answers and not isinstance(answers[-1], Infeasible):
            answers = answers[-1:]
            break
    none = "no assignment fits, and how near one comes was" if proved else "no assignment that fits was"
    judged = [answer.evaluation for answer in answers if answer.evaluation is not None]
    if not judged:
        return Infeasible(planner, f"{none} not found in time" if proved else f"{none} found in time", proved=proved)
    lack = min(evaluation.shortfall_bytes for evaluation in judged)
    near = [i for i, evaluation in enumerate(judged) if evaluation.shortfall_bytes == lack]
    best = near[preferred([judged[i] for i in near])]
    assignment, evaluation = answers[best].assignment, judged[best]
    assert assignment is not None, "answers without one were left out"
    if not lack:
        return Feasible(assignment, evaluation, planner, min(bound, evaluation.leading))
    reason = "every assignment lacks memory" if proved else f"{none} found in time"
    reason = f"{reason}; the nearest found lacks {lack} bytes on one device"
    return Infeasible(planner, reason, lack, proved, assignment, evaluation, min(lack, least_shortfall_bytes))
