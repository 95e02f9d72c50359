"""Changes of a problem whose effect on the best answer is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from planners import Device, Problem

Change = Callable[[Random, Problem], Problem]


def relabelled(random: Random, problem: Problem) -> Problem:
    """Other names, not even different ones, and another order of what has none. No score changes."""
    tensors = random.sample(problem.tensors, len(problem.tensors))
    groups = random.sample(problem.groups, len(problem.groups))
    return replace(
        problem,
        units=tuple(replace(unit, name="a 'name'\n") for unit in problem.units),
        tensors=tuple(replace(tensor, name="") for tensor in tensors),
        groups=tuple(replace(group, name=f"{index} {{}}") for index, group in enumerate(groups)),
        pins=tuple(random.sample(problem.pins, len(problem.pins))),
    )


def more_memory(random: Random, problem: Problem) -> Problem:
    """On some devices."""
    return replace(
        problem,
        devices=tuple(
            replace(device, capacity_bytes=device.capacity_bytes + random.choice((0, 3, 100)))
            for device in problem.devices
        ),
    )


def one_more_device(random: Random, problem: Problem) -> Problem:
    """After the others, and none needs to hold a unit."""
    spare = Device(random.choice((0, 50, 100_000)), random.choice((1.0, 2.0)))
    return replace(problem, devices=(*problem.devices, spare), allow_empty=True)


def one_faster_device(random: Random, problem: Problem) -> Problem:
    """Twice as fast."""
    chosen, devices = random.randrange(len(problem.devices)), list(problem.devices)
    devices[chosen] = replace(devices[chosen], speed=2 * devices[chosen].speed)
    return replace(problem, devices=tuple(devices))


def one_cut_allowed(random: Random, problem: Problem) -> Problem:
    """That was forbidden; no change where there is none."""
    cuts = sorted(problem.forbidden_cuts)
    return replace(problem, forbidden_cuts=problem.forbidden_cuts - set(random.sample(cuts, min(1, len(cuts)))))


IMPROVEMENTS: dict[str, Change] = {
    "more memory": more_memory,
    "one more device": one_more_device,
    "a faster device": one_faster_device,
    "a cut that is allowed": one_cut_allowed,
}
"""None of them makes the best answer worse: every assignment that was possible is possible still, and no worse."""
