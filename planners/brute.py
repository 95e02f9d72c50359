"""Every assignment, judged one by one: the oracle of the tests, for problems of a handful of units."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, product
from typing import ClassVar

from .evaluate import evaluate, preferred
from .graph.problem import GraphProblem
from .graph.validation import validate_graph
from .judge import default_for
from .problem import Problem
from .solution import Feasible, Infeasible, Optimal, Solution
from .stages import violations
from .validation import validate

NAME = "brute"
BATCH = 4096
"""Assignments between two looks at the clock."""
IN_TIME = "no assignment that fits was found in time"


@dataclass(frozen=True, slots=True)
class Brute:
    """Exact by exhaustion: ``devices ** units`` assignments, at most ``limit`` of them (else ValueError).

    Past ``time_limit`` (seconds) the best so far, of which nothing is proved.
    """

    takes: ClassVar = (Problem, GraphProblem)
    limit: int = 1_000_000
    time_limit: float = 60.0

    def __post_init__(self) -> None:
        if self.limit < 0 or not self.time_limit >= 0:
            raise ValueError(f"brute has limit {self.limit} and time_limit {self.time_limit}, expected 0 or more")

    def __call__(self, problem: Problem | GraphProblem, clock: Callable[[], float] = time.perf_counter) -> Solution:
        places = _places(problem)
        count, until = len(problem.devices) ** places, clock() + self.time_limit
        if count > self.limit:
            other = default_for(problem)
            raise ValueError(f"brute would try {count} assignments, more than its limit of {self.limit}; use {other}")
        valid: list[tuple[int, ...]] = []
        every = product(range(len(problem.devices)), repeat=places)
        complete = False
        while not complete and clock() <= until:
            some = list(islice(every, BATCH))
            valid += [assignment for assignment in some if _obeys(problem, assignment)]
            complete = len(some) < BATCH
        return _best(problem, valid, complete)


def _places(problem: Problem | GraphProblem) -> int:
    """How many devices are to be given, of a problem that makes sense."""
    if isinstance(problem, GraphProblem):
        validate_graph(problem)
        return len(problem.nodes)
    validate(problem)
    return len(problem.units)


def _obeys(problem: Problem | GraphProblem, assignment: tuple[int, ...]) -> bool:
    if isinstance(problem, GraphProblem):
        return evaluate(problem, assignment).valid
    return not violations(problem, assignment)


def _best(problem: Problem | GraphProblem, valid: list[tuple[int, ...]], complete: bool) -> Solution:
    if not valid:
        reason = "the constraints contradict each other: no assignment obeys them all" if complete else IN_TIME
        return Infeasible(NAME, reason, proved=complete)
    judged = [evaluate(problem, assignment) for assignment in valid]
    lack = min(evaluation.shortfall_bytes for evaluation in judged)
    nearest = [i for i, evaluation in enumerate(judged) if evaluation.shortfall_bytes == lack]
    best = nearest[preferred([judged[i] for i in nearest])]
    if not lack:
        return (Optimal if complete else Feasible)(valid[best], judged[best], NAME)
    reason = "every assignment lacks memory" if complete else IN_TIME
    reason = f"{reason}; the nearest lacks {lack} bytes on one device"
    return Infeasible(NAME, reason, lack, complete, valid[best], judged[best], lack if complete else 0)
