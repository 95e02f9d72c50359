"""A problem as a JSON document and back. ``planners/README.md`` describes the form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from .checks import ProblemError, brief
from .json_text import items, known_keys, mapping, plain_json, read_json
from .problem import Device, Preference, Problem, Schedule, SharedGroup, Tensor, Unit
from .validation import MOST_ITEMS, most_units, validate

FORMAT = "planning-problem/1"
_KINDS = (Problem, Unit, Tensor, SharedGroup, Device)
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _KINDS}
_KNOWN = {kind: frozenset(names) for kind, names in _NAMES.items()}
_NEEDED = {kind: frozenset(field.name for field in fields(kind) if field.default is MISSING) for kind in _KINDS}
Part = TypeVar("Part", Unit, Tensor, SharedGroup, Device)
Choice = TypeVar("Choice", Schedule, Preference)


def to_dict(problem: Problem) -> dict[str, Any]:
    """Plain lists, numbers and strings; sets become ascending lists."""
    document = _plain(problem)
    document["format"] = FORMAT
    for name in ("units", "devices", "tensors", "groups"):
        document[name] = [_plain(part) for part in document[name]]
    document["schedule"] = problem.schedule.value
    document["prefer"] = problem.prefer.value
    document["pins"] = sorted(problem.pins)
    document["forbidden_cuts"] = sorted(problem.forbidden_cuts)
    document["sequential"] = sorted(problem.sequential)
    return document


def to_json(problem: Problem) -> str:
    """Sorted keys, one trailing newline: the same problem gives the same bytes."""
    return plain_json(to_dict(problem))


def from_json(text: str) -> Problem:
    """As :func:`from_dict`; ProblemError too where the text is not JSON, repeats a key, or holds NaN or Infinity."""
    return from_dict(read_json("the problem", text))


def from_dict(document: Mapping[str, Any]) -> Problem:
    """The validated problem; absent optional keys take the defaults of the dataclasses.

    ProblemError for another format, unknown or missing keys, and all that :func:`validate` refuses.
    """
    found = mapping("the problem", document)
    if found.get("format", FORMAT) != FORMAT:
        raise ProblemError(f"the problem has format {brief(found['format'])}, expected {FORMAT!r}")
    values = {key: value for key, value in found.items() if key != "format"}
    known_keys("the problem", values, _KNOWN[Problem], _NEEDED[Problem])
    parsed = {name: parse(values[name]) for name, parse in _PARSERS.items() if name in values}
    problem = Problem(**{**values, **parsed})
    validate(problem)
    return problem


def _plain(part: Problem | Unit | Tensor | SharedGroup | Device) -> dict[str, Any]:
    return {name: getattr(part, name) for name in _NAMES[type(part)]}


def _units(value: Any) -> tuple[Unit, ...]:
    most_units(len(items("units", value)))
    return _parts(Unit, "units", "unit", value)


def _parts(kind: type[Part], name: str, owner: str, value: Any) -> tuple[Part, ...]:
    found = items(name, value)
    if len(found) > MOST_ITEMS:
        raise ProblemError(f"the problem has {len(found)} {name}, expected at most {MOST_ITEMS}")
    return tuple(_part(kind, f"{owner} {i}", item) for i, item in enumerate(found))


def _part(kind: type[Part], owner: str, item: Any) -> Part:
    values = mapping(owner, item)
    known_keys(owner, values, _KNOWN[kind], _NEEDED[kind])
    for key in ("readers", "members"):
        if key in values:
            values = {**values, key: tuple(items(f"{owner}: {key}", values[key]))}
    return kind(**values)


def _choice(name: str, kind: type[Choice], value: Any) -> Choice:
    try:
        return kind(value)
    except ValueError:
        expected = [choice.value for choice in kind]
        raise ProblemError(f"{name} is {brief(value)}, expected one of {expected}") from None


def _pins(value: Any) -> tuple[tuple[int, int], ...]:
    pins = items("pins", value)
    for pin in pins:
        if not isinstance(pin, (list, tuple)) or len(pin) != 2:
            raise ProblemError(f"a pin is {brief(pin)}, expected [unit, device]")
    return tuple((unit, device) for unit, device in pins)


def _set(name: str, value: Any) -> frozenset[int]:
    """Indices, each once; in any order."""
    found = items(name, value)
    for item in found:
        if isinstance(item, bool) or not isinstance(item, int):
            raise ProblemError(f"{name}: {brief(item)} is not an index")
    unique = frozenset(found)
    if len(unique) < len(found):
        raise ProblemError(f"{name} has {len(found)} entries, but only {len(unique)} of them differ")
    return unique


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "units": _units,
    "devices": lambda value: _parts(Device, "devices", "device", value),
    "tensors": lambda value: _parts(Tensor, "tensors", "tensor", value),
    "groups": lambda value: _parts(SharedGroup, "groups", "group", value),
    "schedule": lambda value: _choice("schedule", Schedule, value),
    "prefer": lambda value: _choice("prefer", Preference, value),
    "pins": _pins,
    "forbidden_cuts": lambda value: _set("forbidden_cuts", value),
    "sequential": lambda value: _set("sequential", value),
}
