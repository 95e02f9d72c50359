"""The memory of one device under one assignment, by term."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

from .problem import Problem, Schedule, Tensor
from .stages import Stage, stash_depth


@dataclass(frozen=True, slots=True)
class MemoryBytes:
    """The terms of one device's memory; all are bytes, and :attr:`total` is their sum."""

    base: int = 0
    """What every device that holds a unit pays."""
    resident: int = 0
    shared: int = 0
    """Shared groups with a member here, each once."""
    code: int = 0
    stash: int = 0
    """Checkpoints and tensors from other stages, times their depth."""
    live: int = 0
    """Activations of the recompute segment that needs most."""
    transient: int = 0
    """Largest temporary of that segment."""
    update_excess: int = 0
    """What the largest weight update needs beyond ``live + transient``, which are gone by then."""

    @property
    def total(self) -> int:
        return sum(astuple(self))


def memory_of(problem: Problem, stages: Sequence[Stage], device: int) -> MemoryBytes:
    """See ``evaluate`` for the rules. All zero for a device without a stage."""
    own = [number for number, stage in enumerate(stages) if stage.device == device]
    if not own:
        return MemoryBytes()
    units = [unit for number in own for unit in range(stages[number].start, stages[number].stop)]
    live, transient = max((s for n in own for s in _segments(problem, stages[n])), key=sum)
    return MemoryBytes(
        base=problem.devices[device].base_bytes,
        resident=sum(problem.units[unit].resident_bytes for unit in units),
        shared=sum(group.bytes for group in problem.groups if not set(units).isdisjoint(group.members)),
        code=sum(problem.units[unit].code_bytes for unit in units),
        stash=_checkpoints(problem, stages, own) + _boundary(problem, stages, own),
        live=live,
        transient=transient,
        update_excess=max(0, _update(problem, units) - live - transient),
    )


def _segments(problem: Problem, stage: Stage) -> Iterator[tuple[int, int]]:
    """(live, transient) bytes of each recompute segment; forward only, a stage is one segment and keeps nothing."""
    live = transient = 0
    for unit in problem.units[stage.start : stage.stop]:
        transient = max(transient, unit.transient_bytes)
        if problem.schedule is Schedule.TRAINING:
            live += unit.live_bytes
            if unit.checkpoint_bytes:
                yield live, transient
                live = transient = 0
    yield live, transient


def _update(problem: Problem, units: Sequence[int]) -> int:
    if problem.schedule is not Schedule.TRAINING:
        return 0
    groups = [g.update_bytes for g in problem.groups if not set(units).isdisjoint(g.members)]
    return max([problem.units[unit].update_bytes for unit in units] + groups)


def _checkpoints(problem: Problem, stages: Sequence[Stage], own: Sequence[int]) -> int:
    if problem.schedule is not Schedule.TRAINING:
        return 0
    total = 0
    for number in own:
        depth = stash_depth(problem.schedule, len(stages), number, number)
        units = problem.units[stages[number].start : stages[number].stop]
        total += depth * sum(unit.checkpoint_bytes for unit in units)
    return total


def _boundary(problem: Problem, stages: Sequence[Stage], own: Sequence[int]) -> int:
    """Tensors that a stage here reads and that another stage or the host made."""
    total = 0
    for tensor in problem.tensors:
        made_in = _stage_of(stages, own, tensor.producer)
        reading = [n for n in own if n != made_in and _reads(stages[n], tensor)]
        if reading:
            holder = reading[0] if made_in is None else made_in
            total += tensor.bytes * stash_depth(problem.schedule, len(stages), reading[0], holder)
    return total


def _stage_of(stages: Sequence[Stage], own: Sequence[int], unit: int | None) -> int | None:
    """Which of the stages ``own`` holds the unit."""
    inside = (n for n in own if unit is not None and stages[n].start <= unit < stages[n].stop)
    return next(inside, None)


def _reads(stage: Stage, tensor: Tensor) -> bool:
    return any(stage.start <= reader < stage.stop for reader in tensor.readers)
