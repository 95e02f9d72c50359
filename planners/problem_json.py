"""A problem as a JSON document and back. ``planners/README.md`` describes the form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from .problem import Device, Problem, Schedule, SharedGroup, Tensor, Unit
from .validation import ProblemError, validate

FORMAT = "planning-problem/1"
Part = TypeVar("Part", Unit, Tensor, SharedGroup, Device)


def to_dict(problem: Problem) -> dict[str, Any]:
    """Plain lists, numbers and strings; sets become ascending lists."""
    document = asdict(problem)
    document["format"] = FORMAT
    document["schedule"] = problem.schedule.value
    document["pins"] = sorted(problem.pins)
    document["forbidden_cuts"] = sorted(problem.forbidden_cuts)
    document["sequential"] = sorted(problem.sequential)
    return document


def to_json(problem: Problem) -> str:
    """Sorted keys, one trailing newline: the same problem gives the same bytes."""
    return json.dumps(to_dict(problem), indent=2, sort_keys=True, allow_nan=False) + "\n"


def from_json(text: str) -> Problem:
    """As :func:`from_dict`; ProblemError too where the text is not JSON."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ProblemError(f"the problem is not JSON: {error}") from error
    return from_dict(document)


def from_dict(document: Mapping[str, Any]) -> Problem:
    """The validated problem; absent optional keys take the defaults of the dataclasses.

    ProblemError for another format, unknown or missing keys, and all that :func:`validate` refuses.
    """
    if not isinstance(document, Mapping):
        raise ProblemError(f"the problem is a JSON {type(document).__name__}, expected an object")
    if document.get("format", FORMAT) != FORMAT:
        raise ProblemError(f"the problem has format {document['format']!r}, expected {FORMAT!r}")
    values = {key: value for key, value in document.items() if key != "format"}
    _keys("the problem", Problem, values)
    parsed = {name: parse(values[name]) for name, parse in _PARSERS.items() if name in values}
    problem = Problem(**{**values, **parsed})
    validate(problem)
    return problem


def _parts(kind: type[Part], items: Any) -> tuple[Part, ...]:
    return tuple(
        _part(kind, f"{kind.__name__.lower()} {i}", item) for i, item in enumerate(_list(kind.__name__, items))
    )


def _part(kind: type[Part], owner: str, item: Any) -> Part:
    if not isinstance(item, Mapping):
        raise ProblemError(f"{owner} is {item!r}, expected an object")
    _keys(owner, kind, item)
    lists = {key: tuple(_list(f"{owner}: {key}", item[key])) for key in ("readers", "members") if key in item}
    return kind(**{**item, **lists})


def _keys(owner: str, kind: type, values: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ProblemError(f"{owner} has unknown keys {unknown}, expected some of {sorted(known)}")
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    missing = sorted(needed - set(values))
    if missing:
        raise ProblemError(f"{owner} lacks the keys {missing}")


def _list(owner: str, items: Any) -> list[Any]:
    if not isinstance(items, (list, tuple)):
        raise ProblemError(f"{owner} is {items!r}, expected a list")
    return list(items)


def _schedule(value: Any) -> Schedule:
    try:
        return Schedule(value)
    except ValueError as error:
        raise ProblemError(f"schedule is {value!r}, expected one of {[s.value for s in Schedule]}") from error


def _pins(items: Any) -> tuple[tuple[int, int], ...]:
    pins = []
    for pin in _list("pins", items):
        if not isinstance(pin, (list, tuple)) or len(pin) != 2:
            raise ProblemError(f"a pin is {pin!r}, expected [unit, device]")
        pins.append((pin[0], pin[1]))
    return tuple(pins)


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "units": lambda items: _parts(Unit, items),
    "devices": lambda items: _parts(Device, items),
    "tensors": lambda items: _parts(Tensor, items),
    "groups": lambda items: _parts(SharedGroup, items),
    "schedule": _schedule,
    "pins": _pins,
    "forbidden_cuts": lambda items: frozenset(_list("forbidden_cuts", items)),
    "sequential": lambda items: frozenset(_list("sequential", items)),
}
