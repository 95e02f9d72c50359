"""Making a problem smaller while something about it stays true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from planners import Preference, Problem, ProblemError, Tensor, Unit, validate

MOST_TRIES = 400


def smallest(problem: Problem, holds: Callable[[Problem], bool]) -> Problem:
    """The smallest that is found by leaving out one thing after the other; every step is well formed."""
    tries, before = 0, None
    while before != problem and tries < MOST_TRIES:
        before = problem
        for smaller in _smaller(before):
            tries += 1
            if _well_formed(smaller) and holds(smaller):
                problem = smaller
                break
            if tries >= MOST_TRIES:
                break
    return problem


def _well_formed(problem: Problem) -> bool:
    try:
        validate(problem)
    except ProblemError:
        return False
    return True


def _smaller(problem: Problem) -> Iterator[Problem]:
    """Large steps first."""
    for unit in reversed(range(len(problem.units))):
        yield without_unit(problem, unit)
    if problem.devices[-1].layers in (None, 0):
        yield replace(problem, devices=problem.devices[:-1])
    for index in range(len(problem.tensors)):
        yield replace(problem, tensors=problem.tensors[:index] + problem.tensors[index + 1 :])
    for index in range(len(problem.groups)):
        yield replace(problem, groups=problem.groups[:index] + problem.groups[index + 1 :])
    for index in range(len(problem.pins)):
        yield replace(problem, pins=problem.pins[:index] + problem.pins[index + 1 :])
    for unit in sorted(problem.forbidden_cuts):
        yield replace(problem, forbidden_cuts=problem.forbidden_cuts - {unit})
    for unit in sorted(problem.sequential):
        yield replace(problem, sequential=problem.sequential - {unit})
    yield from _plainer(problem)


def _plainer(problem: Problem) -> Iterator[Problem]:
    """The same things, with fewer numbers."""
    if problem.copy_us_per_byte:
        yield replace(problem, copy_us_per_byte=0.0)
    if problem.copy_us:
        yield replace(problem, copy_us=0.0)
    if problem.micro_batches is not None:
        yield replace(problem, micro_batches=None)
    if problem.prefer is not Preference.TIME:
        yield replace(problem, prefer=Preference.TIME)
    for index, device in enumerate(problem.devices):
        for change in ({"layers": None}, {"min_units": 1}, {"base_bytes": 0}, {"speed": 1.0}):
            simpler = replace(device, **change)
            if simpler != device:
                yield replace(problem, devices=(*problem.devices[:index], simpler, *problem.devices[index + 1 :]))
    for index, unit in enumerate(problem.units):
        bare = Unit(unit.name, unit.forward_us)
        for simpler_unit in (replace(bare, forward_us=0.0), bare):
            if simpler_unit != unit:
                yield replace(problem, units=(*problem.units[:index], simpler_unit, *problem.units[index + 1 :]))


def without_unit(problem: Problem, gone: int) -> Problem:
    """The units after it move up; what it made, and groups of it alone, go with it."""

    def moved(units: tuple[int, ...] | frozenset[int]) -> tuple[int, ...]:
        return tuple(unit - (unit > gone) for unit in sorted(units) if unit != gone)

    tensors = (_moved(tensor, gone, moved(tensor.readers)) for tensor in problem.tensors if tensor.producer != gone)
    groups = (replace(group, members=moved(group.members)) for group in problem.groups)
    last = len(problem.units) - 2
    return replace(
        problem,
        units=problem.units[:gone] + problem.units[gone + 1 :],
        tensors=tuple(tensor for tensor in tensors if tensor.readers),
        groups=tuple(group for group in groups if group.members),
        pins=tuple((unit - (unit > gone), device) for unit, device in problem.pins if unit != gone),
        forbidden_cuts=frozenset(unit for unit in moved(problem.forbidden_cuts) if unit < last),
        sequential=frozenset(moved(problem.sequential)),
    )


def _moved(tensor: Tensor, gone: int, readers: tuple[int, ...]) -> Tensor:
    producer = None if tensor.producer is None else tensor.producer - (tensor.producer > gone)
    return replace(tensor, producer=producer, readers=readers)
