"""What an assignment means: stages, how deep they stash, and which rules it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from .problem import Problem, Schedule


@dataclass(frozen=True, slots=True)
class Stage:
    """Neighbouring units on one device; neither unit before ``start`` nor unit ``stop`` is on it."""

    device: int
    start: int
    stop: int


def stages_of(assignment: Sequence[int]) -> tuple[Stage, ...]:
    """The maximal runs of equal device, in unit order."""
    stages, start = [], 0
    for device, run in groupby(assignment):
        stop = start + len(list(run))
        stages.append(Stage(device, start, stop))
        start = stop
    return tuple(stages)


def stash_depth(schedule: Schedule, stages: int, reader: int, holder: int, micro_batches: int | None = None) -> int:
    """How many copies of a tensor a device keeps that first needs it beyond its own stage in stage ``reader``.

    ``holder`` is the stage that makes it on the same device, or ``reader`` itself where it is copied in.
    Training: backward of ``reader`` follows ``2S-1-reader-holder`` steps after forward of ``holder``; in the last stage
    it follows at once and nothing is stashed. Source of the rule: graphcore/popart:willow/src/transforms/pipeline.cpp.
    1F1B: a stage runs ``S-1-holder`` micro-batches ahead of its first backward pass, or all there are.
    """
    if schedule is Schedule.ONE_F_ONE_B:
        return min(stages - holder, micro_batches or stages)
    if schedule is Schedule.SHARDED or (schedule is Schedule.INFERENCE and reader == holder):
        return 1
    if schedule is Schedule.INFERENCE:
        return reader - holder + 1
    return 0 if reader == holder == stages - 1 else 2 * stages - 1 - reader - holder


def violations(problem: Problem, assignment: Sequence[int]) -> tuple[str, ...]:
    """The rules broken, in words; memory is not among them. Empty where the assignment is in the search space."""
    wrong = _malformed(problem, assignment)
    if wrong:
        return (wrong,)
    checks = (_pins, _cuts, _ties, _sequence, _counts, _visits)
    return tuple(found for check in checks for found in check(problem, assignment))


def _malformed(problem: Problem, assignment: Sequence[int]) -> str | None:
    if len(assignment) != len(problem.units):
        return f"{len(assignment)} devices are given for {len(problem.units)} units"
    for unit, device in enumerate(assignment):
        if not 0 <= device < len(problem.devices):
            return f"unit {problem.units[unit].name!r} is on device {device} of {len(problem.devices)}"
    return None


def _pins(problem: Problem, assignment: Sequence[int]) -> Iterator[str]:
    for unit, device in problem.pins:
        if assignment[unit] != device:
            yield f"unit {problem.units[unit].name!r} is pinned to device {device} but is on {assignment[unit]}"


def _cuts(problem: Problem, assignment: Sequence[int]) -> Iterator[str]:
    for unit in sorted(problem.forbidden_cuts):
        if assignment[unit] != assignment[unit + 1]:
            names = f"{problem.units[unit].name!r} and {problem.units[unit + 1].name!r}"
            yield f"units {names} may not be parted but are on {assignment[unit]} and {assignment[unit + 1]}"


def _ties(problem: Problem, assignment: Sequence[int]) -> Iterator[str]:
    for group in problem.groups:
        devices = sorted({assignment[unit] for unit in group.members})
        if group.colocate and len(devices) > 1:
            yield f"group {group.name!r} must be on one device but is on {devices}"


def _sequence(problem: Problem, assignment: Sequence[int]) -> Iterator[str]:
    layers = sorted(problem.sequential)
    for early, late in pairwise(layers):
        if assignment[early] > assignment[late]:
            names = f"{problem.units[early].name!r} and {problem.units[late].name!r}"
            yield f"sequential units {names} step back from device {assignment[early]} to {assignment[late]}"


def _counts(problem: Problem, assignment: Sequence[int]) -> Iterator[str]:
    units, layers = Counter(assignment), Counter(assignment[unit] for unit in problem.sequential)
    missing = [index for index in range(len(problem.devices)) if not units[index]]
    if missing and not problem.allow_empty:
        yield f"devices {missing} hold no unit"
    for index, device in enumerate(problem.devices):
        if 0 < units[index] < device.min_units:
            yield f"device {index} holds {units[index]} units, expected at least {device.min_units}"
        if device.layers is not None and layers[index] != device.layers:
            yield f"device {index} holds {layers[index]} sequential units, expected {device.layers}"


def _visits(problem: Problem, assignment: Sequence[int]) -> Iterator[str]:
    """First visits in device order; a return must hold a unit that has reason to be there, and 1F1B knows none."""
    reasons = [0, *accumulate(_reasons(problem, assignment))]
    highest, visited = -1, set()
    for stage in stages_of(assignment):
        if stage.device in visited:
            span = f"units {stage.start} to {stage.stop - 1}"
            if not problem.schedule.returns:
                yield f"the stage of {span} returns to device {stage.device}, which runs one stage"
            elif reasons[stage.start] == reasons[stage.stop]:
                yield f"the stage of {span} returns to device {stage.device} for no reason"
        elif stage.device < highest:
            yield f"device {stage.device} is first visited after device {highest}"
        highest = max(highest, stage.device)
        visited.add(stage.device)


def _reasons(problem: Problem, assignment: Sequence[int]) -> list[bool]:
    """Per unit: pinned to the device it is on, or tied to a unit of an earlier stage of that device."""
    found = [False] * len(assignment)
    for unit, device in problem.pins:
        found[unit] |= assignment[unit] == device
    number = [n for n, stage in enumerate(stages_of(assignment)) for _ in range(stage.start, stage.stop)]
    for group in problem.groups:
        earliest: dict[int, int] = {}
        for unit in group.members if group.colocate else ():
            found[unit] |= earliest.setdefault(assignment[unit], number[unit]) < number[unit]
    return found
