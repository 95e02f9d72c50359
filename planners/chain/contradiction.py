"""Why no assignment exists at all: a smallest set of constraints that already exclude each other, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..problem import Device, Problem, Unit

SHAPE = (
    "first visits follow device order, and a stage returns to a device only around a unit pinned there "
    "or tied to an earlier one"
)


MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing the problem asks for, and the problem without it."""

    words: str
    relax: Callable[[Problem], Problem]


def explain(problem: Problem, possible: Callable[[Problem], bool | None], shape: str = SHAPE) -> str:
    """Drop constraints as long as the rest stays impossible; name what is left, at most ``MOST_NAMED``.

    ``possible`` may answer None for "not known": the constraint is then kept, so the set may not be smallest.
    ``shape``: what every assignment obeys whatever is dropped.
    """
    _, named = _core(_bare(problem), list(constraints(problem)), possible)
    words = [constraint.words for constraint in reversed(named)]
    if len(words) > MOST_NAMED:
        words = [*words[:MOST_NAMED], f"{len(words) - MOST_NAMED} more constraints"]
    return f"no assignment obeys all of this: {'; '.join(words)} ({shape})"


def _core(
    problem: Problem, some: Sequence[Constraint], possible: Callable[[Problem], bool | None]
) -> tuple[Problem, list[Constraint]]:
    """The problem without those of the constraints that it is impossible without, and the others. Halves and halves."""
    without = problem
    for constraint in some:
        without = constraint.relax(without)
    if possible(without) is False:
        return without, []
    if len(some) == 1:
        return problem, list(some)
    middle = len(some) // 2
    problem, early = _core(problem, some[:middle], possible)
    problem, late = _core(problem, some[middle:], possible)
    return problem, early + late


def constraints(problem: Problem) -> Iterator[Constraint]:
    """Everything that can be given up, the least telling first."""
    names = [unit.name for unit in problem.units]
    for index, device in enumerate(problem.devices):
        if device.layers is not None:
            words = f"device {index} must hold {device.layers} sequential units"
            yield Constraint(words, lambda p, d=index: _with_device(p, d, layers=None))  # type: ignore[misc]
    if problem.sequential:
        yield Constraint("sequential units never step back", _unordered)
    for cut in sorted(problem.forbidden_cuts):
        words = f"units {names[cut]!r} and {names[cut + 1]!r} may not be parted"
        yield Constraint(words, lambda p, cut=cut: replace(p, forbidden_cuts=p.forbidden_cuts - {cut}))  # type: ignore[misc]
    for group in problem.groups:
        if group.colocate:
            words = f"group {group.name!r} must be on one device"
            yield Constraint(words, lambda p, g=group: replace(p, groups=tuple(o for o in p.groups if o != g)))  # type: ignore[misc]
    for unit, home in problem.pins:
        words = f"unit {names[unit]!r} is pinned to device {home}"
        yield Constraint(words, lambda p, pin=(unit, home): replace(p, pins=tuple(o for o in p.pins if o != pin)))  # type: ignore[misc]
    for index, device in enumerate(problem.devices):
        if device.min_units > 1:
            words = f"device {index} must hold {device.min_units} units or more"
            yield Constraint(words, lambda p, d=index: _with_device(p, d, min_units=1))  # type: ignore[misc]
    if not problem.allow_empty:
        yield Constraint(
            f"each of {len(problem.devices)} devices must hold a unit", lambda p: replace(p, allow_empty=True)
        )


def _bare(problem: Problem) -> Problem:
    """The constraints alone: no time, no memory."""
    units = tuple(Unit(unit.name, 0.0) for unit in problem.units)
    groups = tuple(replace(group, bytes=0, update_bytes=0) for group in problem.groups)
    devices = tuple(Device(0, min_units=device.min_units, layers=device.layers) for device in problem.devices)
    return replace(problem, units=units, devices=devices, groups=groups, tensors=())


def _unordered(problem: Problem) -> Problem:
    """No unit is sequential, so none is counted either."""
    devices = tuple(replace(device, layers=None) for device in problem.devices)
    return replace(problem, sequential=frozenset(), devices=devices)


def _with_device(problem: Problem, index: int, **changes: int | None) -> Problem:
    devices = list(problem.devices)
    devices[index] = replace(devices[index], **changes)  # type: ignore[arg-type]
    return replace(problem, devices=tuple(devices))
