"""Refuses problems that make no sense, before a planner sees them."""

from __future__ import annotations

from .checks import MOST, ProblemError, ascending, brief, flag, indices, named, number, numbers, sequence
from .problem import Device, Preference, Problem, Schedule, SharedGroup, Tensor

__all__ = [
    "LEAST_SPEED",
    "MOST",
    "MOST_BYTES",
    "MOST_DEVICES",
    "MOST_ITEMS",
    "MOST_UNITS",
    "ProblemError",
    "most_units",
    "validate",
]

MOST_DEVICES = 64
MOST_UNITS = 100_000
MOST_ITEMS = 1_000_000
"""Pins, tensors, groups, readers of all tensors and members of all groups together."""
LEAST_SPEED = 1e-6
"""Times divided by it stay finite, and so do their squares."""
MOST_BYTES = 2**50
"""Of one device however deep it stashes: sums stay exact in double precision."""


def validate(problem: Problem) -> None:
    """Raise :class:`ProblemError` for values of another type than declared, NaN, infinite or negative numbers, byte
    counts that are not integers, indices out of range, member lists that do not ascend, readers not after their
    producer, a unit pinned to two devices, and counts that cannot be met. Constraints that contradict each other in
    subtler ways are a planner's finding."""
    _containers(problem)
    _counts(problem)
    for index, unit in enumerate(problem.units):
        numbers(named("unit", index, unit.name), unit)
    for index, device in enumerate(problem.devices):
        _device(index, device)
    for index, tensor in enumerate(problem.tensors):
        _tensor(problem, index, tensor)
    for index, group in enumerate(problem.groups):
        _group(problem, index, group)
    number("problem", "copy_us_per_byte", problem.copy_us_per_byte)
    number("problem", "copy_us", problem.copy_us)
    _micro_batches(problem.micro_batches)
    _sizes(problem)
    indices("sequential", problem.sequential, len(problem.units))
    _layers(problem)
    _pins(problem)
    indices("forbidden_cuts", problem.forbidden_cuts, len(problem.units) - 1)


def _containers(problem: Problem) -> None:
    """The types that planners rely on, for problems that no type checker has seen."""
    for name in ("units", "devices", "tensors", "groups", "pins"):
        sequence(name, getattr(problem, name))
    for name in ("forbidden_cuts", "sequential"):
        sequence(name, getattr(problem, name), frozenset)
    for tensor in problem.tensors:
        sequence("readers", tensor.readers)
    for group in problem.groups:
        sequence("members", group.members)
    for name, kind in (("schedule", Schedule), ("prefer", Preference)):
        if not isinstance(getattr(problem, name), kind):
            raise ProblemError(f"{name} is {brief(getattr(problem, name))}, expected a {kind.__name__}")
    flag("problem", "allow_empty", problem.allow_empty)


def most_units(count: int) -> None:
    """ProblemError where there are too few or too many units to look at."""
    if not 1 <= count <= MOST_UNITS:
        raise ProblemError(f"the problem has {count} units, expected 1 to {MOST_UNITS}")


def _counts(problem: Problem) -> None:
    units, devices = len(problem.units), len(problem.devices)
    most_units(units)
    items = sum(len(tensor.readers) for tensor in problem.tensors) + sum(len(group.members) for group in problem.groups)
    items += len(problem.tensors) + len(problem.groups) + len(problem.pins)
    if items > MOST_ITEMS:
        raise ProblemError(
            f"the problem has {items} tensors, groups, readers, members and pins, expected at most {MOST_ITEMS}"
        )
    if not 1 <= devices <= MOST_DEVICES:
        raise ProblemError(f"the problem has {devices} devices, expected 1 to {MOST_DEVICES}")
    if devices > units and not problem.allow_empty:
        raise ProblemError(
            f"{devices} devices for {units} units, but every device must hold a unit; use fewer devices or allow_empty"
        )


def _device(index: int, device: Device) -> None:
    owner = f"device {index}"
    numbers(owner, device)
    if device.speed < LEAST_SPEED:
        raise ProblemError(f"{owner} has speed {device.speed}, expected at least {LEAST_SPEED}")
    if device.layers is not None:
        number(owner, "layers", device.layers, whole=True)


def _micro_batches(count: int | None) -> None:
    if count is not None:
        number("problem", "micro_batches", count, whole=True)
        if count < 1:
            raise ProblemError(f"problem: micro_batches is {count}, expected at least 1, or null")


def _sizes(problem: Problem) -> None:
    """Twice what everything on one device would take, stashed as deep as it can be."""
    stages = 2 * min(len(problem.units), len(problem.devices) + len(problem.pins) + len(problem.groups))
    once = sum(
        u.resident_bytes + u.live_bytes + u.transient_bytes + u.update_bytes + u.code_bytes for u in problem.units
    )
    once += sum(g.bytes + g.update_bytes for g in problem.groups) + max(d.base_bytes for d in problem.devices)
    deep = sum(u.checkpoint_bytes for u in problem.units) + sum(t.bytes + t.gradient_bytes for t in problem.tensors)
    deep += sum(u.live_bytes for u in problem.units) if problem.schedule is Schedule.ONE_F_ONE_B else 0
    if max(once + stages * deep, *(d.capacity_bytes for d in problem.devices)) > MOST_BYTES:
        raise ProblemError(f"the problem's bytes add up to more than {MOST_BYTES}, the most that is counted exactly")


def _layers(problem: Problem) -> None:
    asked = [device.layers for device in problem.devices]
    known, count = sum(n for n in asked if n is not None), len(problem.sequential)
    if known > count or (known < count and None not in asked):
        raise ProblemError(f"the devices ask for {asked} sequential units, but the problem has {count}")


def _tensor(problem: Problem, index: int, tensor: Tensor) -> None:
    owner = named("tensor", index, tensor.name)
    numbers(owner, tensor)
    indices(f"{owner}: readers", tensor.readers, len(problem.units))
    ascending(owner, "readers", tensor.readers)
    if tensor.producer is None:
        return
    indices(f"{owner}: producer", (tensor.producer,), len(problem.units))
    if tensor.readers and tensor.readers[0] <= tensor.producer:
        raise ProblemError(f"{owner}: unit {tensor.readers[0]} reads it, but only unit {tensor.producer} makes it")


def _group(problem: Problem, index: int, group: SharedGroup) -> None:
    owner = named("group", index, group.name)
    numbers(owner, group)
    flag(owner, "colocate", group.colocate)
    indices(f"{owner}: members", group.members, len(problem.units))
    ascending(owner, "members", group.members)


def _pins(problem: Problem) -> None:
    for pin in problem.pins:
        if not isinstance(pin, tuple) or len(pin) != 2:
            raise ProblemError(f"a pin is {brief(pin)}, expected (unit, device)")
    indices("pins: unit", (unit for unit, _ in problem.pins), len(problem.units))
    indices("pins: device", (device for _, device in problem.pins), len(problem.devices))
    seen: dict[int, int] = {}
    for unit, device in problem.pins:
        if seen.setdefault(unit, device) != device:
            name = problem.units[unit].name
            raise ProblemError(f"unit {name!r} is pinned to device {seen[unit]} and to device {device}")
