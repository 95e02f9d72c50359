"""The default for graphs: several planners under one time limit."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .graph.problem import GraphProblem
from .solution import Solution

if TYPE_CHECKING:
    from .graph.answer import Search
    from .graph.race import Race

NAME = "auto"
HEAD_START_S = 1.5
"""Most graphs are solved by then without a solver, and then the answer is the same every time."""
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Auto:
    """For graphs: ``linear``, then ``ideals``, and ``cpsat`` beside it where that takes longer than a moment.

    The answer is the best plan and the best bound that any of them finds; one that is not installed is left out.
    """

    takes: ClassVar[type] = GraphProblem
    time_limit: float = 25.0

    def __post_init__(self) -> None:
        if not self.time_limit >= 0:
            raise ValueError(f"auto has time_limit {self.time_limit}, expected 0 or more")

    def __call__(self, problem: GraphProblem) -> Solution:
        """ProblemError where the problem is malformed."""
        from .cpsat import search as cpsat
        from .graph.answer import run
        from .ideals import search as ideals
        from .linear import search as linear

        return run(problem, NAME, [linear, *_staggered(ideals, cpsat)], self.time_limit, forgiving=True)


def _staggered(first: Search, second: Search) -> tuple[Search, Search]:
    """The second begins once the first has had its head start, or has ended."""
    ended = threading.Event()

    def leading(race: Race) -> None:
        try:
            first(race)
        finally:
            ended.set()

    def following(race: Race) -> None:
        until = time.perf_counter() + HEAD_START_S
        while not race.over and time.perf_counter() < until and not ended.wait(POLL_S):
            pass
        if not race.over:
            second(race)

    return leading, following
