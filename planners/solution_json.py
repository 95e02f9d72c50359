"""A solution as a JSON document, and what an outside document claims. ``planners/README.md`` describes the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .checks import ProblemError, brief
from .evaluate import DeviceLoad, Evaluation
from .json_text import items, known_keys, mapping, plain_json, read_json
from .problem import Problem
from .solution import Feasible, Infeasible, Optimal, Solution
from .validation import MOST_UNITS

FORMAT = "planning-solution/1"
STATUSES = {Optimal: "optimal", Feasible: "feasible", Infeasible: "infeasible"}
MOST_CLAIMED = 1e100
"""Of any single number: squares of what a problem may add up to stay below."""
SCORE = ("time_us", "peak_bytes", "copied_bytes", "evenness_us2")
EXPECTED = "expected a list with the device of every unit"
_TYPES: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "status": (str,),
    "planner": (str,),
    "prefer": (str,),
    "reason": (str, type(None)),
    "refined": (bool,),
    "proved": (bool,),
    "seconds": (int, float, type(None)),
    "objective": (int, float, type(None)),
    "lower_bound": (int, float, type(None)),
    "gap": (int, float, type(None)),
    "shortfall_bytes": (int, type(None)),
    "least_shortfall_bytes": (int,),
    "assignment": (list, type(None)),
    "score": (dict, type(None)),
    "stages": (list, type(None)),
    "devices": (list, type(None)),
}
"""Every key of the document."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a document says of an assignment; nothing of it has been checked against a problem."""

    assignment: tuple[int, ...] | None
    document: Mapping[str, Any]
    """Only keys of the solution document, with values of their types; empty for a bare assignment."""


def to_dict(problem: Problem, solution: Solution) -> dict[str, Any]:
    """Plain lists, numbers, strings and None. The numbers are those of ``solution.evaluation``."""
    common = {
        "format": FORMAT,
        "status": STATUSES[type(solution)],
        "planner": solution.planner,
        "prefer": problem.prefer.value,
        "seconds": solution.seconds,
        "assignment": None if solution.assignment is None else list(solution.assignment),
    }
    return {**common, **_proof(solution), **judged(solution.evaluation)}


def to_json(problem: Problem, solution: Solution) -> str:
    """Sorted keys, one trailing newline: the same solution gives the same bytes. ValueError where it holds NaN."""
    return plain_json(to_dict(problem, solution))


def judged(evaluation: Evaluation | None) -> dict[str, Any]:
    """The part of the document that ``evaluate`` determines; all None where it has nothing to measure."""
    if evaluation is None or not evaluation.devices:
        return dict.fromkeys(("objective", "score", "shortfall_bytes", "stages", "devices"))
    values = (evaluation.objective_us, evaluation.peak_bytes, evaluation.copied_bytes, evaluation.evenness)
    return {
        "objective": evaluation.leading,
        "score": dict(zip(SCORE, values, strict=True)),
        "shortfall_bytes": evaluation.shortfall_bytes,
        "stages": [asdict(stage) for stage in evaluation.stages],
        "devices": [_device(load) for load in evaluation.devices],
    }


def _proof(solution: Solution) -> dict[str, Any]:
    if isinstance(solution, Infeasible):
        nothing = {"lower_bound": None, "gap": None, "reason": solution.reason, "proved": solution.proved}
        return {**nothing, "least_shortfall_bytes": solution.least_shortfall_bytes}
    found = {"lower_bound": solution.lower_bound, "gap": solution.gap, "reason": None, "least_shortfall_bytes": 0}
    return {**found, "refined": solution.refined} if isinstance(solution, Optimal) else found


def _device(load: DeviceLoad) -> dict[str, Any]:
    return {
        "time_us": load.time_us,
        "copy_us": load.copy_us,
        "capacity_bytes": load.capacity_bytes,
        "shortfall_bytes": load.shortfall_bytes,
        "memory_bytes": {**asdict(load.memory), "total": load.memory.total},
    }


def claims_from_json(text: str) -> Claims:
    """A solution document, ``{"assignment": [...]}``, or a bare list of devices.

    ProblemError where the text is none of them. Whether the assignment suits a problem is for ``evaluate`` to say.
    """
    found = read_json("the solution", text)
    if isinstance(found, list):
        return Claims(_assignment(found), {})
    document = mapping("the solution", found)
    known_keys("the solution", document, frozenset(_TYPES), frozenset({"assignment"}))
    _typed(document)
    given = document["assignment"]
    if given is None and "status" not in document:
        raise ProblemError(f"the solution has no assignment, {EXPECTED}")
    return Claims(None if given is None else _assignment(given), document)


def assignment_from_json(text: str) -> tuple[int, ...]:
    """As :func:`claims_from_json`, the assignment alone; ProblemError where it is null."""
    assignment = claims_from_json(text).assignment
    if assignment is None:
        raise ProblemError(f"the solution has no assignment, {EXPECTED}")
    return assignment


def _typed(document: Mapping[str, Any]) -> None:
    if document.get("format", FORMAT) != FORMAT:
        raise ProblemError(f"the solution has format {brief(document['format'])}, expected {FORMAT!r}")
    if document.get("status", "optimal") not in STATUSES.values():
        raise ProblemError(f"status is {brief(document['status'])}, expected one of {sorted(STATUSES.values())}")
    for key, value in document.items():
        kinds = _TYPES[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ProblemError(f"the solution: {key} is {brief(value)}, expected {expected}")
        if isinstance(value, (int, float)) and not abs(value) <= MOST_CLAIMED:
            raise ProblemError(f"the solution: {key} is {brief(value)}, expected a finite number")


def _assignment(value: object) -> tuple[int, ...]:
    devices = items("assignment", value)
    if len(devices) > MOST_UNITS:
        raise ProblemError(f"the assignment has {len(devices)} units, expected at most {MOST_UNITS}")
    for unit, device in enumerate(devices):
        if isinstance(device, bool) or not isinstance(device, int) or abs(device) >= 2**63:
            raise ProblemError(f"assignment: unit {unit} has {brief(device)}, expected the index of a device")
    return tuple(devices)
