"""One sweep below one limit, in batches short enough to look up in between."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from .needs import Needs
from .order import depth_first
from .rows import refill
from .scale import Scale, graph_of
from .sweep import sweep
from .tables import table_of, walk_of, with_slots
from .words import CUTOFF, DONE, FULL, NEVER, ROWS, STEP, STEPS

if TYPE_CHECKING:
    from ..graph.blocks import Blocks
    from ..graph.race import Race
    from .reduced import Reduction
    from .words import Words

BATCH_S = 0.02
FIRST_STEPS = 20_000
TIE = 4e-10
"""Relative: what a better plan must be better by, less than what counts as a tie."""


class Sweeping:
    """Of all plans whose loads are below the limit."""

    def __init__(self, race: Race, reduction: Reduction, limit_us: float, memory_bytes: int) -> None:
        self._race, self._reduction, blocks = race, reduction, reduction.blocks
        self._worst_us = worst_us(blocks) / 2
        self._order = depth_first(blocks)
        self._scale = Scale(limit_us, len(blocks.members) + len(blocks.tensors))
        self._graph = graph_of(blocks, self._scale, self._order)
        self._table = table_of(self._graph, memory_bytes)
        self._walk = walk_of(self._graph, self._scale.limit)
        self._needs = Needs(self._graph)
        self._found = NEVER

    @property
    def rows(self) -> int:
        """Ideals met so far."""
        return int(self._walk.registers[ROWS])

    @property
    def steps(self) -> int:
        return int(self._walk.registers[STEPS])

    def run(self, seconds: float = inf) -> bool:
        """Whether it came to its end, within so many seconds; then the limit, or the plan that was found, is proved."""
        steps, until = 1, inf
        while not self._race.over and (begun := time.perf_counter()) < until:
            needs = self._needs.within(int(self._walk.registers[CUTOFF]))
            stopped = sweep(self._graph, self._table, self._walk, needs, steps)
            now = time.perf_counter()
            until = now + seconds if steps == 1 else until  # the first call may compile
            steps = max(FIRST_STEPS, int(steps * min(2.0, BATCH_S / (now - begun))))
            self._offer()
            if stopped == DONE:
                self._prove()
                return True
            if stopped == FULL and not self._grow():
                return False
        return False

    def _offer(self) -> None:
        """The plan that was found, where it is better; and a lower limit, where a better plan is known."""
        at = self._walk.registers
        value = int(self._walk.plan[4])
        if value < self._found:
            self._found = value
            self._race.offer(self._reduction.expand(self._stages()))
        at[CUTOFF] = min(int(at[CUTOFF]), self._scale.clipped(self._race.value_us * (1 - TIE)))

    def _prove(self) -> None:
        """No plan is below the last limit; where any would have been, none fits."""
        cutoff = int(self._walk.registers[CUTOFF])
        bound_us = self._scale.us(cutoff)
        self._race.prove(inf if bound_us > self._worst_us else bound_us)

    def _stages(self) -> list[tuple[int, list[int]]]:
        """Of the best plan, from the last to the first along the parents."""
        row, state, pool, last = (int(number) for number in self._walk.plan[:4])
        bits, inside = self._table.bits, self._walk.plan_bits
        found = [(last, self._blocks(~inside))]
        if pool >= 0:
            found.append((pool, self._blocks(inside & ~bits[row])))
        while row:
            before, pool = divmod(int(self._table.parent[row, state]), len(self._graph.pools))
            found.append((pool, self._blocks(bits[row] & ~bits[before])))
            row, state = before, state - int(self._graph.pools[pool, STEP])
        return found[::-1]

    def _blocks(self, bits: Words) -> list[int]:
        inside = np.unpackbits(bits.view(np.uint8), count=len(self._order), bitorder="little")
        return [self._order[place] for place in np.flatnonzero(inside)]

    def _grow(self) -> bool:
        """More slots; false where the table has no free row."""
        if self.rows >= len(self._table.name):
            return False
        self._walk = with_slots(self._walk, 4 * len(self._walk.slots))
        refill(self._table, self._walk)
        return True


def worst_us(blocks: Blocks) -> float:
    """More than twice what any device can take."""
    times = np.where(np.isinf(work := np.array([pool.work_us for pool in blocks.pools])), 0.0, work).max(axis=0)
    return 1 + 3 * (float(times.sum()) + sum(price for _, price in blocks.tensors))
