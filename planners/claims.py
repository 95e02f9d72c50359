"""What a solution document claims against what ``evaluate`` finds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from .checks import brief
from .evaluate import TIE, Evaluation, evaluate
from .problem import Problem
from .solution_json import MOST_CLAIMED, Claims, judged

FORMAT = "planning-judgement/1"
MOST_LINES = 20
"""Of violations and of differences in a document; the rest are counted."""


def judgement(problem: Problem, claims: Claims) -> dict[str, Any]:
    """The document of ``python -m planners evaluate``. Pure; the problem is valid."""
    found = None if claims.assignment is None else evaluate(problem, claims.assignment)
    different = _first(differences(problem, claims, found))
    return {
        "format": FORMAT,
        "prefer": problem.prefer.value,
        "assignment": None if claims.assignment is None else list(claims.assignment),
        "valid": found is not None and found.valid,
        "fits": found is not None and found.valid and found.fits,
        "violations": _first(iter(found.violations if found else ())),
        "confirmed": not different,
        "differences": different,
        **judged(found),
    }


def differences(problem: Problem, claims: Claims, found: Evaluation | None) -> Iterator[str]:
    """Each claim that does not hold, in words; times count as equal within ``TIE``, all else exactly.

    That nothing better exists (``lower_bound``, ``proved``, ``refined``) cannot be judged from an assignment: a bound
    is only compared with the value it claims to bound.
    """
    document = claims.document
    facts = {**judged(found), "prefer": problem.prefer.value}
    for key in sorted(facts.keys() & document.keys()):
        yield from _unequal(key, document[key], facts[key])
    yield from _status(document.get("status"), found)
    if found is not None and found.devices:
        yield from _bounds(document, found)


def _status(status: str | None, found: Evaluation | None) -> Iterator[str]:
    if status is None:
        return
    if found is None:
        if status != "infeasible":
            yield f"status: claimed {status!r}, but there is no assignment"
    elif not found.valid:
        yield f"status: claimed {status!r}, but the assignment breaks rules: {found.violations[0]}"
    elif found.fits and status == "infeasible":
        yield "status: claimed 'infeasible', but the assignment fits"
    elif not found.fits and status != "infeasible":
        yield f"status: claimed {status!r}, but the assignment lacks {found.shortfall_bytes} bytes on one device"


def _bounds(document: Mapping[str, Any], found: Evaluation) -> Iterator[str]:
    value, bound = found.leading, document.get("lower_bound")
    least = document.get("least_shortfall_bytes", 0)
    if least > found.shortfall_bytes:
        yield f"least_shortfall_bytes: claimed {least}, but the assignment lacks {found.shortfall_bytes}"
    if bound is None:
        return
    if bound > value * (1 + TIE):
        yield f"lower_bound: claimed {brief(bound)}, but the value is {value}"
    elif document.get("status") == "optimal" and not _close(bound, value):
        yield f"lower_bound: claimed {brief(bound)} of an optimum, but the value is {value}"
    if "gap" in document:
        gap = max(0.0, (value - bound) / value) if value > 0 else 0.0
        if document["gap"] is None or abs(document["gap"] - gap) > TIE:
            yield f"gap: claimed {brief(document['gap'])}, but value and bound make it {gap}"


def _unequal(path: str, claimed: Any, found: Any) -> Iterator[str]:
    """Lists are compared item by item, objects by the keys that are claimed."""
    if isinstance(claimed, dict) and isinstance(found, dict):
        for key in sorted(claimed):
            if key not in found:
                yield f"{path}: {brief(key)} is claimed, but is no part of it"
            else:
                yield from _unequal(f"{path}.{key}", claimed[key], found[key])
    elif isinstance(claimed, list) and isinstance(found, list):
        if len(claimed) != len(found):
            yield f"{path}: claimed {len(claimed)} of them, found {len(found)}"
        for index, (one, other) in enumerate(zip(claimed, found, strict=False)):
            yield from _unequal(f"{path}[{index}]", one, other)
    elif not _same(claimed, found):
        yield f"{path}: claimed {brief(claimed)}, found {brief(found)}"


def _same(claimed: Any, found: Any) -> bool:
    if isinstance(claimed, (bool, dict, list)) or isinstance(found, (dict, list)):
        return False
    if isinstance(found, float) and isinstance(claimed, (int, float)):
        return _close(claimed, found)
    return bool(claimed == found)


def _close(one: float, other: float) -> bool:
    return abs(one) <= MOST_CLAIMED and math.isclose(one, other, rel_tol=TIE, abs_tol=TIE * TIE)


def _first(lines: Iterator[str]) -> list[str]:
    """The first few, and how many more there are."""
    first = list(islice(lines, MOST_LINES))
    more = sum(1 for _ in lines)
    return [*first, f"and {more} more"] if more else first
