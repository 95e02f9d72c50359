"""Every assignment, judged one by one: the oracle of the tests, for problems of a handful of units."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from .evaluate import evaluate, preferred
from .problem import Problem
from .solution import Infeasible, Optimal, Solution
from .stages import violations
from .validation import validate


@dataclass(frozen=True, slots=True)
class Brute:
    """Exact by exhaustion: ``devices ** units`` assignments, at most ``limit`` of them (else ValueError)."""

    limit: int = 1_000_000

    def __call__(self, problem: Problem) -> Solution:
        validate(problem)
        count = len(problem.devices) ** len(problem.units)
        if count > self.limit:
            raise ValueError(f"brute would try {count} assignments, more than its limit of {self.limit}; use chain")
        every = product(range(len(problem.devices)), repeat=len(problem.units))
        valid = [assignment for assignment in every if not violations(problem, assignment)]
        if not valid:
            return Infeasible(
                "brute", "the constraints contradict each other: no assignment obeys them all", proved=True
            )
        judged = [evaluate(problem, assignment) for assignment in valid]
        lack = min(evaluation.shortfall_bytes for evaluation in judged)
        nearest = [i for i, evaluation in enumerate(judged) if evaluation.shortfall_bytes == lack]
        best = nearest[preferred([judged[i] for i in nearest])]
        if lack:
            reason = f"every assignment lacks memory; the nearest lacks {lack} bytes on one device"
            return Infeasible("brute", reason, lack, True, valid[best], judged[best])
        return Optimal(valid[best], judged[best], "brute")
