"""What is explained, and asking its planner again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import planners
from planners import Evaluation, Infeasible, Optimal, Problem, ProblemError, Solution

from ..demands import Demands
from ..errors import UsageError
from ..levers.trials import hurried
from ..request import Request
from ..solve import Solved, solve_for


@dataclass(frozen=True, slots=True)
class Subject:
    request: Request
    solved: Solved
    evaluation: Evaluation

    @property
    def problem(self) -> Problem:
        return self.solved.costing.problem

    @property
    def assignment(self) -> tuple[int, ...]:
        return self.solved.assignment or ()

    @property
    def uneven(self) -> bool:
        """Whether what a unit takes depends on its IPU."""
        return len({*self.solved.workload.proportions}) > 1

    def ask(self, problem: Problem) -> Solution | None:
        """The planner's answer to a changed problem; None where it has none."""
        try:
            return planners.solve(problem, hurried(self.request.planner))
        except (ProblemError, ValueError, ImportError):
            return None

    def with_layers(self, demands: Demands) -> Solution | None:
        """The planner's answer with other layers asked for."""
        solved = self.solved
        if not self.uneven:
            counts = [None if n < 0 else n for n in demands.layers]
            devices = tuple(replace(d, layers=n) for d, n in zip(self.problem.devices, counts, strict=True))
            return self.ask(replace(self.problem, devices=devices))
        try:
            planner = hurried(self.request.planner)
            return solve_for(
                solved.prepared, solved.workload, solved.costing.machine, planner, demands=demands, compare=False
            ).solution
        except UsageError:
            return None


def settled(answer: Solution | None) -> bool:
    """Whether nothing better is possible."""
    return isinstance(answer, Optimal) or (isinstance(answer, Infeasible) and answer.proved)
