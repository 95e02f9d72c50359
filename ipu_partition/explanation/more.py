"""What more the IPUs could hold."""

from __future__ import annotations

from collections.abc import Iterator

from planners import Infeasible, evaluate

from .document import MoreLayer, Room
from .longer import Row, longer
from .memory import used_bytes
from .rows import layer_rows
from .subject import Subject
from .time import us


def one_more(subject: Subject) -> list[MoreLayer]:
    """What one more layer would do on each IPU that may have it, where the model has layers, the plan fits, and what a
    layer takes does not depend on its IPU."""
    lists = list(layer_rows(subject.solved.prepared).values())
    if not subject.solved.fits or not lists or subject.uneven:
        return []
    every = (_on(subject, _nearest(subject, lists, ipu), ipu) for ipu in range(len(subject.problem.devices)))
    return [more for more in every if more is not None]


def _nearest(subject: Subject, lists: list[list[Row]], ipu: int) -> Row:
    """A usual layer on the IPU, the last of them; else the one before or behind what is there."""
    there = [row for rows in lists for row in _usual(rows) if subject.assignment[row.start] == ipu]
    if there:
        return there[-1]
    every = sorted((row for rows in lists for row in rows), key=lambda row: row.start)
    homes = [subject.assignment[row.start] for row in every]
    usual = {row for rows in lists for row in _usual(rows)}
    before = [row for row, home, after in zip(every, homes, homes[1:], strict=False) if home < ipu <= after]
    behind = [row for row, home in zip(every, homes, strict=True) if home > ipu]
    near = [*before[-1:], *behind[:1], *(row for row, home in zip(every, homes, strict=True) if home == ipu), every[-1]]
    return next((row for row in near if row in usual), near[0])


def _usual(rows: list[Row]) -> list[Row]:
    """Those between the first and the last, which may do more."""
    return rows[1:-1] or rows


def _on(subject: Subject, row: Row, ipu: int) -> MoreLayer | None:
    """The copy and the layer are alike, so the copy may as well be the one in front. None where it may not be there."""
    problem, old = longer(subject.problem, row, 1), subject.assignment
    copy, layer = (ipu,) * row.size, old[row.start : row.stop]
    pair = (*copy, *layer) if old[row.start] > ipu else (*layer, *copy)
    found = evaluate(problem, (*old[: row.start], *pair, *old[row.stop :]))
    before = subject.evaluation
    if not found.valid:
        return None
    return MoreLayer(
        ipu=ipu,
        like=subject.problem.units[row.start].name,
        ipu_us=us(found.devices[ipu].time_us),
        objective_us=us(found.objective_us),
        slower_us=us(found.objective_us - before.objective_us),
        used_bytes=used_bytes(subject.solved, found, ipu),
        more_bytes=used_bytes(subject.solved, found, ipu) - used_bytes(subject.solved, before, ipu),
        fits=found.fits,
    )


def room(subject: Subject) -> list[Room]:
    """How many more layers of each list the model could have, at most as many as it has."""
    if not subject.solved.fits or subject.uneven:
        return []
    return [_room(subject, name, rows) for name, rows in layer_rows(subject.solved.prepared).items()]


def _room(subject: Subject, name: str, rows: list[Row]) -> Room:
    def fits(copies: int) -> bool:
        answer = subject.ask(longer(subject.problem, _usual(rows)[-1], copies))
        return answer is not None and not isinstance(answer, Infeasible)

    low, high = 0, len(rows) + 1  # low fits, high is not known to
    for copies in _doubling(len(rows)):
        if not fits(copies):
            high = copies
            break
        low = copies
    while high - low > 1 and low < len(rows):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return Room(like=name, more=low, at_least=low == len(rows))


def _doubling(most: int) -> Iterator[int]:
    copies = 1
    while copies < most:
        yield copies
        copies *= 2
    yield most
