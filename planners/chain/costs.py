"""Tables of one device for the stages of one search: what a first visit costs, and where it is allowed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .blocks import Blocks
from .caps import Caps
from .returned import Returned, depth
from .spans import Bools, Floats, Window
from .tables import Plain, Tables


class Costs(NamedTuple):
    """Per span of the window, ``[start, stop]``, or ``[row, start, stop]`` where rows differ."""

    time_us: Floats
    memory_bytes: Floats
    received_bytes: Floats
    legal: Bools

    def column(self, name: str, capacity_bytes: int) -> Floats:
        if name == "lack_bytes":
            return self.memory_bytes - capacity_bytes
        if name == "evenness":
            return self.time_us**2
        table: Floats = getattr(self, name)
        return table


class Coster:
    """Makes costs from plain tables, which it keeps for later phases."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks, self.tables = blocks, Tables(blocks)
        self._all: dict[object, tuple[Floats, Bools]] = {}

    def first_visit(self, device: int, after: int, window: Window, layers: bool) -> Costs:
        """Of a device without returns. ``after`` stages follow; ``layers``: sequential units may be there."""
        plain = self.tables.plain(window)
        time_us, legal = self._alike(device, plain, layers)
        memory = plain.fixed + plain.deep * self._depth(after) + self.blocks.problem.devices[device].base_bytes
        return Costs(time_us, memory, plain.received, legal)

    def _alike(self, device: int, plain: Plain, layers: bool) -> tuple[Floats, Bools]:
        """Time and legality, of all spans at once where those are few: they are the same for devices alike."""
        everything = self.tables.everything
        if everything is None:
            return self._single(device, plain, layers)
        numbers = self.blocks.problem.devices[device]
        home = device if device in self.blocks.named else -1
        key = numbers.speed, numbers.min_units, numbers.layers, home, layers
        if key not in self._all:
            self._all[key] = self._single(device, everything, layers)
        part = plain.window.within(everything.window)
        time_us, legal = self._all[key]
        return time_us[part], legal[part]

    def _single(self, device: int, plain: Plain, layers: bool) -> tuple[Floats, Bools]:
        legal = self._allowed(device, plain, layers, 0.0, 0.0) & (plain.split == 0)
        return self._time(device, plain.work_us, plain.received, plain.sent), legal

    def _depth(self, after: int) -> float:
        return float(depth(self.blocks.problem.schedule, np.array(after), np.array(after)))

    def with_returns(self, device: int, after: int, window: Window, layers: bool, held: Returned) -> Costs:
        """As ``first_visit``, of a device that holds returns besides: tables ``[row, start, stop]``."""
        plain = self.tables.plain(window)
        received = held.received(plain)
        memory = held.memory(plain, after)
        time_us = self._time(device, plain.work_us + held.work_us, received, held.sent(plain))
        legal = held.legal(plain) & self._allowed(device, plain, layers, held.units, held.layers)
        return Costs(time_us, memory + self.blocks.problem.devices[device].base_bytes, received, legal)

    def _time(self, device: int, work_us: Floats, received: Floats, sent: Floats) -> Floats:
        problem = self.blocks.problem
        table: Floats = work_us / problem.devices[device].speed + (received + sent) * problem.copy_us_per_byte
        return table

    def _allowed(
        self, device: int, plain: Plain, layers: bool, more_units: Floats | float, more_layers: Floats | float
    ) -> Bools:
        """Not empty, no block of another device, enough units, the layers asked for."""
        window, numbers, blocks = plain.window, self.blocks.problem.devices[device], self.blocks
        allowed: Bools = window.starts[:, None] < window.stops[None, :]
        strangers = blocks.strangers(device)
        if strangers[-1]:
            allowed &= window.of_prefix(strangers) == 0
        if numbers.min_units > 1:
            allowed = allowed & (window.of_prefix(blocks.edges) + more_units >= numbers.min_units)
        if numbers.layers is not None:
            allowed = allowed & (window.of_prefix(blocks.layers) + more_layers == numbers.layers)
        if not layers:
            allowed = allowed & (window.of_prefix(blocks.layers) == 0)
        return allowed


def fitting(costs: Costs, caps: Caps, device: int) -> Bools:
    """Where the device stays within its limits."""
    fits: Bools = costs.legal & (costs.memory_bytes <= caps.memory_bytes[device])
    if np.isfinite(caps.time_us):
        fits &= costs.time_us <= caps.time_us
    return fits
