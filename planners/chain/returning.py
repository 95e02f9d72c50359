"""Which stages may return to a device: all of them at once, but for those that a bound excludes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .blocks import Blocks
from .caps import MANY, SLACK, Caps
from .returned import Return
from .spans import Bools, Floats, Ints, ranges

FEW = 24
"""Candidates for which it does not pay to look whether the rest can be held."""
AT_ONCE = 2**16
"""Candidates looked at together."""


class Row(NamedTuple):
    """One set of returns, ascending."""

    returns: tuple[Return, ...] = ()

    def on(self, device: int) -> tuple[Return, ...]:
        return tuple(r for r in self.returns if r.device == device)


class Loads(NamedTuple):
    """What returns take at least of their devices, ``[row, device]``."""

    work_us: Floats
    """At speed 1."""
    held_bytes: Floats
    latency_us: Floats

    @classmethod
    def nothing(cls, devices: int) -> Loads:
        return cls(*(np.zeros((1, devices)) for _ in range(3)))

    def of(self, rows: Ints) -> Loads:
        return Loads(*(table[rows] for table in self))

    def below(self, devices: int) -> tuple[Floats, Floats, Floats]:
        """Per row, of the first devices together."""
        work_us, held_bytes, latency_us = (table[:, :devices].sum(axis=1) for table in self)
        return work_us, held_bytes, latency_us


class Place(NamedTuple):
    """Where a return may be: a device, with this many devices to come and this many stages after it."""

    device: int
    devices: int
    after: int
    ceiling: int
    """Sequential units return to this device or lower ones."""


class Candidates(NamedTuple):
    """Returns of one device: each with the row that it is added to."""

    parent: Ints
    start: Ints
    stop: Ints

    def pick(self, keep: Bools | Ints) -> Candidates:
        return Candidates(*(column[keep] for column in self))


class Returning:
    """Finds the candidates under one set of limits."""

    def __init__(self, blocks: Blocks, caps: Caps) -> None:
        self._blocks, self._caps, self._problem = blocks, caps, blocks.problem

    def near(self, stops: Ints, after: int) -> Ints:
        """Those of the stops that a stage with a reason to return may reach."""
        if not self._blocks.returners or not len(stops):
            return stops[:0]
        returners, low = self._blocks.returner_blocks, self._caps.low(after)
        number = np.searchsorted(returners, stops) - 1
        return stops[(number >= 0) & (low[stops] <= returners[number])]

    def hosts(self, stops: Ints, devices: int, after: int) -> Sequence[int]:
        """The devices that a stage which ends at one of these may return to."""
        if not len(stops):
            return ()
        low = self._caps.low(after)[stops].min()
        begin, end = np.searchsorted(self._blocks.returner_blocks, (low, stops[-1]))
        homes = {self._blocks.home.get(block) for block in self._blocks.returners[begin:end]}
        if None in homes:
            return range(devices)
        return sorted(home for home in homes if home is not None and home < devices)

    def parts(self, stops: Ints, rows: int, after: int) -> Iterator[slice]:
        """The stops in parts of few candidates each."""
        count = np.cumsum((stops - self._caps.low(after)[stops]) * rows)
        begin = 0
        while begin < len(stops):
            before = int(count[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(count, before + AT_ONCE, side="right")))
            yield slice(begin, end)
            begin = end

    def candidates(
        self, place: Place, stops: Ints, rows: Sequence[Row], loads: Loads, spent_us: Floats
    ) -> tuple[Candidates, Loads]:
        """``spent_us``: per row and stop what is settled, infinite where nothing is possible."""
        found = self._spans(place, stops, rows, spent_us)
        settled_us = spent_us[found.parent, np.searchsorted(stops, found.stop)]
        for test in (self._carried, self._reasonable, self._leaves, self._follows):
            keep = test(place, found, loads)
            found, settled_us = found.pick(keep), settled_us[keep]
        added = self._added(place, found, loads)
        keep = self._reaches(place, found, added)
        if np.isfinite(self._caps.latency_us):
            keep &= settled_us + self._rest_us(place, found, added) <= self._caps.latency_us * (1 + SLACK)
        return found.pick(keep), added.of(np.flatnonzero(keep))

    def _spans(self, place: Place, stops: Ints, rows: Sequence[Row], spent_us: Floats) -> Candidates:
        """All that constraints allow, but for reasons."""
        blocks, returners = self._blocks, self._blocks.returner_blocks
        high = returners[np.searchsorted(returners, stops) - 1]
        strangers = blocks.strangers(place.device)
        low = np.maximum(
            1 if self._problem.allow_empty else place.devices, np.searchsorted(strangers, strangers[stops])
        )
        low = np.maximum(low, [self._caps.lowest(place.device, int(stop), place.after) for stop in stops])
        if place.device > place.ceiling:
            low = np.maximum(low, np.searchsorted(blocks.layers, blocks.layers[stops]))
        parent, number = np.nonzero(spent_us < np.inf)
        first = np.array([row.on(place.device)[0].start if row.on(place.device) else -1 for row in rows])
        apart = (first[parent] != stops[number]) & (low[number] <= high[number])  # else it would prolong that stage
        parent, number = parent[apart], number[apart]
        bottom = low[number]
        if blocks.ties and any(len(row.returns) > len(row.on(place.device)) for row in rows):
            owned = [self._owned(rows[p], place.device, int(stops[n])) for p, n in zip(parent, number, strict=True)]
            bottom = np.maximum(bottom, np.array(owned, np.int64))
        start, pair = ranges(bottom, np.maximum(high[number] + 1, bottom))
        return Candidates(parent[pair], start, stops[number[pair]])

    def _owned(self, row: Row, device: int, stop: int) -> int:
        """Blocks before this one, if in the span, are tied to a return on another device."""
        blocks = self._blocks
        owned = (
            member
            for r in row.returns
            if r.device != device
            for block in range(r.start, r.stop)
            for tie in blocks.ties_of.get(block, ())
            for member in blocks.ties[tie]
            if member < stop
        )
        return max(owned, default=-1) + 1

    def _carried(self, place: Place, found: Candidates, loads: Loads) -> Bools:
        """Neither the device nor all devices to come together carry too much."""
        caps, device = self._caps, place.device
        more_us, more_bytes = caps.loads(found.start, found.stop, device, place.after)
        own_us = loads.work_us[found.parent, device] + more_us
        own_bytes = loads.held_bytes[found.parent, device] + more_bytes
        all_us, all_bytes, _ = loads.below(place.devices)
        keep = caps.carries(device, own_us, own_bytes)
        upper = caps.uppers(place.devices, all_us[found.parent] + more_us, all_bytes[found.parent] + more_bytes)
        return keep & (found.start <= upper)

    def _reasonable(self, place: Place, found: Candidates, loads: Loads) -> Bools:
        """The span holds a unit pinned to the device, or one tied to a unit before the span."""
        blocks = self._blocks
        keep = np.zeros(len(found.start), bool)
        for block in blocks.returners:
            inside = (found.start <= block) & (block < found.stop)
            if blocks.pinned.get(block) == place.device:
                keep |= inside
            for tie in blocks.ties_of.get(block, ()) if inside.any() else ():
                keep |= inside & (blocks.ties[tie][0] < found.start)
        return keep

    def _leaves(self, place: Place, found: Candidates, loads: Loads) -> Bools:
        """The devices to come get what is left: above this one no sequential unit, if the return holds some.

        And another stage must come between the return and the first visit.
        """
        blocks, start = self._blocks, found.start
        keep = np.full(len(start), place.device < place.devices - 1)
        keep |= start > min(blocks.returners)
        layered: Bools = blocks.layers[found.stop] > blocks.layers[start]
        if not self._problem.allow_empty:
            keep &= ~layered | (blocks.edges[start] - blocks.layers[start] >= place.devices - 1 - place.device)
        work_us = loads.below(place.device + 1)[0][found.parent]
        work_us = work_us + blocks.sequential_us[start] + blocks.floor_us[found.stop] - blocks.floor_us[start]
        return keep & (~layered | (work_us <= self._caps.works_us(place.device + 1)))

    def _follows(self, place: Place, found: Candidates, loads: Loads) -> Bools:
        """What lies between a tied unit and the return fits this device and those above, if nothing returns there."""
        blocks, start = self._blocks, found.start
        anchor = np.full(len(start), -1)
        for tie in blocks.ties:
            touched = np.zeros(len(start), bool)
            for member in tie[1:]:
                touched |= (start <= member) & (member < found.stop)
            last = np.searchsorted(tie, start) - 1
            anchor = np.maximum(anchor, np.where(touched & (last >= 0), np.array(tie)[last], -1))
        alone = np.searchsorted(blocks.returner_blocks, start) == np.searchsorted(blocks.returner_blocks, anchor + 1)
        known = (anchor >= 0) & alone
        after_us = blocks.floor_us[start] - blocks.floor_us[anchor + 1]
        carried_us = loads.below(place.devices)[0] - loads.below(place.device)[0]
        fits: Bools = after_us + carried_us[found.parent] <= self._caps.works_us(place.devices, place.device)
        fits |= ~known
        return fits

    def _added(self, place: Place, found: Candidates, loads: Loads) -> Loads:
        """With the candidate's own load."""
        added = loads.of(found.parent)
        more_us, more_bytes = self._caps.loads(found.start, found.stop, place.device, place.after)
        added.work_us[:, place.device] += more_us
        added.held_bytes[:, place.device] += more_bytes
        floor_us, cut_us = self._blocks.floor_us, self._blocks.cut_us
        fastest = self._caps.fastest
        added.latency_us[:, place.device] += (floor_us[found.stop] - floor_us[found.start]) / fastest + cut_us[
            found.start
        ]
        return added

    def _reaches(self, place: Place, found: Candidates, added: Loads) -> Bools:
        """What lies before the candidate may be held by the devices to come. A few are faster tried than tested."""
        keep = np.ones(len(found.start), bool)
        if len(keep) <= FEW and len(self._blocks) ** 2 * len(self._problem.devices) < MANY:
            return keep
        extra = np.searchsorted(self._blocks.returner_blocks, found.start)
        for number in np.unique(extra):
            some = np.flatnonzero(extra == number)
            keep[some] = self._caps.reaches(place.devices, found.start[some], place.after + 1, added.of(some)[:2])
        return keep

    def _rest_us(self, place: Place, found: Candidates, added: Loads) -> Floats:
        """Where sharded: what the open returns and all before them take at least."""
        return self._caps.rest_us(place.devices)[found.start] + added.below(place.devices)[2]
