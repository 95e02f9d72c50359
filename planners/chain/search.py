"""Every way to give the blocks to devices, from the last stage to the first, within limits.

Taken from the end, the number of stages that follow is always known, and with it how deep a stage stashes. A *branch*
is a set of returns (a stage on a device that is visited before, hence later in this direction); within it, one device
after the other takes its first visit, and only the block where the next stage ends must be remembered: dynamic
programming. A return is remembered too, until its device takes its first visit and its costs are known, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .branch import Branch, Found
from .caps import SLACK, Caps
from .costs import Coster, Costs, fitting
from .layers import ROUNDING, Goal, Layer, Start, Taken, better, chosen, merged, segments_of, widened
from .returned import Return
from .returning import Candidates, Loads, Place, Returning, Row
from .spans import Floats, Ints, Window

SPANS_AT_ONCE = 2**20
ROWS_AT_ONCE = 24
"""Sets of returns in a branch: few, because those that begin far apart have little in common."""


class Search:
    """One goal under one set of limits. ``tick`` is called now and then, with the number of rows, and may raise."""

    def __init__(
        self, coster: Coster, caps: Caps, goal: Goal, tick: Callable[[int], None], branches: int | None = None
    ) -> None:
        """``branches``: look at so many only, each with the lightest returns."""
        self._coster, self._blocks, self._caps, self._goal, self._tick = coster, coster.blocks, caps, goal, tick
        self._problem, self._branches = coster.blocks.problem, branches
        self.found, self.complete = Found(), True

    def run(self) -> Found:
        """The best way; ``values`` is None where there is none."""
        blocks, devices = len(self._blocks), len(self._problem.devices)
        values = tuple(np.full((1, 1), component.nothing) for component in self._goal)
        self._explore(
            Branch((Row(),), Loads.nothing(devices), Layer(blocks, values, None, np.array([blocks])), devices, 0)
        )
        return self.found

    def _explore(self, branch: Branch) -> None:
        """Layers are kept by the number of devices still to come; ``after`` stages follow each."""
        layers, after = {branch.devices: branch.start}, branch.after
        reached = [(branch.start, branch.devices, after)]
        while layers:
            if self._problem.allow_empty:
                self._skip(branch, layers)
            if 0 in layers:
                self._offer(branch, layers.pop(0))
            following = {}
            for devices in sorted(layers, reverse=True):
                taken = self._take(branch, layers[devices], devices - 1, after)
                if taken is not None:
                    following[devices - 1] = taken
                    reached.append((taken, devices - 1, after + 1))
            layers, after = following, after + 1
        for layer in reached:  # last, because what was found narrows the limits
            self._return(branch, *layer)

    def _skip(self, branch: Branch, layers: dict[int, Layer]) -> None:
        """Of devices alike, the last ones are used: the rest of them may be left out together."""
        for devices in range(branch.devices, 0, -1):
            below = self._blocks.run_start(devices)
            rest = range(below, devices)
            if devices in layers and branch.open.isdisjoint(rest) and not any(self._asks(d) for d in rest):
                layers[below] = merged(self._goal, layers[devices], layers.get(below))

    def _asks(self, device: int) -> bool:
        """Whether it may not stay empty, even if others may."""
        return bool(self._problem.devices[device].layers)

    def _offer(self, branch: Branch, layer: Layer) -> None:
        """The ways that have given every block a device."""
        if layer.low > 0:
            return
        for row in range(len(branch.rows)):
            values = tuple(float(value[row, 0]) for value in layer.values)
            if np.isinf(values[0]):
                continue
            if self.found.values is not None:
                new, old = (tuple(np.array([v]) for v in numbers) for numbers in (values, self.found.values))
                if not better(self._goal, new, old)[0]:
                    continue
            self.found = Found(values, branch.rows[row], segments_of(layer, row, 0))
            if len(self._goal) == 1:
                self._tighten(values[0])

    def _tighten(self, value: float) -> None:
        """Only what is better is still of interest."""
        if self._goal[0].table == "time_us" and self._goal[0].total:
            self._caps.latency_us = min(self._caps.latency_us, value * (1 - ROUNDING))
            return
        if self._goal[0].table == "time_us":
            self._caps = self._caps.tightened(min(self._caps.time_us, value * (1 - ROUNDING)), self._caps.memory_bytes)
            return
        if self._goal[0].table == "memory_bytes":
            room = [min(most, value - 1) for most in self._caps.memory_bytes]
        else:
            devices = self._problem.devices
            most = zip(self._caps.memory_bytes, devices, strict=True)
            room = [min(memory, device.capacity_bytes + value - 1) for memory, device in most]
        self._caps = self._caps.tightened(self._caps.time_us, tuple(room))

    # -- first visits --------------------------------------------------------------------------------------------------

    def _take(self, branch: Branch, layer: Layer, device: int, after: int) -> Layer | None:
        """The device takes a span in front of each block of the layer."""
        low, high = self._starts(branch, layer, device, after)
        if low > high:
            return None
        values, stops = self._spans_taken(branch, layer, device, after, (low, high))
        if np.isfinite(self._caps.latency_us):
            self._prune(branch, values[0], low, device)
        possible = np.flatnonzero(np.isfinite(values[0]).any(axis=0))
        if not len(possible):
            return None
        part = slice(possible[0], possible[-1] + 1)
        return Layer(low + int(part.start), tuple(v[:, part] for v in values), Taken(layer, device, stops[:, part]))

    def _prune(self, branch: Branch, latency_us: Floats, low: int, devices: int) -> None:
        """Leave out what takes too long with all that is still to come."""
        rest_us = self._caps.rest_us(devices)[low : low + latency_us.shape[1]]
        open_us = branch.loads.below(devices)[2]
        latency_us[latency_us + rest_us + open_us[:, None] > self._caps.latency_us * (1 + SLACK)] = np.inf

    def _starts(self, branch: Branch, layer: Layer, device: int, after: int) -> tuple[int, int]:
        """Where the device may begin; what lies before must fit the devices before it."""
        least = [float(load.min()) for load in branch.loads.below(device)[:2]] if branch.open else []
        high = min(layer.high - 1, self._caps.upper(device, *least))
        low = max(self._caps.lowest(device, layer.low, after), 0 if self._problem.allow_empty else device)
        return (low, 0) if device == 0 else (low, high)

    def _spans_taken(
        self, branch: Branch, layer: Layer, device: int, after: int, starts: tuple[int, int]
    ) -> tuple[tuple[Floats, ...], Ints]:
        """Per row and start: the best values and the stop that gives them. Not too many spans at once."""
        held = [row.on(device) for row in branch.rows] if device in branch.open else None
        count, layers = len(branch.rows), device <= branch.ceiling
        wide = max(1, SPANS_AT_ONCE // (count * (starts[1] - starts[0] + 1)))
        best: tuple[tuple[Floats, ...], Ints] | None = None
        for left in range(layer.low, layer.high + 1, wide):
            right = min(layer.high, left + wide - 1)
            low, high = max(starts[0], self._caps.lowest(device, left, after)), min(starts[1], right - 1)
            if low > high:
                continue
            self._tick(count)
            window = Window(low, high, left, right)
            if held is None:
                costs = self._coster.first_visit(device, after, window, layers)
            else:
                costs = self._coster.with_returns(device, after, window, layers, held)
            columns = self._columns(costs, device)
            index, values = chosen(self._goal, self._joined(layer, columns, left, held is None))
            stops = index + left if layer.at is None or held is not None else layer.at[:, None] + index
            best = self._pooled(best, _placed(values, stops, low - starts[0], starts[1] - high))
        return best or _nowhere(count, starts[1] - starts[0] + 1, len(self._goal))

    def _joined(self, layer: Layer, columns: Sequence[Floats], left: int, alike: bool) -> list[Floats]:
        """Per criterion ``[row, start, stop]``, or with one stop where each row has but one."""
        stop = slice(left - layer.low, left - layer.low + columns[0].shape[-1])
        if layer.at is None or not alike:
            return [
                component.join(column, value[:, None, stop])
                for component, column, value in zip(self._goal, columns, layer.values, strict=True)
            ]
        at = layer.at - left
        inside = (at >= 0) & (at < columns[0].shape[-1])
        picked, rows = np.where(inside, at, 0), np.arange(len(at))
        joined = []
        for component, column, value in zip(self._goal, columns, layer.values, strict=True):
            table = component.join(column.T[picked], value[rows, layer.at - layer.low][:, None])
            joined.append(np.where(inside[:, None], table, np.inf)[:, :, None])
        return joined

    def _pooled(
        self, best: tuple[tuple[Floats, ...], Ints] | None, new: tuple[tuple[Floats, ...], Ints]
    ) -> tuple[tuple[Floats, ...], Ints]:
        if best is None:
            return new
        other = better(self._goal, new[0], best[0])
        values = tuple(np.where(other, a, b) for a, b in zip(new[0], best[0], strict=True))
        return values, np.where(other, new[1], best[1])

    def _columns(self, costs: Costs, device: int) -> list[Floats]:
        """Per criterion; the first is infinite where the device may not take the span."""
        capacity = self._problem.devices[device].capacity_bytes
        columns = [costs.column(component.table, capacity) for component in self._goal]
        return [np.where(fitting(costs, self._caps, device), columns[0], np.inf), *columns[1:]]

    # -- returns -------------------------------------------------------------------------------------------------------

    def _return(self, branch: Branch, layer: Layer, devices: int, after: int) -> None:
        """Explore the branches in which a stage in front of the layer returns to a device still to come."""
        returning = Returning(self._blocks, self._caps)
        spent_us = layer.values[0]
        possible = layer.finite()
        if len(self._goal) == 1 and self.found.values is not None:
            possible &= spent_us < self.found.values[0]
        stops = returning.near(np.flatnonzero(possible.any(axis=0)) + layer.low, after)
        columns = stops - layer.low
        spent_us = np.where(possible[:, columns], spent_us[:, columns], np.inf)
        for device in returning.hosts(stops, devices, after):
            place = Place(device, devices, after, branch.ceiling)
            for part in returning.parts(stops, len(branch.rows), after):
                if self._branches == 0:
                    self.complete = False
                    return
                self._tick(1)
                self._return_to(place, branch, layer, returning, stops[part], spent_us[:, part])

    def _return_to(
        self, place: Place, branch: Branch, layer: Layer, returning: Returning, stops: Ints, spent_us: Floats
    ) -> None:
        found, loads = returning.candidates(place, stops, branch.rows, branch.loads, spent_us)
        layered = self._blocks.layers[found.stop] > self._blocks.layers[found.start]
        for kind in (False, True):
            there = place._replace(ceiling=min(place.ceiling, place.device)) if kind else place
            for some in self._groups(found, loads, np.flatnonzero(layered == kind)):
                self._tick(len(some))
                self._explore(self._branch(branch, layer, there, found.pick(some), loads.of(some)))

    def _groups(self, found: Candidates, loads: Loads, numbers: Ints) -> Iterator[Ints]:
        """Candidates that begin near each other; of a first look, the lightest alone."""
        if self._branches is not None and len(numbers) > ROWS_AT_ONCE:
            light = np.lexsort((numbers, loads.work_us.sum(axis=1)[numbers]))
            numbers, self.complete = numbers[light[:ROWS_AT_ONCE]], False
        numbers = numbers[np.lexsort((found.parent[numbers], found.stop[numbers], found.start[numbers]))]
        for begin in range(0, len(numbers), ROWS_AT_ONCE):
            if self._branches == 0:
                self.complete = False
                return
            self._branches = None if self._branches is None else self._branches - 1
            yield numbers[begin : begin + ROWS_AT_ONCE]

    def _branch(self, branch: Branch, layer: Layer, place: Place, found: Candidates, loads: Loads) -> Branch:
        parents, starts, stops = (column.tolist() for column in found)
        rows = tuple(
            Row((Return(start, stop, place.device, place.after), *branch.rows[parent].returns))
            for parent, start, stop in zip(parents, starts, stops, strict=True)
        )
        start = self._begin(layer, found)
        return Branch(rows, loads, start, place.devices, place.after + 1, branch.open | {place.device}, place.ceiling)

    def _begin(self, layer: Layer, found: Candidates) -> Layer:
        """Nothing is added for a return before its device is complete."""
        low, count = int(found.start.min()), len(found.start)
        values = []
        for value in layer.values:
            new = np.full((count, int(found.start.max()) - low + 1), np.inf)
            new[np.arange(count), found.start - low] = value[found.parent, found.stop - layer.low]
            values.append(new)
        origin = Start(layer, found.parent.tolist(), found.stop.tolist())
        return Layer(low, tuple(values), origin, found.start)


def _nowhere(rows: int, width: int, criteria: int) -> tuple[tuple[Floats, ...], Ints]:
    return tuple(np.full((rows, width), np.inf) for _ in range(criteria)), np.zeros((rows, width), np.int64)


def _placed(values: tuple[Floats, ...], stops: Ints, before: int, behind: int) -> tuple[tuple[Floats, ...], Ints]:
    """Within a wider range of starts."""
    if not before and not behind:
        return values, stops
    return tuple(widened(value, before, behind) for value in values), widened(stops, before, behind, 0)
