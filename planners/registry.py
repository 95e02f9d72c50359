"""Planners by name: a planner is a frozen dataclass whose fields are its options.

A specification is a name, or a name with options: ``chain{time_limit=30}``, ``uniform{layers=3,7,-1,-1}``. Options are
parted by spaces or commas, values of a list by commas. Packages add planners through the entry-point group
``ipu_partition.planners``; the built-in ones are declared there too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, get_type_hints

from .graph.problem import GraphProblem
from .problem import Problem
from .solution import Solution

GROUP = "ipu_partition.planners"
BUILT_IN = {
    "auto": "planners.auto:Auto",
    "brute": "planners.brute:Brute",
    "chain": "planners.chain:Chain",
    "cpsat": "planners.cpsat:CpSat",
    "flops": "planners.balanced:Flops",
    "greedy": "planners.greedy:Greedy",
    "ideals": "planners.ideals:Ideals",
    "inline": "planners.inline:Inline",
    "linear": "planners.linear:Linear",
    "milp": "planners.milp:Milp",
    "parameters": "planners.balanced:Parameters",
    "uniform": "planners.uniform:Uniform",
}
"""What the entry points of this package say, for when it is imported without being installed."""

_SPEC = re.compile(r"\s*(?P<name>[\w.-]+)\s*(?:\{(?P<options>[^{}]*)\})?\s*")
_OPTION = re.compile(
    r"(?P<key>[A-Za-z_]\w*)\s*=\s*(?P<value>[^=\s]+?(?:\s*,\s*[^=\s,]+?)*)\s*(?:$|[,\s]\s*(?=[A-Za-z_]\w*\s*=))"
)


class PlannerError(ValueError):
    """A planner that cannot be asked: not understood, not installed, or not for such problems; or, as
    :class:`WrongAnswerError`, one that was caught in an answer that is not so."""


class WrongAnswerError(PlannerError):
    """An answer that the judge rejects."""


class Planner(Protocol):
    """A class may say what it ``takes``: ``Problem`` unless it does, ``GraphProblem``, or a tuple of both."""

    def __call__(self, problem: Any) -> Solution:
        """Solve the problem. ProblemError where it is malformed; a problem without solution is an answer."""


def names() -> tuple[str, ...]:
    """All planners that can be asked for, in order of name."""
    return tuple(sorted(_targets()))


def load(name: str) -> type[Planner]:
    """The planner's class. PlannerError for an unknown name."""
    targets = _targets()
    if name not in targets:
        raise PlannerError(f"there is no planner {name!r}; there are {', '.join(sorted(targets))}")
    module, _, attribute = targets[name].partition(":")
    planner: type[Planner] = getattr(import_module(module), attribute)
    return planner


def takes(planner: Planner | type[Planner]) -> tuple[type, ...]:
    """The kinds of problem that it plans."""
    found: type | tuple[type, ...] = getattr(planner, "takes", Problem)
    return found if isinstance(found, tuple) else (found,)


def names_for(kind: type[Problem | GraphProblem]) -> tuple[str, ...]:
    """The planners that take such problems, in order of name; those that cannot be loaded are left out."""
    return tuple(name for name in names() if kind in _taken(name))


def _taken(name: str) -> tuple[type, ...]:
    try:
        return takes(load(name))
    except Exception:  # whatever a plug-in does when it is imported
        return ()


def parse(spec: str) -> Planner:
    """The planner that a specification describes. PlannerError for an unknown name or option, or a wrong value."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise PlannerError(
            f"planner {spec!r} is not understood, expected a form such as 'chain' or 'chain{{time_limit=30}}'"
        )
    kind = load(match["name"])
    hints = get_type_hints(kind)
    known: dict[str, Any] = {field.name: hints[field.name] for field in fields(kind)} if is_dataclass(kind) else {}
    values: dict[str, Any] = {}
    for key, text in _options(match["options"] or ""):
        if key not in known:
            raise PlannerError(f"planner {match['name']!r} has no option {key!r}; it has {', '.join(known) or 'none'}")
        if key in values:
            raise PlannerError(f"option {key} is given twice: {_text(values[key])} and {text}")
        values[key] = _value(key, text, known[key])
    return kind(**values)


def specification(planner: Planner) -> str:
    """The shortest specification that :func:`parse` turns into an equal planner."""
    kind = type(planner)
    named_alike = (n for n, target in sorted(_targets().items()) if target.endswith(f":{kind.__name__}"))
    name = next((n for n in named_alike if load(n) is kind), kind.__name__)
    changed = [f for f in fields(planner) if f.default is MISSING or getattr(planner, f.name) != f.default]  # type: ignore[arg-type]
    options = " ".join(f"{f.name}={_text(getattr(planner, f.name))}" for f in changed)
    return f"{name}{{{options}}}" if options else name


def _targets() -> dict[str, str]:
    found = dict(BUILT_IN)
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        if found.setdefault(point.name, point.value) != point.value:
            raise PlannerError(f"two planners are called {point.name!r}: {found[point.name]} and {point.value}")
    return found


def _options(text: str) -> Iterator[tuple[str, str]]:
    text, position = text.strip(), 0
    while position < len(text):
        match = _OPTION.match(text, position)
        if match is None:
            raise PlannerError(f"options {text!r} are not understood, expected a form such as 'time_limit=30'")
        yield match["key"], match["value"]
        position = match.end()


def _value(key: str, text: str, kind: Any) -> Any:
    try:
        value = ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        value = text
    if kind == tuple[int, ...]:
        value = value if isinstance(value, (tuple, list)) else (value,)
        if all(type(v) is int for v in value):
            return tuple(value)
    elif type(value) is kind:
        return value
    elif kind is float and type(value) is int:
        return float(value)
    raise PlannerError(f"option {key} is {text!r}, expected {getattr(kind, '__name__', kind)}")


def _text(value: object) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, tuple)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
