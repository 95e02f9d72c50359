"""Answers to graphs as JSON documents, and what outside documents claim. ``planners/README.md`` describes the form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..checks import ProblemError, brief
from ..claims import MOST_LINES
from ..evaluate import TIE, Evaluation, evaluate
from ..json_text import mapping, plain_json, read_json
from ..solution import Infeasible, Solution
from ..solution_json import MOST_CLAIMED, STATUSES
from .document import PER_DOCUMENT, GraphDocument

JUDGEMENT = "graph-judgement/1"


def to_dict(document: GraphDocument, solution: Solution) -> dict[str, Any]:
    """Numbers are the judge's, in the unit of the graph's document; ``None`` where there is nothing to say."""
    common = {
        "status": STATUSES[type(solution)],
        "planner": solution.planner,
        "seconds": solution.seconds,
        "assignment": named(document, solution.assignment),
    }
    if isinstance(solution, Infeasible):
        nothing = dict.fromkeys(("objective", "lower_bound", "gap"))
        return {**common, **nothing, "reason": solution.reason, "proved": solution.proved}
    objective, bound = solution.evaluation.objective_us, solution.lower_bound
    values = {"objective": objective / PER_DOCUMENT, "lower_bound": bound / PER_DOCUMENT, "gap": solution.gap}
    return {**common, **values, "reason": None}


def to_json(document: GraphDocument, solution: Solution) -> str:
    """Sorted keys, one trailing newline."""
    return plain_json(to_dict(document, solution))


def named(document: GraphDocument, assignment: tuple[int, ...] | None) -> dict[str, str] | None:
    """Name of the device by id of the node."""
    if assignment is None:
        return None
    names = [document.device_name(device) for device in range(len(document.problem.devices))]
    return {node: names[device] for node, device in zip(document.ids, assignment, strict=True)}


def judgement(document: GraphDocument, text: str) -> dict[str, Any]:
    """What ``evaluate`` finds of an answer (the document above, or its ``assignment`` alone) and whether all is so that
    it claims. ProblemError where it is none."""
    read = mapping("the solution", read_json("the solution", text))
    answered = isinstance(read.get("assignment", ""), (Mapping, type(None)))
    claims, given = (read, read["assignment"]) if answered else ({}, read)
    found = None if given is None else evaluate(document.problem, _assignment(document, given))
    different = list(_differences(claims, found))
    return {
        "format": JUDGEMENT,
        "valid": found is not None and found.valid,
        "fits": found is not None and found.valid and found.fits,
        "violations": list(found.violations if found else ())[:MOST_LINES],
        "confirmed": not different,
        "differences": different,
        "objective": found.objective_us / PER_DOCUMENT if found else None,
        "devices": _devices(document, found) if found else None,
    }


def _assignment(document: GraphDocument, given: object) -> tuple[int, ...]:
    found = mapping("assignment", given)
    index = {document.device_name(device): device for device in range(len(document.problem.devices))}
    for node in found:
        if node not in document.ids:
            raise ProblemError(f"assignment: there is no node {brief(node)}")
    for node in document.ids:
        device = found.get(node)
        if not isinstance(device, str) or device not in index:
            raise ProblemError(
                f"assignment: node {brief(node)} has {brief(device)}, expected one of {', '.join(index)}"
            )
    return tuple(index[found[node]] for node in document.ids)


def _devices(document: GraphDocument, found: Evaluation) -> dict[str, dict[str, float]]:
    return {
        document.device_name(device): {
            "load": load.time_us / PER_DOCUMENT,
            "copies": load.copy_us / PER_DOCUMENT,
            "bytes": load.memory.total / document.parts,
            "shortfall_bytes": load.shortfall_bytes / document.parts,
        }
        for device, load in enumerate(found.devices)
    }


def _differences(claims: Mapping[str, Any], found: Evaluation | None) -> Iterator[str]:
    """Each claim that does not hold, in words. That nothing better exists cannot be seen from an assignment."""
    status, fits = claims.get("status"), found is not None and found.valid and found.fits
    if status is not None and (status not in STATUSES.values() or (status != "infeasible") != fits):
        yield f"status: claimed {brief(status)}, but the assignment {'fits' if fits else 'does not fit'}"
    claimed, bound, gap = (_claimed(claims, name) for name in ("objective", "lower_bound", "gap"))
    if found is None or status == "infeasible":
        named = {"objective": claimed, "lower_bound": bound, "gap": gap}
        yield from (f"{name}: claimed {value}, but nothing fits" for name, value in named.items() if value is not None)
        return
    objective = found.objective_us / PER_DOCUMENT
    if claimed is not None and abs(claimed - objective) > TIE * objective:
        yield f"objective: claimed {claimed}, found {objective}"
    if bound is not None and bound > objective * (1 + TIE):
        yield f"lower_bound: claimed {bound}, above the objective {objective}"
    if status == "optimal" and (bound is None or bound < objective * (1 - TIE)):
        yield f"status: claimed 'optimal', but the lower bound is {bound} and the objective {objective}"
    if gap is not None and bound is not None and abs(gap * objective - (objective - bound)) > 2 * TIE * objective:
        yield f"gap: claimed {gap}, but the lower bound is {bound} and the objective {objective}"


def _claimed(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_CLAIMED:
        raise ProblemError(f"the solution: {name} is {brief(value)}, expected a finite number")
    return float(value)
