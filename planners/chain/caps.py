"""Limits on every device, and how far they let a stage reach."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .blocks import Blocks
from .spans import Bools, Floats, Ints

MOST_EXTRA = 6
"""Possible returns up to which ``reaches`` looks closely."""
MANY = 2**21
"""Spans times devices from which on it pays to look more closely how far devices get."""
SLACK = 1e-9
"""Relative room for rounding: sums over spans are differences of prefix sums."""


@dataclass
class Caps:
    """What a device may carry. What is left out by these limits breaks one of them, whatever else is decided."""

    blocks: Blocks
    time_us: float
    """Largest time of a device; infinite where sharded."""
    memory_bytes: tuple[float, ...]
    """Per device."""
    latency_us: float = np.inf
    """Where sharded."""
    by_memory: bool = True
    """Whether to work out how far memory lets a stage reach, which takes longer than time does."""

    def __post_init__(self) -> None:
        self._floor_us, self._held_bytes = self.blocks.floor_list, self.blocks.deep_list(0)
        self._rounding_us = SLACK * self._floor_us[-1]
        devices = self.blocks.problem.devices
        room = [memory - device.base_bytes for memory, device in zip(self.memory_bytes, devices, strict=True)]
        self._room = room
        self._work_us = [self.time_us * device.speed * (1 + SLACK) for device in devices]
        self._rooms, self._speeds, self._fastest = [0.0], [0.0], [0.0]
        for device, held in zip(devices, room, strict=True):
            self._rooms.append(self._rooms[-1] + max(held, 0.0))
            self._speeds.append(self._speeds[-1] + device.speed)
            self._fastest.append(max(self._fastest[-1], device.speed))

    def works_us(self, devices: int, first: int = 0) -> float:
        """Work at speed 1 that devices ``first`` to ``devices - 1`` carry: a cut at either side, but for the ends."""
        if np.isinf(self.time_us):
            return np.inf
        cut_us = self.blocks.least_cut_us
        each = max(0.0, self.time_us - 2 * cut_us)
        speeds = self._speeds[devices] - self._speeds[first]
        return (speeds * each + 2 * self._fastest[devices] * cut_us) * (1 + SLACK) + self._rounding_us

    def uppers(self, devices: int, load_us: Floats, load_bytes: Floats) -> Ints:
        """So many devices, that carry a load already, hold the blocks up to here at most; -1: not even the load."""
        work, room = self.works_us(devices) - load_us, self._rooms[devices] - load_bytes
        by_time = np.searchsorted(self.blocks.floor_us, work + self._rounding_us, side="right") - 1
        by_room = np.searchsorted(self.blocks.held_bytes, room, side="right") - 1
        return np.minimum(np.minimum(by_time, by_room), self._farthest(devices))

    def upper(self, devices: int, load_us: float = 0.0, load_bytes: float = 0.0) -> int:
        """As ``uppers``, of one load."""
        by_time = bisect_right(self._floor_us, self.works_us(devices) - load_us + self._rounding_us) - 1
        by_room = bisect_right(self._held_bytes, self._rooms[devices] - load_bytes) - 1
        return min(by_time, by_room, self._farthest(devices))

    def _farthest(self, devices: int) -> int:
        by_stages = bisect_right(self._stages, devices) - 1
        return min(by_stages, self.blocks.first_beyond[devices], self._cover[devices])

    def lowest(self, device: int, stop: int, after: int | None) -> int:
        """A stage of the device that ends at ``stop`` begins here at the earliest; ``stop`` or more: nowhere.

        ``after`` stages follow it, or more; ``None``: nothing is known of what follows.
        """
        work, room = self._work_us[device], self._room[device]
        if after and stop < len(self.blocks):
            work -= self.blocks.least_cut_us * self.blocks.problem.devices[device].speed
        by_time = bisect_left(self._floor_us, self._floor_us[stop] - work - self._rounding_us)
        held = self.blocks.deep_list(self.blocks.deep(after or 0))
        return max(by_time, bisect_left(held, held[stop] - room), int(self.low(after)[stop]))

    def _lowest(self, device: int, stop: Ints, after: int | None, load_us: Floats, load_bytes: Floats) -> Ints:
        """As ``lowest``, beside loads."""
        blocks, work = self.blocks, self._work_us[device] - load_us
        if after:
            cut_us = blocks.least_cut_us * blocks.problem.devices[device].speed
            work = work - np.where(stop < len(blocks), cut_us, 0.0)
        by_time = np.searchsorted(blocks.floor_us, blocks.floor_us[stop] - work - self._rounding_us)
        held = blocks.deep_bytes(self.blocks.deep(after or 0))
        by_room = np.searchsorted(held, held[stop] - (self._room[device] - load_bytes))
        return np.maximum(np.maximum(by_time, by_room), self.low(after)[stop])

    def loads(self, start: Ints, stop: Ints, device: int, after: int) -> tuple[Floats, Floats]:
        """What returns take at least of their device: work at speed 1, and bytes."""
        blocks, deep = self.blocks, self.blocks.deep(after)
        held = blocks.deep_bytes(deep)
        work_us = blocks.floor_us[stop] - blocks.floor_us[start]
        if not blocks.sharded:
            work_us = work_us + (blocks.cut_us[start] + blocks.cut_us[stop]) * blocks.problem.devices[device].speed
        return work_us, held[stop] - held[start] + deep * blocks.least_stash_bytes

    def carries(self, device: int, work_us: Floats, held_bytes: Floats) -> Bools:
        """Whether the device may carry the loads."""
        fits: Bools = (work_us <= self._work_us[device] + self._rounding_us) & (held_bytes <= self._room[device])
        return fits

    def low(self, after: int | None) -> Ints:
        """Per stop, not descending: where a stage on the largest, fastest device begins at the earliest."""
        key = self.blocks.deep(after or 0), bool(after)
        if key not in self._lows:
            self._lows[key] = self._low(*key)
        return self._lows[key]

    @cached_property
    def _lows(self) -> dict[tuple[int, bool], Ints]:
        return {}

    def _low(self, deep: int, cut: bool) -> Ints:
        by_time = self._cut_low if cut else self._uncut_low
        closely = np.isinf(self.time_us) or len(self.blocks) ** 2 * len(self._room) >= MANY
        by_room = self.blocks.reach(max(self._room), deep if closely else min(deep, 3)) if self.by_memory else None
        return by_time if by_room is None else np.maximum(by_time, by_room)

    @cached_property
    def _cut_low(self) -> Ints:
        return self._low_by_time(self.blocks.least_cut_us)

    @cached_property
    def _uncut_low(self) -> Ints:
        return self._low_by_time(0.0)

    def _low_by_time(self, cut_us: float) -> Ints:
        floor_us = self.blocks.floor_us
        if np.isinf(self.time_us):
            return np.zeros(len(floor_us), np.int64)
        work = max(self._work_us) - cut_us * self._fastest[-1]
        return np.searchsorted(floor_us, floor_us - work - self._rounding_us)

    @cached_property
    def _stages(self) -> list[int]:
        """Per block, not descending: devices that at least are needed for what lies before it, whatever returns."""
        count = len(self.blocks)
        never, lows, last = count + 1, self.low(1).tolist(), self.low(0).tolist()
        need = [0] * (count + 1)
        for stop in range(1, count + 1):
            low = lows[stop] if stop < count else last[stop]
            need[stop] = never if low >= stop else need[low] + 1
        returners = list(self.blocks.returners)
        least = [n - bisect_left(returners, stop) if n < never else never for stop, n in enumerate(need)]
        for stop in reversed(range(count)):
            least[stop] = min(least[stop], least[stop + 1])
        return least

    @cached_property
    def _cover(self) -> list[int]:
        """Per number of devices: how far the first so many get at most, each at the depth it has at least."""
        count, total, returners = len(self.blocks), len(self._room), self.blocks.returners
        loose = self.blocks.problem.allow_empty and self.blocks.run_start(total) > 0
        if loose or count * count * total < MANY or len(returners) > MOST_EXTRA:
            return [count] * (total + 1)
        limits = [*returners, count]  # beyond the r-th, more than r returns are possible
        covers, cover = [], [0] * len(limits)
        for device in range(-1, total):
            if device >= 0:
                cover = [self._stop(device, start, total - 1 - device) for start in cover]
            for number in range(1, len(limits)):
                farther = int(np.searchsorted(self.low(None), cover[number - 1], side="right")) - 1
                cover[number] = max(cover[number], farther)
            covers.append(max(min(reach, limit) for reach, limit in zip(cover, limits, strict=True)))
        return covers

    def _stop(self, device: int, start: int, after: int) -> int:
        """The farthest stop of a stage that begins at ``start`` or before."""
        stops = range(len(self.blocks) + 1)
        return bisect_right(stops, start, lo=start, key=lambda stop: self.lowest(device, stop, after)) - 1

    def reaches(self, devices: int, stops: Ints, after: int, loads: Sequence[Floats]) -> Bools:
        """Whether the first devices may hold all before each stop, beside loads of returns ([stop, device]: us, bytes).

        ``after`` stages follow them. As many units that may return lie before each of the stops.
        """
        extra = bisect_left(self.blocks.returners, int(stops[0])) if len(stops) else 0
        if extra > MOST_EXTRA:
            return np.ones(len(stops), bool)
        loosest = self.low(None)
        skips = self.blocks.problem.allow_empty and self.blocks.run_start(devices) > 0
        starts = [stops]  # by the number of returns among the stages so far
        for _ in range(extra):
            starts.append(loosest[starts[-1]])
        for device in reversed(range(devices)):
            known, after = None if skips else after, after + 1
            load_us, load_bytes = (load[:, device] for load in loads)
            starts = [np.minimum(s, self._lowest(device, s, known, load_us, load_bytes)) for s in starts]
            for number in range(extra):
                starts[number + 1] = np.minimum(starts[number + 1], loosest[starts[number]])
            if not starts[-1].any():
                break
        done: Bools = starts[-1] == 0
        return done

    @property
    def fastest(self) -> float:
        return self._fastest[-1]

    def rest_us(self, devices: int) -> Floats:
        """Where sharded: per block, what all before it takes at least, with so many first visits to come."""
        cuts = 0 if self.blocks.problem.allow_empty else max(0, devices - 1)
        return self.blocks.floor_us / self.fastest + cuts * self.blocks.cheapest_cut_us

    @property
    def hopeless(self) -> bool:
        """No way is within the limits."""
        devices, count = len(self._room), len(self.blocks)
        return self.upper(devices) < count or self._short(devices, count)

    def _short(self, devices: int, count: int) -> bool:
        """As ``reaches``, of everything."""
        extra = len(self.blocks.returners)
        if extra > MOST_EXTRA:
            return False
        loosest, skips = self.low(None), self.blocks.problem.allow_empty and self.blocks.run_start(devices) > 0
        starts = [count]
        for _ in range(extra):
            starts.append(int(loosest[starts[-1]]))
        for device in reversed(range(devices)):
            known = None if skips else devices - 1 - device
            starts = [min(start, self.lowest(device, start, known)) for start in starts]
            for number in range(extra):
                starts[number + 1] = min(starts[number + 1], int(loosest[starts[number]]))
            if starts[-1] == 0:
                return False
        return True

    def tightened(self, time_us: float, memory_bytes: tuple[float, ...]) -> Caps:
        """Stricter limits; how far stages reach is not worked out again, which errs on the safe side."""
        caps = replace(self, time_us=time_us, memory_bytes=memory_bytes)
        caps.__dict__.update(_lows=self._lows, _stages=self._stages, _cover=self._cover)
        return caps
