"""Time and memory as loads that add up along a path: no more than what ``evaluate`` says, but simple enough to sum.

Within limits, a device takes at least what each of its stages takes, and what blocks take that are on it in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..problem import Schedule
from ..stages import stash_depth
from .blocks import Blocks
from .network import FIRST, STAY, Ints, Network

Floats = NDArray[np.float64]
MARGIN = 1e-12
"""Relative; limits are met with rounding errors."""


LARGE = 1e300
"""No limit."""


@dataclass(frozen=True, eq=False)
class Load:
    """One row per load. Columns are nodes, or in ``leave`` and ``enter`` the arcs that end and begin a stage."""

    node: Floats
    enter: Floats
    leave: Floats
    start: Floats
    limit: Floats
    through: NDArray[np.bool_]
    """Per load, as a column: whether it adds up over the whole path, not within a stage."""


def both(network: Network, limits_us: Sequence[float], limits_bytes: Sequence[float]) -> Load:
    """Time and memory; limits are per device, that of time where sharded the first one for all."""
    rows = _time(network, np.minimum(limits_us, LARGE)), _memory(network, np.minimum(limits_bytes, LARGE))
    node, enter, leave, start, limit = (np.stack(pair) for pair in zip(*rows, strict=True))
    sharded = network.blocks.problem.schedule is Schedule.SHARDED
    return Load(node, enter, leave, start, limit, np.array([[sharded], [False]]))


def _time(network: Network, limits_us: Floats) -> tuple[Floats, ...]:
    """Work, and the copies that are sure."""
    blocks, devices = network.blocks, network.blocks.problem.devices
    speed = np.array([device.speed for device in devices])
    least = np.array(blocks.work_us) - np.array(blocks.saved_us)
    work = np.array(blocks.work_us)[network.block] - np.array(blocks.saved_us)[network.block] * (network.slot == 0)
    at = network.block[network.head]
    leave = np.array(blocks.cut_us)[at] * (network.kind != STAY)
    enter = np.where(network.kind == FIRST, np.array(blocks.first_us)[at], leave)
    start = np.zeros(len(work))
    if blocks.problem.schedule is Schedule.SHARDED:
        limit = np.full(len(work), limits_us[0] * (1 + MARGIN))
        return work / speed[network.device], enter, 0.0 * leave, start, limit
    fixed = _fixed(network)
    work = work - np.where(fixed >= 0, least, 0.0)[network.block]
    limit = limits_us * (1 + MARGIN) - _by_device(fixed, least, len(devices)) / speed
    return work / speed[network.device], enter, leave, start, limit[network.device]


def _memory(network: Network, limits_bytes: Floats) -> tuple[Floats, ...]:
    """What stays, shared groups that are sure, and what checkpoints take."""
    blocks, devices = network.blocks, network.blocks.problem.devices
    stages, fixed, kept = int(network.slot.max()) + 1, _fixed(network), np.array(blocks.kept_bytes, float)
    depth = np.array([stash_depth(blocks.problem.schedule, stages, s, s) for s in range(stages)][::-1])
    checkpoints = np.array(blocks.checkpoint_bytes)[network.block] * depth[network.slot]
    node = checkpoints + np.where(fixed >= 0, 0.0, kept)[network.block]
    base = np.array([device.base_bytes for device in devices], float)[network.device]
    enter = base[network.head] * (network.kind != STAY)
    sure = _by_device(fixed, kept, len(devices)) + _shared(blocks, fixed)
    limit = limits_bytes * (1 + MARGIN) - sure
    return node, enter, np.zeros(len(enter)), base, limit[network.device]


def _fixed(network: Network) -> Ints:
    """Per block: the only device it may be on, or -1."""
    low = np.full(len(network.blocks), len(network.blocks.problem.devices))
    high = np.full(len(network.blocks), -1)
    np.minimum.at(low, network.block, network.device)
    np.maximum.at(high, network.block, network.device)
    return np.where(low == high, low, -1)


def _by_device(fixed: Ints, values: Floats, devices: int) -> Floats:
    return np.bincount(fixed[fixed >= 0], values[fixed >= 0], devices).astype(float)


def _shared(blocks: Blocks, fixed: Ints) -> Floats:
    sure = np.zeros(len(blocks.problem.devices))
    for members, size in blocks.shared.items():
        for device in {int(fixed[member]) for member in members} - {-1}:
            sure[device] += size
    return sure
