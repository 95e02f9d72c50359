"""The planner: validates, searches, and says no more than was proved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..problem import Problem
from ..solution import Solution
from ..support import refuse_unknown
from ..validation import validate


@dataclass(frozen=True, slots=True)
class Milp:
    """Exact, by mixed-integer programming with HiGHS (``highspy``, an optional extra), one thread.

    One program per criterion, each within what the ones before left. Past the time limit the answer is the best found,
    with a lower bound that was proved.
    """

    time_limit: float = 60.0
    """Seconds, for everything."""

    def __post_init__(self) -> None:
        if not self.time_limit >= 0:
            raise ValueError(f"milp has time_limit {self.time_limit}, expected 0 or more seconds")

    def __call__(self, problem: Problem, clock: Callable[[], float] = time.perf_counter) -> Solution:
        """ProblemError where the problem is malformed, ValueError for what :func:`refuse_unknown` names, PlannerError
        without highspy. ``clock`` counts seconds."""
        from .highs import load

        until = clock() + self.time_limit
        validate(problem)
        refuse_unknown("milp", problem)
        load()
        from .answer import answer

        return answer(problem, lambda: until - clock())
