"""What keeps a model from fitting."""

from __future__ import annotations

from collections.abc import Iterator

from planners import Infeasible, Problem, Schedule

from ..machine import lacking_bytes
from ..report.text import size
from .subject import Subject


def obstacles(subject: Subject) -> list[str]:
    """In words; empty where it fits."""
    if subject.solved.fits:
        return []
    return [*_too_large(subject.problem), *_too_much(subject.problem)] or [_lacking(subject)]


def _too_large(problem: Problem) -> Iterator[str]:
    """Units that cannot be parted and are more than an IPU holds."""
    capacity = max(device.capacity_bytes for device in problem.devices)
    for units in _inseparable(problem):
        need = _least_bytes(problem, units)
        if need > capacity:
            names = " and ".join(
                problem.units[u].name or "what runs first" for u in (units[0], units[-1])[: len(units)]
            )
            between = " (and what is between them)" if len(units) > 2 else ""
            yield (
                f"{names}{between} cannot be parted and take at least {size(need)}: {size(need - capacity)} more than "
                f"the {size(capacity)} of an IPU that can be used."
            )


def _too_much(problem: Problem) -> Iterator[str]:
    """Parameters and code of all units together."""
    capacity = sum(device.capacity_bytes - device.base_bytes for device in problem.devices)
    always = sum(unit.resident_bytes + unit.code_bytes for unit in problem.units)
    always += sum(group.bytes for group in problem.groups)
    if always > capacity:
        yield (
            f"Parameters, what training keeps of them, and code take {size(always)} in all, however they are placed: "
            f"{size(always - capacity)} more than the {size(capacity)} of {len(problem.devices)} IPUs that can be used."
            if problem.schedule is Schedule.TRAINING
            else f"Parameters and code take {size(always)} in all, however they are placed: {size(always - capacity)} "
            f"more than the {size(capacity)} of {len(problem.devices)} IPUs that can be used."
        )


def _lacking(subject: Subject) -> str:
    answer = subject.solved.solution
    proved = isinstance(answer, Infeasible) and answer.proved
    lack = lacking_bytes(subject.solved.costing, subject.evaluation)
    cut = "In every cut" if proved else "In every cut that was looked at"
    return f"{cut} some IPU lacks memory; the nearest lacks {size(lack)}."


def _inseparable(problem: Problem) -> list[list[int]]:
    """Units that must share a device, in runs and by what they hold together."""
    home = list(range(len(problem.units)))

    def root(unit: int) -> int:
        while home[unit] != unit:
            unit = home[unit]
        return unit

    pairs = [(cut, cut + 1) for cut in problem.forbidden_cuts]
    pairs += [(group.members[0], u) for group in problem.groups if group.colocate for u in group.members]
    for one, other in pairs:
        first, second = sorted((root(one), root(other)))
        home[second] = first
    found: dict[int, list[int]] = {}
    for unit in range(len(problem.units)):
        found.setdefault(root(unit), []).append(unit)
    return list(found.values())


def _least_bytes(problem: Problem, units: list[int]) -> int:
    """On a device of their own, with nothing stashed."""
    inside, own = set(units), [problem.units[u] for u in units]
    groups = [group for group in problem.groups if not inside.isdisjoint(group.members)]
    always = problem.devices[0].base_bytes + sum(u.resident_bytes + u.code_bytes for u in own)
    training = problem.schedule is Schedule.TRAINING
    working = max(u.transient_bytes + (u.live_bytes if training else 0) for u in own)
    updates = [*(u.update_bytes for u in own), *(group.update_bytes for group in groups)]
    update = max(updates) if training else 0
    return always + sum(group.bytes for group in groups) + max(working, update)
