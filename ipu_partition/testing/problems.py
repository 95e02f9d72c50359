"""Small random problems in which everything that may interact does. The same seed gives the same problem everywhere.

All times, speeds and costs are sums of few binary digits, so that every sum of them is exact and may be compared with
``==``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from planners import Device, Preference, Problem, Schedule, SharedGroup, Tensor, Unit, evaluate

MOST_DEVICES = 3
ROOMY_BYTES = 100_000
"""More than any of these problems needs on one device."""
SCHEDULES = tuple(schedule for schedule in Schedule if schedule.returns)
"""Those that every planner knows."""


def random_problem(random: Random, most_units: int, schedules: Sequence[Schedule] = SCHEDULES) -> Problem:
    """A valid problem of 1 to ``most_units`` units and 1 to 3 devices, in one of the schedules.

    It is built around an assignment that obeys all or nearly all of its constraints and may be just what fits.
    """
    allow_empty = random.random() < 0.4
    layout = _layout(random, max(random.randint(1, most_units), random.randint(1, most_units)))
    used = max(layout) + 1
    devices = random.randint(used, MOST_DEVICES) if allow_empty else used
    problem = Problem(
        units=tuple(_unit(random, index) for index in range(len(layout))),
        devices=tuple(_device(random) for _ in range(devices)),
        schedule=random.choice(list(schedules)),
        tensors=tuple(_tensor(random, index, len(layout)) for index in range(random.randint(0, 5))),
        groups=tuple(_group(random, index, len(layout)) for index in range(random.randint(0, 2))),
        copy_us_per_byte=random.choice((0.0, 0.25, 1.0)),
        allow_empty=allow_empty,
        prefer=random.choice((Preference.TIME, Preference.TIME, Preference.MEMORY)),
    )
    if not problem.schedule.returns:
        problem, layout = _flowing(random, problem), sorted(layout)
    return _sized(random, _overruled(random, _bound(random, problem, layout), layout), layout)


def _flowing(random: Random, problem: Problem) -> Problem:
    """With what only schedules in device order know."""
    return replace(problem, micro_batches=random.choice((None, 1, 2, 5)), copy_us=random.choice((0.0, 2.0)))


def _layout(random: Random, units: int) -> list[int]:
    """Visits the devices in order and often returns."""
    layout = [0]
    while len(layout) < units:
        new = [max(layout) + 1] * 2 * (max(layout) + 1 < MOST_DEVICES)
        layout.append(random.choice([layout[-1], layout[-1], *range(max(layout) + 1), *new]))
    return layout


def _few(random: Random) -> int:
    return random.choice((0, 0, random.randint(1, 9)))


def _unit(random: Random, index: int) -> Unit:
    forward_us, backward_us = float(random.randint(0, 8)), float(random.randint(0, 8))
    checkpoint_bytes = random.choice((0, 0, 3))
    resident, live, transient, update, code = (_few(random) for _ in range(5))
    return Unit(f"u{index}", forward_us, backward_us, resident, live, checkpoint_bytes, transient, update, code)


def _device(random: Random) -> Device:
    return Device(ROOMY_BYTES, random.choice((1.0, 1.0, 0.5, 2.0)), random.choice((0, 0, 5, 20)))


def _tensor(random: Random, index: int, units: int) -> Tensor:
    producer = random.choice([None, *range(units - 1)])
    later = range(0 if producer is None else producer + 1, units)
    readers = random.sample(later, min(len(later), random.choice((1, 1, 2, 3))))
    return Tensor(f"t{index}", producer, tuple(sorted(readers)), random.randint(0, 9), _few(random))


def _group(random: Random, index: int, units: int) -> SharedGroup:
    members = sorted(random.sample(range(units), min(units, random.randint(1, 3))))
    return SharedGroup(f"g{index}", tuple(members), random.randint(0, 9), random.random() < 0.2, _few(random))


def _bound(random: Random, problem: Problem, layout: list[int]) -> Problem:
    """Every return of the layout gets its reason, a pin or a tie; some neighbours may not be parted."""
    first: dict[int, int] = {}
    pins, ties = [], list(problem.groups)
    for unit, device in enumerate(layout):
        returns = device in first and layout[unit - 1] != device
        if (returns and random.random() < 0.5) or random.random() < 0.05:
            pins.append((unit, device))
        elif returns:
            ties.append(SharedGroup(f"tie{unit}", (first[device], unit), random.randint(0, 9), True))
        first.setdefault(device, unit)
    joined = [unit for unit in range(len(layout) - 1) if layout[unit] == layout[unit + 1] and random.random() < 0.15]
    return replace(problem, pins=tuple(pins), groups=tuple(ties), forbidden_cuts=frozenset(joined))


def _overruled(random: Random, problem: Problem, layout: list[int]) -> Problem:
    """Sequential units, counts of them and least counts of units; one in eight contradicts the layout somewhere."""
    layers: list[int] = []
    for unit, device in enumerate(layout):
        if random.random() < 0.7 and all(layout[layer] <= device for layer in layers):
            layers.append(unit)
    sequential = frozenset(layers if random.random() < 0.6 else ())
    held, units = Counter(layout[unit] for unit in sequential), Counter(layout)
    devices = [
        replace(
            device,
            layers=held[index] if random.random() < 0.3 else None,
            min_units=random.randint(1, max(1, units[index])) if random.random() < 0.3 else 1,
        )
        for index, device in enumerate(problem.devices)
    ]
    if all(device.layers is not None for device in devices) and sum(held.values()) != len(sequential):
        devices[-1] = replace(devices[-1], layers=None)
    made = replace(problem, devices=tuple(devices), sequential=sequential)
    return _contradicted(random, made) if random.random() < 0.125 else made


def _contradicted(random: Random, problem: Problem) -> Problem:
    """Another pin, a cut forbidden, or a larger least count: likely, not surely, too much."""
    unit, device = random.randrange(len(problem.units)), random.randrange(len(problem.devices))
    change = random.randrange(3)
    if change == 0:
        return replace(problem, pins=(*(pin for pin in problem.pins if pin[0] != unit), (unit, device)))
    if change == 1 and unit + 1 < len(problem.units):
        return replace(problem, forbidden_cuts=problem.forbidden_cuts | {unit})
    devices = list(problem.devices)
    devices[device] = replace(devices[device], min_units=len(problem.units))
    return replace(problem, devices=tuple(devices))


def _sized(random: Random, problem: Problem, layout: list[int]) -> Problem:
    """Room for anything, about what the layout needs, or too little."""
    spare = random.choice((None, None, (0, 6), (-1, 6), (-9, 0)))
    if spare is None:
        return problem
    loads = evaluate(problem, layout).devices
    capacities = [max(0, load.memory.total + random.randint(*spare)) for load in loads]
    devices = (replace(device, capacity_bytes=n) for device, n in zip(problem.devices, capacities, strict=True))
    return replace(problem, devices=tuple(devices))
