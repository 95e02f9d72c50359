"""One search for a graph, run by one or several planners at once: the best plan and the best bound of all.

Searches know nothing of each other. Each is a function of a :class:`Race`: it offers plans, raises the bound, and looks
at :attr:`Race.over` every few milliseconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..evaluate import TIE
from .blocks import Blocks
from .loads import lacks, load_us

Stages = tuple[tuple[int, tuple[int, ...]], ...]
"""(pool, blocks) of every stage, in order."""


class Race:
    """What is known so far of one problem. Safe to use from several threads."""

    def __init__(self, blocks: Blocks, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.blocks = blocks
        self._clock = clock
        self._until = clock() + seconds
        self._lock = threading.Lock()
        self._stopped = False
        self.stages: Stages | None = None
        self.value_us = float("inf")
        """Of ``stages``."""
        self.bound_us = 0.0
        """Proved: no plan that fits takes less. Infinite: none fits."""

    def offer(self, stages: Sequence[tuple[int, Sequence[int]]]) -> float:
        """Keep a plan where it is valid and better; its value, infinite where it does not fit. ValueError where it is
        none: blocks that are missing, double or out of order, pools that are unknown, or too many stages of one."""
        found = tuple((pool, tuple(sorted(blocks))) for pool, blocks in stages if blocks)
        _check(self.blocks, found)
        fits = not any(lacks(self.blocks, pool, chosen) for pool, chosen in found)
        value = max(load_us(self.blocks, pool, chosen) for pool, chosen in found) if fits else float("inf")
        with self._lock:
            if value < self.value_us:
                self.stages, self.value_us = found, value
        return value

    def prove(self, bound_us: float) -> None:
        """``inf``: nothing fits."""
        with self._lock:
            self.bound_us = max(self.bound_us, bound_us)

    @property
    def solved(self) -> bool:
        with self._lock:
            return self.bound_us >= self.value_us * (1 - TIE) or self.bound_us == float("inf")

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._until - self._clock())

    def stop(self) -> None:
        self._stopped = True

    @property
    def over(self) -> bool:
        """Solved, stopped, or out of time."""
        return self._stopped or self.seconds_left <= 0 or self.solved


def _check(blocks: Blocks, stages: Stages) -> None:
    home = {block: stage for stage, (_, chosen) in enumerate(stages) for block in chosen}
    if len(home) != len(blocks.members) or sum(len(chosen) for _, chosen in stages) != len(home):
        raise ValueError("a plan does not hold every block once")
    if any(home[early] > home[late] for early, late in blocks.before):
        raise ValueError("a plan runs a block before what it needs")
    if any(pool not in range(len(blocks.pools)) for pool, _ in stages):
        raise ValueError("a plan uses a pool that does not exist")
    for pool, devices in enumerate(blocks.pools):
        if sum(used == pool for used, _ in stages) > len(devices.devices):
            raise ValueError(f"a plan has more stages on pool {pool} than devices")
