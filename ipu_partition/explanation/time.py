"""Where the time of an IPU goes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from planners import Evaluation

from ..machine import time, units_on
from ..solve import Solved
from .document import Slowest, TimePart, Worker

SHOWN = 3


def slowest(solved: Solved, evaluation: Evaluation) -> Slowest:
    """The IPU whose time is the cycle, or the greatest part of the latency."""
    ipu = max(range(len(evaluation.devices)), key=lambda i: (evaluation.devices[i].time_us, -i))
    load, units = evaluation.devices[ipu], units_on(evaluation, ipu)
    problem = solved.costing.problem
    forward = sum(problem.units[u].forward_us for u in units)
    backward = sum(problem.units[u].backward_us for u in units)
    again = max(0.0, load.time_us - load.copy_us - forward - backward)
    parts = {"forward": forward, "backward": backward, "recomputation": again, "copies": load.copy_us}
    return Slowest(
        ipu=ipu,
        us=us(load.time_us),
        parts=[TimePart(name=name, us=us(value)) for name, value in parts.items() if value],  # type: ignore[arg-type]
        workers=_workers(solved, units, forward, again),
    )


def _workers(solved: Solved, units: Iterable[int], forward_us: float, again_us: float) -> list[Worker]:
    """Recomputation is shared out as the forward work is."""
    problem, graph = solved.costing.problem, solved.costing.graph
    twice = 1 + (again_us / forward_us if forward_us else 0.0)
    rows: dict[str, list[int]] = {}
    for unit in units:
        rows.setdefault(re.sub(r"\d+", "#", problem.units[unit].name), []).append(unit)
    spent = {
        row: sum(twice * problem.units[u].forward_us + problem.units[u].backward_us for u in alike)
        for row, alike in rows.items()
    }
    longest = sorted(spent, key=lambda row: (-spent[row], rows[row]))[:SHOWN]
    return [
        Worker(
            modules=[m for u in rows[row] for m in graph.units[u].modules or (graph.units[u].name,)],
            us=us(spent[row]),
            kinds=_kinds(solved, rows[row], twice, spent[row]),
        )
        for row in longest
    ]


def _kinds(solved: Solved, units: Iterable[int], twice: float, total_us: float) -> dict[str, float]:
    """The time of the units by kind of operation, in proportion to what the time model says of each."""
    costing = solved.costing
    precision, training = costing.workload.precision, costing.graph.training
    found: dict[str, float] = {}
    for work in (work for unit in units for work in costing.graph.units[unit].work):
        one = twice * time.forward_us(work, precision, costing.machine, costing.time_model)
        if training:
            one += time.backward_us(work, precision, costing.machine, costing.time_model)
        found[work.kind] = found.get(work.kind, 0.0) + work.count * one
    scale = total_us / sum(found.values()) if any(found.values()) else 0.0
    most = sorted(found, key=lambda kind: (-found[kind], kind))[:SHOWN]
    return {kind: us(found[kind] * scale) for kind in most}


def us(value: float) -> float:
    """To a nanosecond: no platform's last bit reaches a document."""
    return round(value, 3)
