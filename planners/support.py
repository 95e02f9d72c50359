"""What not every planner knows."""

from __future__ import annotations

from collections.abc import Iterator

from .problem import Problem, Schedule


def refuse_unknown(planner: str, problem: Problem) -> None:
    """ValueError where the problem has what only planners of stages in device order know."""
    if found := list(_unknown(problem)):
        raise ValueError(f"planner {planner!r} does not know {' and '.join(found)}; use inline")


def _unknown(problem: Problem) -> Iterator[str]:
    if problem.schedule is Schedule.ONE_F_ONE_B:
        yield f"the schedule {problem.schedule.value!r}"
    if problem.copy_us:
        yield "copy_us, a time for each copy"
