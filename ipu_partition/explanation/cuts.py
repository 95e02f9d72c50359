"""The cuts that were not taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Literal

from planners import Evaluation, Infeasible, evaluate, preferred
from planners.evaluate import TIE

from ..assemble import layers_per_ipu
from ..demands import WILDCARD
from ..layout import layer_units
from ..levers.trials import unlimited as without_limit
from .document import Move, OtherCut
from .subject import Subject, settled
from .time import us

MOST_QUESTIONS = 40
"""Asked of the planner to prove a runner-up; where it takes more, neighbours are looked at alone."""

Found = tuple[tuple[int, ...], Evaluation]


def runner_up(subject: Subject) -> tuple[OtherCut | None, str]:
    """The best other cut, or why there is none."""
    prepared, solved = subject.solved.prepared, subject.solved
    counted = layer_units(prepared.layout, prepared.graph)
    if not solved.fits:
        return None, "Nothing fits."
    if (prepared.layout.free or not counted) and subject.uneven:
        return None, "What a unit takes depends on its IPU, and other cuts are not planned anew."
    if prepared.layout.free or not counted:
        return _chosen(subject, list(_neighbours(subject)), False, "No stage can give or take a unit.")
    counts = _counts(subject, counted)
    movable = _movable(subject)
    if len(movable) < 2:
        return None, "The layers on each IPU are those asked for." if subject.request.layers else "There is one IPU."
    questions = list(_all_others(counts, movable))
    proving = len(questions) <= MOST_QUESTIONS
    found, proved = _asked(subject, questions if proving else list(_one_moved(counts, movable)))
    return _chosen(subject, found, proving and proved, "No other cut obeys the model's class and the request.")


def unlimited(subject: Subject) -> tuple[OtherCut | None, bool | None]:
    """The best cut without a limit of memory, where it is faster; and whether there is one, None where unknown."""
    freed = subject.solved if subject.uneven else without_limit(subject.solved, subject.request)
    answer = freed.solution
    if freed is subject.solved or answer.assignment is None or isinstance(answer, Infeasible):
        return None, None
    found = evaluate(subject.problem, answer.assignment)
    if found.objective_us >= subject.evaluation.objective_us * (1 - TIE):
        return None, False if settled(answer) else None
    return _cut(subject, answer.assignment, found, settled(answer)), True


def _counts(subject: Subject, counted: frozenset[int]) -> list[int]:
    homes = [subject.assignment[unit] for unit in counted]
    return [homes.count(ipu) for ipu in range(len(subject.problem.devices))]


def _movable(subject: Subject) -> list[int]:
    """IPUs whose number of layers the user leaves open."""
    asked = subject.request.demands.layers or (WILDCARD,) * len(subject.problem.devices)
    return [ipu for ipu, count in enumerate(asked) if count == WILDCARD]


def _one_moved(counts: Sequence[int], movable: Sequence[int]) -> Iterator[list[int]]:
    """A layer goes from an IPU to the next or the one before."""
    for one, other in pairwise(movable):
        for giver, taker in ((one, other), (other, one)):
            if counts[giver]:
                moved = list(counts)
                moved[giver] -= 1
                moved[taker] += 1
                yield moved


def _all_others(counts: Sequence[int], movable: Sequence[int]) -> Iterator[list[int]]:
    """Lists with wildcards that together hold every cut but this one: as it is up to an IPU, another number there."""
    left = sum(counts[ipu] for ipu in movable)
    for at, ipu in enumerate(movable[:-1]):
        for number in range(left + 1):
            if number != counts[ipu]:
                lists = list(counts)
                lists[ipu] = number
                for later in movable[at + 1 :]:
                    lists[later] = WILDCARD
                yield lists
        left -= counts[ipu]


def _asked(subject: Subject, lists: Sequence[Sequence[int]]) -> tuple[list[Found], bool]:
    """The planner's cuts with these layers, and whether each is proved to be the best of its list."""
    found, proved = list[Found](), True
    for layers in lists:
        answer = subject.with_layers(replace(subject.request.demands, layers=tuple(layers)))
        proved = proved and settled(answer)
        if answer is not None and answer.assignment is not None and answer.evaluation is not None:
            found.append((answer.assignment, answer.evaluation))
    return found, proved


def _neighbours(subject: Subject) -> Iterator[Found]:
    """A stage gives as few units as it can to the stage before or after it."""
    old = subject.assignment
    for at in (i for i in range(1, len(old)) if old[i] != old[i - 1]):
        for step in (1, -1):
            cut = at + step
            while 0 < cut < len(old) and cut - 1 in subject.problem.forbidden_cuts:
                cut += step
            low, high = sorted((at, cut))
            moved = (*old[:low], *(old[at - 1 if step > 0 else at],) * (high - low), *old[high:])
            found = evaluate(subject.problem, moved)
            if found.valid:
                yield moved, found


def _chosen(subject: Subject, found: Sequence[Found], proved: bool, reason: str) -> tuple[OtherCut | None, str]:
    """The best that fits, else the one that lacks least."""
    if not found:
        return None, reason
    fitting = [one for one in found if one[1].fits]
    if fitting:
        best = fitting[preferred([evaluation for _, evaluation in fitting])]
    else:
        best = min(found, key=lambda one: (one[1].shortfall_bytes, one[0]))
    return _cut(subject, *best, proved), ""


def _cut(subject: Subject, assignment: tuple[int, ...], found: Evaluation, proved: bool) -> OtherCut:
    return OtherCut(
        layers_per_ipu=layers_per_ipu(subject.solved.prepared, assignment, len(subject.problem.devices)),
        moves=_moves(subject, assignment),
        objective_us=us(found.objective_us),
        slower_us=us(found.objective_us - subject.evaluation.objective_us),
        peak_bytes=found.peak_bytes,
        more_bytes=found.peak_bytes - subject.evaluation.peak_bytes,
        worse_in=_worse_in(subject.evaluation, found),
        fits=found.fits,
        proved=proved,
    )


def _worse_in(plan: Evaluation, other: Evaluation) -> Literal["time", "memory", "copies", "evenness", "nothing"]:
    if other.objective_us > plan.objective_us * (1 + TIE):
        return "time"
    if other.peak_bytes > plan.peak_bytes:
        return "memory"
    if other.copied_bytes > plan.copied_bytes:
        return "copies"
    return "evenness" if other.evenness > plan.evenness * (1 + TIE) else "nothing"


def _moves(subject: Subject, assignment: Sequence[int]) -> list[Move]:
    changed = [
        (old, new, i) for i, (old, new) in enumerate(zip(subject.assignment, assignment, strict=True)) if old != new
    ]
    units = subject.problem.units
    return [
        Move(modules=[units[i].name for _, _, i in group], from_ipu=old, to_ipu=new)
        for (old, new), group in groupby(changed, key=lambda item: item[:2])
    ]
