"""The planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..graph.problem import GraphProblem
from ..solution import Solution
from .search import search

NAME = "ideals"


@dataclass(frozen=True, slots=True)
class Ideals:
    """Exact for graphs: dynamic programming over downward-closed sets, of which it meets those that matter.

    Time and memory grow with how many of them balanced plans can end at. Past either limit the answer is the best
    found, with a lower bound that was proved.
    """

    takes: ClassVar[type] = GraphProblem
    time_limit: float = 25.0
    """Seconds."""
    memory: int = 600
    """Megabytes for the sets that are met; the same on every machine."""

    def __post_init__(self) -> None:
        if not self.time_limit >= 0 or self.memory < 1:
            raise ValueError(
                f"ideals has time_limit {self.time_limit} and memory {self.memory}, expected 0 or more and 1 or more"
            )

    def __call__(self, problem: GraphProblem) -> Solution:
        """ProblemError where the problem is malformed, PlannerError where Numba is not installed."""
        from functools import partial

        from ..graph.answer import run
        from ..linear import search as linear
        from .jit import check

        check()
        return run(problem, NAME, [linear, partial(search, memory_bytes=self.memory * 10**6)], self.time_limit)
