"""Checks of single values, for all that comes from outside: what was found, what was expected, on one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from itertools import pairwise
from reprlib import Repr
from typing import Any

LEAST = 1e-12
"""Of any single number but 0: less is noise, and solvers stumble over it."""
MOST = 1e15
"""Of any single number."""
MOST_CHARACTERS = 1000
"""Of any name."""


class ProblemError(ValueError):
    """The problem itself is malformed: what was found, what was expected."""


_ECHO = Repr()
_ECHO.maxstring = _ECHO.maxother = 80


def brief(value: object) -> str:
    """``repr`` on one line, cut where it is long: names and values may be anything."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "an integer of more than 30 digits"
    try:
        return _ECHO.repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return f"a {type(value).__name__} with an integer of many digits"


@cache
def _numeric(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Name of every field that is a number, and whether only integers will do."""
    return tuple((field.name, field.type == "int") for field in fields(kind) if field.type in ("int", "float"))


def numbers(owner: str, item: object) -> None:
    """All fields declared ``int`` or ``float`` of one dataclass."""
    declared: Any = type(item)
    for name, whole in _numeric(declared):
        value = getattr(item, name)
        kind = type(value)
        if not ((kind is int or (kind is float and not whole)) and (LEAST <= value <= MOST or value == 0)):
            number(owner, name, value, whole)


def number(owner: str, name: str, value: object, whole: bool = False) -> None:
    """0, or from ``LEAST`` to ``MOST``; ``whole``: an ``int``, for bytes and counts (3.0 is none)."""
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected {'an integer' if whole else 'a number'}")
    if not 0 <= value <= MOST:
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected a finite number from 0 to {MOST:.0e}")
    if 0 < value < LEAST:
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected 0 or at least {LEAST:.0e}")


def named(kind: str, index: int, name: object) -> str:
    """How messages call the ``index``-th unit, tensor or group. ProblemError where its name is no short string."""
    if not isinstance(name, str):
        raise ProblemError(f"{kind} {index}: name is {brief(name)}, expected a string")
    if len(name) > MOST_CHARACTERS:
        raise ProblemError(f"{kind} {index}: name has {len(name)} characters, expected at most {MOST_CHARACTERS}")
    return f"{kind} {name!r}"


def flag(owner: str, name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected true or false")


def sequence(owner: str, value: object, kind: type = tuple) -> None:
    if not isinstance(value, kind):
        raise ProblemError(f"{owner} is {brief(value)}, expected a {kind.__name__}")


def ascending(owner: str, name: str, values: tuple[int, ...]) -> None:
    if any(a >= b for a, b in pairwise(values)):
        raise ProblemError(f"{owner}: {name} are {brief(values)}, expected them to ascend without repeats")


def indices(what: str, values: Iterable[object], stop: int) -> None:
    """Every value is an ``int`` from 0 to ``stop - 1``."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ProblemError(f"{what}: {brief(value)} is not an index")
        if not 0 <= value < stop:
            found = f"index {brief(value)} is out of range"
            raise ProblemError(f"{what}: {found}, expected {f'0 to {stop - 1}' if stop > 0 else 'none here'}")
