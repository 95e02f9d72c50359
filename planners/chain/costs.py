"""Tables of one device for the stages of one search: what a first visit costs, and where it is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..problem import Device
from .blocks import Blocks
from .caps import Caps
from .returned import Return, Returned
from .spans import Bools, Floats, Window
from .tables import Plain, Tables

KEPT_SPANS = 2**19
"""Spans whose costs are kept: phases ask for much the same."""


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
        self._kept: dict[object, Costs] = {}
        self._spans = 0

    def first_visit(self, device: int, after: int, window: Window, layers: bool) -> Costs:
        """Of a device without returns. ``after`` stages follow; ``layers``: sequential units may be there."""
        key = self._kind(device), after, window, layers
        if key not in self._kept:
            plain = self.tables.plain(window)
            time_us, legal = self._alike(device, plain, layers)
            memory = plain.fixed + plain.deep * self.blocks.deep(after) + self.blocks.problem.devices[device].base_bytes
            self._keep(key, Costs(time_us, memory, plain.received, legal))
        return self._kept[key]

    def _kind(self, device: int) -> tuple[Device, int]:
        """What distinguishes devices, but for their capacity."""
        return self._kinds[device]

    @cached_property
    def _kinds(self) -> list[tuple[Device, int]]:
        devices, named = self.blocks.problem.devices, self.blocks.named
        return [(replace(device, capacity_bytes=0), d if d in named else -1) for d, device in enumerate(devices)]

    def _keep(self, key: object, costs: Costs) -> None:
        if self._spans > KEPT_SPANS:
            self._kept.clear()
            self._spans = 0
        self._kept[key] = costs
        self._spans += costs.memory_bytes.size

    def _alike(self, device: int, plain: Plain, layers: bool) -> tuple[Floats, Bools]:
        """Time and legality, of all spans at once where those are few: they are the same for devices alike."""
        everything = self.tables.everything
        if everything is None:
            return self._single(device, plain, layers)
        key = self._kind(device), layers
        if key not in self._all:
            self._all[key] = self._single(device, everything, layers)
        part = plain.window.within(everything.window)
        time_us, legal = self._all[key]
        return time_us[part], legal[part]

    def _single(self, device: int, plain: Plain, layers: bool) -> tuple[Floats, Bools]:
        legal = self._allowed(device, plain, layers, 0.0, 0.0) & (plain.split == 0)
        return self._time(device, plain.work_us, plain.received, plain.sent), legal

    def with_returns(
        self, device: int, after: int, window: Window, layers: bool, rows: Sequence[tuple[Return, ...]]
    ) -> Costs:
        """As ``first_visit``, of a device that holds returns besides, a set per row: tables ``[row, start, stop]``."""
        key = device, after, window, layers, tuple(rows)
        if key not in self._kept:
            self._keep(key, self._with_returns(device, after, window, layers, Returned(self.blocks, rows)))
        return self._kept[key]

    def _with_returns(self, device: int, after: int, window: Window, layers: bool, held: Returned) -> Costs:
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
