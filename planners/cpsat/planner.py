"""The planner: its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph.problem import GraphProblem
from ..solution import Solution
from .search import search

NAME = "cpsat"


@dataclass(frozen=True, slots=True)
class CpSat:
    """For graphs: exact, by integer programming with CP-SAT (``ortools``, an optional extra).

    Past the time limit the answer is the best plan found, with a lower bound that was proved.
    """

    takes: ClassVar[type] = GraphProblem
    time_limit: float = 25.0
    """Seconds, for everything."""
    workers: int = 2
    """Threads of the solver."""

    def __post_init__(self) -> None:
        if self.workers < 1 or not self.time_limit >= 0:
            raise ValueError(
                f"cpsat has workers {self.workers} and time_limit {self.time_limit}, expected 1 or more, 0 or more"
            )

    def __call__(self, problem: GraphProblem) -> Solution:
        """ProblemError where the problem is malformed, PlannerError without ortools."""
        from ..graph.answer import run
        from ..linear import search as linear
        from .search import require

        require()
        return run(problem, NAME, [linear, lambda race: search(race, self.workers)], self.time_limit)
