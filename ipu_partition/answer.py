"""What a planner answered and proved, in the words of the document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from planners import Infeasible, Optimal, Preference, Solution
from planners.evaluate import Evaluation

from .cost.graph import UnitCost
from .plan_parts import SolutionInfo, Stage


def status(solution: Solution) -> Literal["optimal", "feasible", "infeasible"]:
    if isinstance(solution, Infeasible):
        return "infeasible"
    return "optimal" if isinstance(solution, Optimal) else "feasible"


def stages(evaluation: Evaluation | None, units: Sequence[UnitCost]) -> Iterator[Stage]:
    """Neighbouring units on one device, in unit order."""
    for index, stage in enumerate(evaluation.stages if evaluation else ()):
        yield Stage(
            index=index,
            ipu=stage.device,
            units=list(range(stage.start, stage.stop)),
            modules=[m for u in units[stage.start : stage.stop] for m in (u.modules or (u.name,)) if m],
        )


def solution_info(solution: Solution, prefer: Preference) -> SolutionInfo:
    evaluation = solution.evaluation
    value_us = None if evaluation is None else rounded_us(evaluation.objective_us)
    peak = None if evaluation is None else evaluation.peak_bytes
    bound, by_time = _bound(solution), prefer is Preference.TIME
    bound_us = rounded_us(bound) if bound is not None and by_time else None
    bound_bytes = int(bound) if bound is not None and not by_time else None
    return SolutionInfo(
        planner=solution.planner,
        prefer=prefer.value,
        objective_us=value_us,
        lower_bound_us=bound_us,
        peak_bytes=peak,
        lower_bound_bytes=bound_bytes,
        gap=_gap(value_us, bound_us) if by_time else _gap(peak, bound_bytes),
        refined=solution.refined if isinstance(solution, Optimal) else None,
        proved=solution.proved if isinstance(solution, Infeasible) else None,
        seconds=float(math.floor(solution.seconds)),  # finer, the same request would not give the same bytes
    )


def _bound(solution: Solution) -> float | None:
    """What is proved of the leading criterion of a plan that fits; None where nothing is."""
    return None if isinstance(solution, Infeasible) or solution.lower_bound <= 0 else solution.lower_bound


def _gap(value: float | None, bound: float | None) -> float | None:
    if value is None or bound is None:
        return None
    return round(max(0.0, (value - bound) / value), 6) if value else 0.0


def rounded_us(value: float) -> float:
    """Microseconds to a nanosecond: no platform's last bit reaches the document."""
    return round(value, 3)
