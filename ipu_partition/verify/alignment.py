"""The ops that a trace has beside those that ran: which are the same, and which are not in their place."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple


class Place(NamedTuple):
    """Where an op is."""

    ipu: int
    stage: int
    """Number of the stage, those that follow each other on one IPU counted as one."""

    def __str__(self) -> str:
        return f"IPU {self.ipu}, stage {self.stage}"


@dataclass(frozen=True, slots=True)
class Step:
    """An op that is to be run, or was."""

    module: str
    name: str
    place: Place
    outside: bool = False
    """No part of the model's own forward pass: the trace has it where the optimum class runs it, and it may run at
    another time."""

    def __str__(self) -> str:
        return f"{self.name} in {self.module!r}" if self.module else f"{self.name} in the model itself"


Pair = tuple[Step | None, Step | None]
"""What is to be run, and the same as it was; None beside what has no counterpart."""


def out_of_place(steps: Sequence[Step], ops: Sequence[Step]) -> Iterator[tuple[bool, str]]:
    """(Whether it was run, what is wrong with it) for every op that is not in its place, in the order of the ops.

    One that the trace does not have is in its place beside one that it has.
    """
    pairs = list(aligned(steps, ops))
    moved = [op.name for step, op in pairs if step is None and op is not None and op.outside]
    after = [op.place for step, op in pairs if step is not None and op is not None]
    beside: list[Place] = []
    for step, op in pairs:
        if step is not None and op is not None:
            beside = [after.pop(0)]
            if op.place != step.place:
                yield True, f"{op} ran on {op.place}, the plan has it on {step.place}"
        elif op is not None and op.place not in (near := [*beside, *after[:1]]):
            where = " and ".join(map(str, near)) or "nothing"
            yield True, f"{op}, which the trace does not have, ran on {op.place}, between ops on {where}"
        elif step is not None and step.name in moved:
            moved.remove(step.name)
        elif step is not None:
            yield False, f"{step} did not run when the plan has it, on {step.place}"


def aligned(steps: Sequence[Step], ops: Sequence[Step]) -> Iterator[Pair]:
    """The steps beside the ops that are the same, in order.

    Where modules do not tell them their names do: a trace books what a hook runs on the module, PyTorch before it.
    """
    known, found = [(one.module, one.name) for one in steps], [(one.module, one.name) for one in ops]
    for same, ours, theirs in _runs(known, found):
        some, others = steps[ours.start : ours.stop], ops[theirs.start : theirs.stop]
        if same:
            yield from zip(some, others, strict=True)
        else:
            yield from _by_name(some, others)


def _by_name(steps: Sequence[Step], ops: Sequence[Step]) -> Iterator[Pair]:
    for same, ours, theirs in _runs([one.name for one in steps], [one.name for one in ops]):
        if same:
            yield from zip(steps[ours.start : ours.stop], ops[theirs.start : theirs.stop], strict=True)
        else:
            yield from ((steps[i], None) for i in ours)
            yield from ((None, ops[j]) for j in theirs)


def _runs(ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> Iterator[tuple[bool, range, range]]:
    """Where two sequences are the same and where not; what both begin with is not searched for."""
    pairs = zip(ours, theirs, strict=False)
    start = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs)))
    yield True, range(start), range(start)
    rest = SequenceMatcher(None, ours[start:], theirs[start:], autojunk=False)
    for tag, i, i_end, j, j_end in rest.get_opcodes():
        yield tag == "equal", range(start + i, start + i_end), range(start + j, start + j_end)
