"""Reading JSON that nobody has checked: a ProblemError of one line, whatever the text is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from .checks import ProblemError, brief


def read_json(what: str, text: str) -> Any:
    """The value that ``text`` says. ProblemError where it is not JSON, nests too deep, repeats a key of an object, or
    holds NaN or Infinity, which JSON does not know."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_constant)
    except ProblemError as error:
        raise ProblemError(f"{what} is not JSON: {error}") from None
    except ValueError as error:
        raise ProblemError(f"{what} is not JSON: {error}") from error
    except RecursionError:
        raise ProblemError(f"{what} is nested too deep, expected lists of objects of numbers") from None


def plain_json(document: object) -> str:
    """Sorted keys, one trailing newline: the same document gives the same bytes. ValueError for NaN and infinity."""
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"


def mapping(what: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProblemError(f"{what} is {brief(value)}, expected an object")
    return value


def items(what: str, value: object) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ProblemError(f"{what} is {brief(value)}, expected a list")
    return list(value)


def known_keys(what: str, values: Mapping[str, Any], known: frozenset[str], needed: frozenset[str]) -> None:
    """ProblemError for a key that is not known, and for the lack of one that is needed."""
    if not known.issuperset(values):
        unknown = ", ".join(sorted(brief(key) for key in values if key not in known)[:5])
        raise ProblemError(f"{what} has unknown keys [{unknown}], expected some of {sorted(known)}")
    if not needed <= values.keys():
        raise ProblemError(f"{what} lacks the keys {sorted(needed.difference(values))}")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its pairs, for ``json``. ProblemError where it has a key twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ProblemError(f"an object has the key {brief(twice)} more than once")
    return found


def _constant(name: str) -> NoReturn:
    raise ProblemError(f"it holds {name}, expected a finite number")
