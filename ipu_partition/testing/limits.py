"""Whether a planner keeps its time limit where it has one."""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass, replace

from planners import Device, Planner, Problem, ProblemError, Schedule, SharedGroup, Tensor, Unit

from .answers import rejected, wrong_form

LIMIT_SECONDS, GRACE_SECONDS = 0.2, 3.0
"""A time limit, and by how much the machine may be slow."""


def keeps_its_time_limit(planner: Planner) -> str | None:
    """On a problem larger than the examples, which the planner may refuse (ValueError)."""
    if not has_time_limit(planner):
        return None
    hurried = replace(planner, time_limit=LIMIT_SECONDS)  # type: ignore[type-var]
    problem, begin = large_problem(), time.perf_counter()
    try:
        answer = hurried(problem)
    except ProblemError as error:
        return f"a well-formed problem of {len(problem.units)} units is refused as malformed: {error}"
    except ValueError:
        return None
    seconds = time.perf_counter() - begin
    if seconds > LIMIT_SECONDS + GRACE_SECONDS:
        return f"with time_limit={LIMIT_SECONDS} it took {seconds:.1f} seconds for {len(problem.units)} units"
    return wrong_form(answer) or rejected(problem, answer)


def has_time_limit(planner: Planner) -> bool:
    return is_dataclass(planner) and "time_limit" in {field.name for field in fields(planner)}


def large_problem(units: int = 60, devices: int = 8) -> Problem:
    """Two far ties, skips, and memory for about a fair share."""
    return Problem(
        tuple(Unit(f"u{i}", float(7 * i % 11), float(5 * i % 13), 20 + i % 7, 9, 3 * (i % 2), 5) for i in range(units)),
        tuple(Device(2_000 + 100 * index, 1.0 + index % 2) for index in range(devices)),
        Schedule.TRAINING,
        tuple(Tensor(f"t{i}", i, tuple(sorted({i + 1, min(i + 9, units - 1)})), 3, 3) for i in range(units - 1)),
        (
            SharedGroup("table", (0, units - 2), 50, True),
            SharedGroup("other", (units // 3, units // 2), 30, True),
            SharedGroup("code", tuple(range(0, units, 3)), 40, False),
        ),
        copy_us_per_byte=0.5,
    )
