"""The memory of the devices under one assignment, by term."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    """Activations of the recompute segment that needs most; 1F1B, of all micro-batches that are under way."""
    transient: int = 0
    """Largest temporary of that segment."""
    update_excess: int = 0
    """What the largest weight update needs beyond ``live + transient``, which are gone by then."""

    @property
    def total(self) -> int:
        terms = (self.resident, self.shared, self.code, self.stash, self.live, self.transient, self.update_excess)
        return self.base + sum(terms)


def memory_of(problem: Problem, stages: Sequence[Stage]) -> tuple[MemoryBytes, ...]:
    """Per device; see ``evaluate`` for the rules. All zero for a device without a stage."""
    number = [n for n, stage in enumerate(stages) for _ in range(stage.start, stage.stop)]
    shared, updates = _groups(problem, stages, number)
    stash = _stash(problem, stages, number)
    own: defaultdict[int, list[tuple[Stage, int]]] = defaultdict(list)
    for s, stage in enumerate(stages):
        own[stage.device].append((stage, stash_depth(problem.schedule, len(stages), s, s, problem.micro_batches)))
    return tuple(
        _device(problem, device, own[device], shared[device], stash[device], updates[device])
        if device in own
        else MemoryBytes()
        for device in range(len(problem.devices))
    )


def _device(
    problem: Problem, device: int, own: Sequence[tuple[Stage, int]], shared: int, stash: int, group_update: int
) -> MemoryBytes:
    """``own``: its stages, each with its depth."""
    units = [unit for stage, _ in own for unit in problem.units[stage.start : stage.stop]]
    live, transient = _working(problem, own)
    update = max([group_update, *(unit.update_bytes for unit in units)])
    return MemoryBytes(
        base=problem.devices[device].base_bytes,
        resident=sum(unit.resident_bytes for unit in units),
        shared=shared,
        code=sum(unit.code_bytes for unit in units),
        stash=stash,
        live=live,
        transient=transient,
        update_excess=max(0, update - live - transient) if problem.schedule.trains else 0,
    )


def _working(problem: Problem, own: Sequence[tuple[Stage, int]]) -> tuple[int, int]:
    """(live, transient) bytes at the compute peak of a device."""
    if problem.schedule is not Schedule.ONE_F_ONE_B:
        return max((segment for stage, _ in own for segment in _segments(problem, stage)), key=sum)
    runs = [(problem.units[stage.start : stage.stop], depth) for stage, depth in own]
    live = sum(depth * sum(unit.live_bytes for unit in units) for units, depth in runs)
    return live, max(unit.transient_bytes for units, _ in runs for unit in units)


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


def _groups(problem: Problem, stages: Sequence[Stage], number: Sequence[int]) -> tuple[list[int], list[int]]:
    """Per device: bytes of the groups with a member there, and their largest update."""
    shared, updates = ([0] * len(problem.devices) for _ in range(2))
    for group in problem.groups:
        for device in {stages[number[unit]].device for unit in group.members}:
            shared[device] += group.bytes
            updates[device] = max(updates[device], group.update_bytes)
    return shared, updates


def _stash(problem: Problem, stages: Sequence[Stage], number: Sequence[int]) -> list[int]:
    """Per device: checkpoints of its stages, and tensors that a stage there reads and another stage or host made."""
    stash, last = [0] * len(problem.devices), len(stages)
    for s, stage in enumerate(stages if problem.schedule is Schedule.TRAINING else ()):
        checkpoints = sum(unit.checkpoint_bytes for unit in problem.units[stage.start : stage.stop])
        stash[stage.device] += checkpoints * stash_depth(problem.schedule, last, s, s)
    for tensor in problem.tensors:
        for device, (reader, holder) in _kept(tensor, stages, number).items():
            depth = stash_depth(problem.schedule, last, reader, holder, problem.micro_batches)
            stash[device] += tensor.bytes * depth
    return stash


def _kept(tensor: Tensor, stages: Sequence[Stage], number: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Per device that reads the tensor beyond the stage that makes it: first such stage, and the one that holds it."""
    made_in = None if tensor.producer is None else number[tensor.producer]
    maker = None if made_in is None else stages[made_in].device
    first: dict[int, tuple[int, int]] = {}
    for reader in sorted({number[unit] for unit in tensor.readers} - {made_in}):
        device = stages[reader].device
        holder = made_in if made_in is not None and device == maker else reader
        first.setdefault(device, (reader, holder))
    return first
