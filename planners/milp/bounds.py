"""Bounds that need no search, for problems too large for any."""

from __future__ import annotations

from ..problem import Preference, Problem, Schedule
from .blocks import Blocks


def simple_bound(problem: Problem, blocks: Blocks) -> float:
    """No assignment has a lower leading criterion: what nothing avoids, spread perfectly, no block divided."""
    if problem.prefer is Preference.MEMORY:
        shared = sum(blocks.shared.values())
        return max(max(blocks.kept_bytes), -(-(sum(blocks.kept_bytes) + shared) // len(problem.devices)))
    fastest = max(device.speed for device in problem.devices)
    work = [us - saved for us, saved in zip(blocks.work_us, blocks.saved_us, strict=True)]
    if problem.schedule is Schedule.SHARDED:
        return sum(work) / fastest
    return max(sum(work) / sum(device.speed for device in problem.devices), max(work) / fastest)
