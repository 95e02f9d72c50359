"""What no way can do better: bounds before any search."""

from __future__ import annotations

import numpy as np

from ..evaluate import TIE
from .blocks import Blocks


def cycle_bound_us(blocks: Blocks) -> float:
    """No way has a shorter cycle: work that nothing avoids, and cuts, spread perfectly; and no block is divided."""
    speeds = [device.speed for device in blocks.problem.devices]
    work = np.diff(blocks.floor_us)
    cut_us = blocks.least_cut_us if len(speeds) > 1 and not blocks.problem.allow_empty else 0.0
    spread = (float(blocks.floor_us[-1]) - 2 * max(speeds) * cut_us) / sum(speeds) + 2 * cut_us
    return max(spread, float(work.max()) / max(speeds), 0.0) * (1 - TIE)


def latency_bound_us(blocks: Blocks) -> float:
    """All work on the fastest device, and the cheapest cuts that give every device a stage.

    One cut more where the first device must hold a block with too few after it for all others.
    """
    devices = blocks.problem.devices
    cuts = 0 if blocks.problem.allow_empty else len(devices) - 1
    last = max((block for block, home in blocks.home.items() if home == 0), default=0)
    cuts += len(blocks) - 1 - last < cuts
    cheapest = np.sort(blocks.cut_us[1:-1])[:cuts].sum()
    return (float(blocks.floor_us[-1]) / max(device.speed for device in devices) + float(cheapest)) * (1 - TIE)


def peak_bound_bytes(blocks: Blocks) -> float:
    """Weights and code spread perfectly, and no block divided."""
    base = min(device.base_bytes for device in blocks.problem.devices)
    held = blocks.held_bytes
    return base + max(float(held[-1]) / len(blocks.problem.devices), float(np.diff(held).max()))
