"""Where a row of blocks may be cut, and how a choice among those cuts is made without a dead end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .row import Return, Row
from .solution import Infeasible

if TYPE_CHECKING:
    from numpy import bool_, int64
    from numpy.typing import NDArray

    Indices = NDArray[int64]
    Flags = NDArray[bool_]


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the run of one device may end, per start: ``first`` to ``last``, and at the start itself where ``stay``."""

    first: Indices
    last: Indices
    stay: Flags

    def within(self, last: Indices, stay: bool) -> Ends:
        """Those up to ``last`` too; none at the start itself unless ``stay``."""
        import numpy as np

        return replace(self, last=np.minimum(self.last, last), stay=self.stay & stay)


def ends_of(row: Row) -> list[Ends]:
    """Per device, by pins, returns, ``min_units``, ``layers`` and ``allow_empty``.

    Exact where only device 0 has fixed units. Elsewhere a few more cuts may be left, which the judge refuses, and a run
    that might come back to its device for a reason of its own is left out.
    """
    import numpy as np

    starts = np.arange(len(row.blocks) + 1)
    sizes = np.cumsum([0, *map(len, row.blocks)])
    layers = np.cumsum([0, *row.layers])
    lowest, highest = _window(row)
    until = {home: _until(row, home) for home in {None, *(r.device for r in row.returns)}}
    found = []
    for index, device in enumerate(row.problem.devices):
        fixed = len(row.fixed[index])
        first = np.maximum(np.searchsorted(sizes, sizes + (device.min_units - fixed)), starts + 1)
        last = until.get(index, until[None])
        stay = np.full(len(starts), fixed >= device.min_units if fixed else row.problem.allow_empty)
        if row.problem.sequential and device.layers is not None:
            first = np.maximum(first, np.searchsorted(layers, layers + device.layers))
            last = np.minimum(last, np.searchsorted(layers, layers + device.layers, side="right") - 1)
            stay &= device.layers == 0
        stay &= (starts >= lowest[index]) & (starts <= highest[index])
        found.append(Ends(np.maximum(first, lowest[index]), np.minimum(last, highest[index]), stay))
    return found


def no_cut(planner: str, row: Row) -> Infeasible:
    """What a planner answers where :func:`cut` finds nothing."""
    return Infeasible(planner, f"found no cut of the {len(row.blocks)} blocks of layers that obeys all constraints")


def completions(ends: Sequence[Ends]) -> list[Flags]:
    """Per device, and once more behind the last: from which starts the rest of the row can be cut."""
    import numpy as np

    possible = np.zeros(len(ends[0].first), dtype=bool)
    possible[-1] = True
    found = [possible]
    for end in reversed(ends):
        count = np.concatenate(([0], np.cumsum(possible)))
        some = end.first <= end.last
        first, last = np.where(some, end.first, 0), np.where(some, end.last, -1)
        possible = (count[last + 1] > count[first]) | (end.stay & possible)
        found.append(possible)
    return found[::-1]


def cut(
    ends: Sequence[Ends], possible: Sequence[Flags], choose: Callable[[int, int, Indices], int]
) -> tuple[int, ...] | None:
    """One end per device: ``choose(device, start, candidates)`` among those from which the rest can be cut.

    ``None`` where there are none. The candidates ascend.
    """
    import numpy as np

    if not possible[0][0]:
        return None
    cuts, start = [], 0
    for device, end in enumerate(ends):
        first, last = int(end.first[start]), int(end.last[start])
        candidates = first + np.flatnonzero(possible[device + 1][first : last + 1])
        if end.stay[start] and possible[device + 1][start]:
            candidates = np.concatenate(([start], candidates))
        start = choose(device, start, candidates)
        cuts.append(start)
    return tuple(cuts)


def _window(row: Row) -> tuple[list[int], list[int]]:
    """Per device, the least and the largest end of its run that pins and first visits in order leave."""
    lowest, highest = [0] * len(row.fixed), [len(row.blocks)] * len(row.fixed)
    lowest[-1] = len(row.blocks)
    for block, device in row.pinned:
        lowest[device] = max(lowest[device], block + 1)
    placed = [(r.before, r.device) for r in row.returns if r.device is not None]
    for block, device in (*row.pinned, *placed):
        if device:
            highest[device - 1] = min(highest[device - 1], block)
    return lowest, highest


def _until(row: Row, home: int | None) -> Indices:
    """Per start, the last end of a run that no units of elsewhere interrupt; those of device ``home`` do not."""
    import numpy as np

    count = len(row.blocks)
    until, ahead = np.full(count + 1, count), list[Return]()
    waiting = [r for r in row.returns if r.device is None or r.device != home]
    for start in range(count, -1, -1) if waiting else ():
        while waiting and waiting[-1].before > start:
            ahead.append(waiting.pop())
        while ahead and (block := ahead[-1].block) is not None and block >= start:
            ahead.pop()
        if ahead:
            until[start] = ahead[-1].before
    return until
