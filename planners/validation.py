"""Refuses problems that make no sense, before a planner sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from itertools import pairwise

from .problem import Device, Problem, SharedGroup, Tensor, Unit

MOST_DEVICES = 64


class ProblemError(ValueError):
    """The problem itself is malformed: what was found, what was expected."""


def validate(problem: Problem) -> None:
    """Raise :class:`ProblemError` for NaN, infinite or negative numbers, byte counts that are not integers, indices out
    of range, member lists that do not ascend, readers not after their producer, a unit pinned twice, and device
    counts that cannot be met. Constraints that contradict each other in subtler ways are a planner's finding."""
    _counts(problem)
    for unit in problem.units:
        _numbers(f"unit {unit.name!r}", unit)
    for index, device in enumerate(problem.devices):
        _numbers(f"device {index}", device)
        if device.speed == 0:
            raise ProblemError(f"device {index} has speed 0, expected a positive number")
    for tensor in problem.tensors:
        _tensor(problem, tensor)
    for group in problem.groups:
        _group(problem, group)
    _number("problem", "copy_us_per_byte", problem.copy_us_per_byte)
    _pins(problem)
    _indices("forbidden_cuts", problem.forbidden_cuts, len(problem.units) - 1)
    _indices("sequential", problem.sequential, len(problem.units))


def _counts(problem: Problem) -> None:
    units, devices = len(problem.units), len(problem.devices)
    if units == 0:
        raise ProblemError("the problem has no unit, expected at least one")
    if not 1 <= devices <= MOST_DEVICES:
        raise ProblemError(f"the problem has {devices} devices, expected 1 to {MOST_DEVICES}")
    if devices > units and not problem.allow_empty:
        raise ProblemError(
            f"{devices} devices for {units} units, but every device must hold a unit; use fewer devices or allow_empty"
        )


def _numbers(owner: str, item: Unit | Device | Tensor | SharedGroup) -> None:
    for field in fields(item):
        if field.type in ("int", "float"):
            _number(owner, field.name, getattr(item, field.name), whole=field.type == "int")


def _number(owner: str, name: str, value: float, whole: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ProblemError(f"{owner}: {name} is {value!r}, expected {'an integer' if whole else 'a number'}")
    if not math.isfinite(value) or value < 0:
        raise ProblemError(f"{owner}: {name} is {value!r}, expected a finite number of at least 0")


def _tensor(problem: Problem, tensor: Tensor) -> None:
    owner = f"tensor {tensor.name!r}"
    _numbers(owner, tensor)
    _ascending(owner, "readers", tensor.readers)
    _indices(f"{owner}: readers", tensor.readers, len(problem.units))
    if tensor.producer is None:
        return
    _indices(f"{owner}: producer", (tensor.producer,), len(problem.units))
    if tensor.readers and tensor.readers[0] <= tensor.producer:
        raise ProblemError(f"{owner}: unit {tensor.readers[0]} reads it, but only unit {tensor.producer} makes it")


def _group(problem: Problem, group: SharedGroup) -> None:
    owner = f"group {group.name!r}"
    _numbers(owner, group)
    _ascending(owner, "members", group.members)
    _indices(f"{owner}: members", group.members, len(problem.units))


def _pins(problem: Problem) -> None:
    _indices("pins: unit", (unit for unit, _ in problem.pins), len(problem.units))
    _indices("pins: device", (device for _, device in problem.pins), len(problem.devices))
    seen: dict[int, int] = {}
    for unit, device in problem.pins:
        if seen.setdefault(unit, device) != device:
            name = problem.units[unit].name
            raise ProblemError(f"unit {name!r} is pinned to device {seen[unit]} and to device {device}")


def _ascending(owner: str, name: str, values: tuple[int, ...]) -> None:
    if any(a >= b for a, b in pairwise(values)):
        raise ProblemError(f"{owner}: {name} are {values}, expected them to ascend without repeats")


def _indices(what: str, values: Iterable[int], stop: int) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ProblemError(f"{what}: {value!r} is not an index")
        if not 0 <= value < stop:
            raise ProblemError(f"{what}: index {value} is out of range, expected 0 to {stop - 1}")
