"""The tables under `tables/`, as frozen values."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class TensorRule:
    """One tensor by its dimensions' names; see `tables/tensors.json`."""

    name: str
    dims: tuple[str, ...]
    dtype: str = "int64"
    fill: int = 0
    beside: str | None = None
    above: tuple[tuple[str, int], ...] = ()
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One way from a task to a class; see `tables/tasks.json`."""

    mapping: str
    auto_class: str
    labels: tuple[TensorRule, ...]
    needs: str | None = None
    omitted: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One task; see `tables/tasks.json`."""

    name: str
    aliases: tuple[str, ...]
    routes: tuple[Route, ...]
    sequence_length: int | None = None
    target_length: int | None = None
    rows: tuple[str, ...] = ("batch",)
    problem_types: bool = False


@dataclass(frozen=True, slots=True)
class Switch:
    """A configuration field that training sets to `neutral`; see `tables/switches.json`."""

    field: str
    neutral: object
    why: str
    sets: tuple[tuple[str, float], ...] = ()
    """Attributes of configurations and modules on the host, and the values that stand for `neutral` there."""
    unless: str | None = None
    """An input that stands for what is drawn at random: where it is passed, the field stays as it is."""


@dataclass(frozen=True, slots=True)
class Untying:
    """A configuration field by which layers that share weights get their own; see `tables/switches.json`."""

    field: str
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class Fallback:
    """A configuration field a task needs; see `tables/switches.json`."""

    field: str
    source: str
    task: str
    why: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """What integers under a field name may be; see `tables/limits.json`."""

    match: re.Pattern[str]
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What a configuration from outside may ask for; see `tables/limits.json`."""

    file_bytes: int
    nesting: int
    parameters: int
    modules: int
    fields: tuple[Bounds, ...]


@cache
def tasks() -> tuple[Task, ...]:
    return tuple(_task(row) for row in _document("tasks")["tasks"])


@cache
def constants() -> Mapping[str, int]:
    """Dimensions that no option gives, and what stands in for a configuration without an image size."""
    return dict(_document("tasks")["constants"])


@cache
def inputs() -> tuple[TensorRule, ...]:
    return tuple(_tensor(name, row) for name, row in _document("tensors")["inputs"].items())


@cache
def problem_types() -> Mapping[str, TensorRule]:
    """Labels by `config.problem_type`, where they differ from one class index a row."""
    return {name: _tensor("labels", row) for name, row in _document("tensors")["problem_types"].items()}


@cache
def label_names() -> frozenset[str]:
    """Every parameter name of `forward` that any task knows as a label."""
    return frozenset(label.name for task in tasks() for route in task.routes for label in route.labels)


def switches(inputs: Collection[str] = ()) -> tuple[Switch, ...]:
    """Those that hold where the model is called with `inputs`."""
    return tuple(switch for switch in _switches() if switch.unless not in inputs)


def stand_ins() -> frozenset[str]:
    """Inputs that stand for what is drawn at random."""
    return frozenset(switch.unless for switch in _switches() if switch.unless is not None)


@cache
def _switches() -> tuple[Switch, ...]:
    rows = _document("switches")["training"]
    return tuple(Switch(**{**row, "sets": tuple(row["sets"].items())}) for row in rows)


@cache
def untyings() -> tuple[Untying, ...]:
    return tuple(Untying(row["field"], row["as"], row["why"]) for row in _document("switches")["untied"])


@cache
def fallbacks() -> tuple[Fallback, ...]:
    rows = _document("switches")["unset"]
    return tuple(Fallback(row["field"], row["from"], row["task"], row["why"]) for row in rows)


@cache
def limits() -> Limits:
    document = _document("limits")
    bounds = tuple(Bounds(re.compile(row["match"]), row["least"], row["most"]) for row in document["fields"])
    return Limits(**{**{k: v for k, v in document.items() if k != "about"}, "fields": bounds})


def _task(row: Mapping[str, Any]) -> Task:
    fields = {**row, "aliases": tuple(row["aliases"]), "routes": tuple(_route(r) for r in row["routes"])}
    if "rows" in row:
        fields["rows"] = tuple(row["rows"])
    return Task(**fields)


def _route(row: Mapping[str, Any]) -> Route:
    dtypes = _document("tensors")["label_dtypes"]
    default = row.get("label_dtype", "int64")
    labels = (TensorRule(name, tuple(dims), dtypes.get(name, default)) for name, dims in row["labels"].items())
    omitted = tuple(row.get("omitted", {}).items())
    return Route(row["mapping"], row["auto_class"], tuple(labels), row.get("needs"), omitted)


def _tensor(name: str, row: Mapping[str, Any]) -> TensorRule:
    above = tuple(row.get("above", {}).items())
    return TensorRule(name, **{**row, "dims": tuple(row["dims"]), "above": above})


@cache
def _document(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath("tables", f"{name}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
