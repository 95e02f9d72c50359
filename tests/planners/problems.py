"""Small random problems in which everything that may interact does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from planners.evaluate import evaluate
from planners.problem import Device, Preference, Problem, Schedule, SharedGroup, Tensor, Unit

few = st.integers(1, 6)
sizes = st.integers(0, 9)
times = st.integers(0, 8).map(float)
speeds = st.sampled_from((1.0, 1.0, 0.5, 2.0))
schedules = st.sampled_from([schedule for schedule in Schedule if schedule.returns])


@st.composite
def units(draw: st.DrawFn, index: int) -> Unit:
    checkpoint = draw(st.sampled_from((0, 0, 3)))
    return Unit(
        f"u{index}",
        draw(times),
        draw(times),
        draw(sizes),
        draw(sizes),
        checkpoint,
        draw(sizes),
        draw(sizes),
        draw(sizes),
    )


@st.composite
def tensors(draw: st.DrawFn, index: int, count: int) -> Tensor:
    producer = draw(st.one_of(st.none(), st.integers(0, count - 2))) if count > 1 else None
    first = 0 if producer is None else producer + 1
    readers = draw(st.sets(st.integers(first, count - 1), min_size=1, max_size=3))
    return Tensor(f"t{index}", producer, tuple(sorted(readers)), draw(sizes), draw(sizes))


@st.composite
def groups(draw: st.DrawFn, index: int, count: int) -> SharedGroup:
    members = draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3))
    return SharedGroup(f"g{index}", tuple(sorted(members)), draw(sizes), draw(st.booleans()), draw(sizes))


@st.composite
def problems(
    draw: st.DrawFn,
    counts: st.SearchStrategy[int] = few,
    most_devices: int = 3,
    capacity: st.SearchStrategy[int] | None = None,
    wide: bool = False,
) -> Problem:
    """``wide``: with least counts of units, counts of sequential units, and a preference too."""
    count = draw(counts)
    allow_empty = draw(st.booleans())
    devices = draw(st.integers(1, most_devices if allow_empty else min(count, most_devices)))
    room = st.sampled_from((30, 60, 90, 150, 10_000, 10_000)) if capacity is None else capacity
    indices = st.integers(0, count - 1)
    pinned = draw(st.dictionaries(indices, st.integers(0, devices - 1), max_size=draw(st.integers(0, 3))))
    problem = Problem(
        units=tuple(draw(units(i)) for i in range(count)),
        devices=tuple(Device(draw(room), draw(speeds), draw(st.sampled_from((0, 5, 100)))) for _ in range(devices)),
        schedule=draw(schedules),
        tensors=tuple(draw(tensors(i, count)) for i in range(draw(st.integers(0, 5)))),
        groups=tuple(draw(groups(i, count)) for i in range(draw(st.integers(0, 3)))),
        copy_us_per_byte=draw(st.sampled_from((0.0, 0.25, 1.0))),
        pins=tuple(sorted(pinned.items())),
        forbidden_cuts=frozenset(draw(st.sets(st.integers(0, count - 2), max_size=2)) if count > 1 else ()),
        sequential=frozenset(draw(st.one_of(st.just(set()), st.sets(indices)))),
        allow_empty=allow_empty,
    )
    return _overruled(draw, problem) if wide else problem


def _overruled(draw: st.DrawFn, problem: Problem, assignment: Sequence[int] = ()) -> Problem:
    """Counts that devices must hold, those of the assignment where one is given, and a preference."""
    left, devices = len(problem.sequential), []
    for index, device in enumerate(problem.devices):
        held = sum(assignment[unit] == index for unit in problem.sequential) if assignment else None
        layers = draw(st.none() | (st.integers(0, left) if held is None else st.just(held)))
        left -= layers or 0
        most = max(1, list(assignment).count(index)) if assignment else 3
        devices.append(replace(device, layers=layers, min_units=draw(st.sampled_from((0, 1, 1, most)))))
    if left and all(device.layers is not None for device in devices):
        devices[-1] = replace(devices[-1], layers=None)
    return replace(problem, devices=tuple(devices), prefer=draw(st.sampled_from(Preference)))


@st.composite
def flowing_problems(draw: st.DrawFn, counts: st.SearchStrategy[int] = few) -> Problem:
    """1F1B: with a time for each copy, and a count of micro-batches. Some are contradictory."""
    problem = draw(problems(counts, wide=True))
    return replace(
        problem,
        schedule=Schedule.ONE_F_ONE_B,
        groups=tuple(replace(g, colocate=g.colocate and draw(st.booleans())) for g in problem.groups),
        pins=problem.pins[: draw(st.integers(0, 1))],
        copy_us=draw(st.sampled_from((0.0, 0.5, 4.0))),
        micro_batches=draw(st.sampled_from((None, 1, 2, 3, 8))),
    )


@st.composite
def layouts(draw: st.DrawFn, most_units: int, most_devices: int) -> list[int]:
    """Assignments that visit the devices in order and often return."""
    assignment, visited = [0], 1
    for _ in range(draw(st.integers(2, most_units - 1))):
        choices = [assignment[-1], *range(visited)] + [visited] * 2 * (visited < most_devices)
        assignment.append(draw(st.sampled_from(choices)))
        visited = max(visited, assignment[-1] + 1)
    return assignment


@st.composite
def returning_problems(
    draw: st.DrawFn, most_units: int = 7, most_devices: int = 3, tight: bool = False, wide: bool = False
) -> Problem:
    """Problems built around a layout that returns to visited devices by pins or ties, and keeps some layers in order.

    ``tight``: memory suffices for little else than that layout. ``wide``: as for :func:`problems`.
    """
    assignment = draw(layouts(most_units, most_devices))
    problem = draw(problems(st.just(len(assignment)), most_devices))
    seen: dict[int, int] = {}
    pins: dict[int, int] = {}
    ties: list[SharedGroup] = []
    layers: list[int] = []
    for unit, device in enumerate(assignment):
        returns = device in seen and assignment[unit - 1] != device
        if returns and draw(st.booleans()):
            pins[unit] = device
        elif returns:
            ties.append(SharedGroup(f"tie{unit}", (seen[device], unit), 4, True))
        if draw(st.booleans()) and all(assignment[layer] <= device for layer in layers):
            layers.append(unit)
        seen.setdefault(device, unit)
    spare = draw(st.integers(0, most_devices - len(seen))) if problem.allow_empty else 0
    built = replace(
        problem,
        devices=tuple(Device(10_000, draw(speeds), draw(sizes)) for _ in range(len(seen) + spare)),
        pins=tuple(sorted(pins.items())),
        groups=(*problem.groups[:1], *ties),
        forbidden_cuts=frozenset(),
        sequential=frozenset(layers),
    )
    if wide:
        built = _overruled(draw, built, assignment)
    return _just_enough(draw, built, assignment) if tight else built


def _just_enough(draw: st.DrawFn, problem: Problem, assignment: list[int]) -> Problem:
    needed = [load.memory.total + draw(st.integers(-1, 6)) for load in evaluate(problem, assignment).devices]
    devices = (replace(d, capacity_bytes=max(0, n)) for d, n in zip(problem.devices, needed, strict=True))
    return replace(problem, devices=tuple(devices))
