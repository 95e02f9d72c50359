"""What each command does: documents in, documents out, the exit code back."""

from __future__ import annotations

import math
import sys
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from typing import Any

from . import files, registry
from .documents import read_problem
from .json_text import plain_json
from .judge import planner_for, solve
from .registry import Planner, WrongAnswerError
from .solution import Infeasible

SOLVED, INTERNAL, USAGE, DOES_NOT_FIT, NOT_CONFIRMED, INTERRUPTED = 0, 1, 2, 3, 5, 130


class UsageError(ValueError):
    """The command itself is wrong."""


class RejectedError(Exception):
    """A planner gave an answer that the judge rejects."""


def solve_command(options: dict[str, Any]) -> int:
    document = read_problem(files.read_text(options["problem"]))
    planner = _limited(planner_for(document.problem, options["planner"]), options["time_limit"])
    try:
        solution = solve(document.problem, planner)
    except WrongAnswerError as error:
        raise RejectedError(str(error)) from error
    _give(document.answer(solution), options["output"])
    return DOES_NOT_FIT if isinstance(solution, Infeasible) else SOLVED


def evaluate_command(options: dict[str, Any]) -> int:
    if options["problem"] == options["solution"] == "-":
        raise UsageError("problem and solution cannot both be read from the standard input")
    document = read_problem(files.read_text(options["problem"]))
    found = document.judgement(files.read_text(options["solution"]))
    _give(plain_json(found), options["output"])
    if not found["confirmed"]:
        return NOT_CONFIRMED
    return SOLVED if found["fits"] else DOES_NOT_FIT


def list_command() -> int:
    _give("".join(f"{_described(name)}\n" for name in registry.names()), None)
    return SOLVED


def one_line(text: str) -> str:
    """Printable characters alone, and not too many of them."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:10_000]).split())
    return line if len(line) <= 2000 else f"{line[:2000]}..."


def _give(text: str, output: str | None) -> None:
    if output is not None:
        files.write_text(output, text)
        return
    sys.stdout.write(text)
    sys.stdout.flush()


def _limited(planner: Planner, seconds: float | None) -> Planner:
    """The planner with another time limit. UsageError where it has none, or the specification has another one."""
    if seconds is None:
        return planner
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"--time-limit is {seconds}, expected a number of seconds above 0")
    known = {field.name: field.default for field in _fields(planner)}
    if "time_limit" not in known:
        raise UsageError(f"planner {registry.specification(planner)!r} takes no time limit; leave out --time-limit")
    if getattr(planner, "time_limit", None) not in (known["time_limit"], seconds):
        raise UsageError(f"--time-limit {seconds} contradicts {registry.specification(planner)!r}; give one of them")
    return replace(planner, time_limit=seconds)  # type: ignore[type-var]


def _described(name: str) -> str:
    """``name{option=default}`` and what the planner is, or why it cannot be loaded."""
    try:
        kind = registry.load(name)
    except Exception as error:  # whatever a plug-in does when it is imported
        return f"{name}: cannot be loaded: {one_line(str(error))}"
    options = [_option(field) for field in _fields(kind)]
    summary = (kind.__doc__ or "").strip().split("\n\n")[0]
    return f"{name}{{{' '.join(options)}}}: {one_line(summary)}" if options else f"{name}: {one_line(summary)}"


def _fields(planner: Any) -> tuple[Field[Any], ...]:
    return fields(planner) if is_dataclass(planner) else ()


def _option(field: Field[Any]) -> str:
    value = "" if field.default is MISSING else field.default
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"{field.name}={text.lower() if isinstance(value, bool) else text}"
