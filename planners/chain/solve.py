"""The phases: least lack of memory, then best objective, then the further criteria among the ties."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from ..evaluate import TIE
from ..problem import Schedule
from .blocks import Blocks
from .budgets import Budget, LatencyBudget, LoadBudget
from .cell import Cell
from .cells import Cells
from .lattice import Lattice
from .refine import Choice, Refinement, assignment_of
from .search import Search
from .skeleton import Skeleton
from .spans import Floats
from .sweep import LARGEST, TOTAL, Kind, Sweep

Criterion = Callable[[Cell], Floats]
"""A table of costs: finite where a segment is allowed."""


class OutOfBudgetError(Exception):
    """The time limit or the limit on skeletons is reached."""


@dataclass
class Incumbent:
    """The best value so far and every skeleton that reaches it. ``complete`` once nothing better can exist."""

    value: float = np.inf
    ties: dict[Skeleton, float] = field(default_factory=dict)
    complete: bool = False

    def offer(self, value: float, skeleton: Skeleton) -> None:
        if value < self.value:
            self.value = value
            self.ties = {s: v for s, v in self.ties.items() if v <= value * (1 + TIE)}
        if value < np.inf and value <= self.value * (1 + TIE):
            self.ties[skeleton] = value


class Solver:
    """One problem. ``tick`` is called per skeleton looked at and stops the search by :class:`OutOfBudgetError`."""

    def __init__(self, blocks: Blocks, tick: Callable[[], None]) -> None:
        self._blocks, self._tick, self._cells = blocks, tick, Cells(blocks)
        self._devices = blocks.problem.devices
        self._sharded = blocks.problem.schedule is Schedule.SHARDED
        self._kind = TOTAL if self._sharded else LARGEST

    def lack(self) -> Incumbent:
        """Least memory missing on the worst device; 0 or less as soon as an assignment fits. Nothing: contradiction."""
        best = Incumbent()
        budgets = [self._memory_budget(lambda: best.value)]

        def hopeless(skeleton: Skeleton) -> bool:
            return self._partial(skeleton, LARGEST, lambda cell: cell.lack_bytes) >= best.value

        def fits(skeleton: Skeleton) -> bool:
            value = self._whole(skeleton, LARGEST, lambda cell: cell.lack_bytes)
            if value < best.value:
                best.value, best.ties = value, {skeleton: value}
            return best.value <= 0

        self._exhaust(best, Search(self._blocks, budgets, hopeless).skeletons(), fits)
        return best

    def objective(self, seeds: Iterable[Skeleton]) -> Incumbent:
        """Least objective among the assignments that fit, and all skeletons that tie on it."""
        best = Incumbent()
        latency = LatencyBudget(self._blocks, lambda: best.value)
        time = latency if self._sharded else self._time_budget(lambda: best.value)

        def hopeless(skeleton: Skeleton) -> bool:
            least = self._partial(skeleton, self._kind, lambda cell: cell.least_us)
            return least + (latency.tail_us(skeleton) if self._sharded else 0.0) > best.value * (1 + TIE)

        def keep(skeleton: Skeleton) -> bool:
            best.offer(self._whole(skeleton, self._kind, lambda cell: cell.fitting_us), skeleton)
            return False

        for seed in seeds:
            keep(seed)
        search = Search(self._blocks, [self._memory_budget(lambda: 0.0), time], hopeless)
        self._exhaust(best, search.skeletons(), keep)
        return best

    def finish(self, best: Incumbent) -> tuple[int, ...]:
        """The assignment that the further criteria choose among the ties of an objective, as far as limits allow."""
        chosen: Choice | None = None
        try:
            for skeleton in best.ties:
                refinement = Refinement(skeleton, self._cells, self._kind, self._blocks.group_ends)
                chosen = refinement.improve(best.value, chosen)
                self._tick()
        except OutOfBudgetError:
            pass
        assert chosen is not None, "an objective was reached, so a skeleton reaches it"
        return assignment_of(self._blocks, chosen)

    def _exhaust(self, best: Incumbent, skeletons: Iterable[Skeleton], enough: Callable[[Skeleton], bool]) -> None:
        try:
            for skeleton in skeletons:
                self._tick()
                if enough(skeleton):
                    break
            best.complete = True
        except OutOfBudgetError:
            best.complete = False

    def _whole(self, skeleton: Skeleton, kind: Kind, criterion: Criterion) -> float:
        lattice = Lattice(skeleton, self._blocks.group_ends, skeleton.used)
        return self._value(lattice, len(self._blocks), kind, criterion)

    def _partial(self, skeleton: Skeleton, kind: Kind, criterion: Criterion) -> float:
        """Of the blocks up to the last return only, more returns being possible after it."""
        self._tick()
        last = skeleton.returns[-1]
        return self._value(Lattice(skeleton, self._blocks.group_ends, last.after), last.stop, kind, criterion)

    def _value(self, lattice: Lattice, horizon: int, kind: Kind, criterion: Criterion) -> float:
        skeleton = lattice.skeleton
        return Sweep(lattice, kind, lambda d, r: criterion(self._cells.cell(skeleton, d, r, horizon)), {}).best()

    def _memory_budget(self, lack: Callable[[], float]) -> Budget:
        room = [device.capacity_bytes - device.base_bytes for device in self._devices]
        held = self._blocks.measures.held_bytes.astype(float)
        return LoadBudget(self._blocks, held, lambda: [r + max(0.0, lack()) for r in room])

    def _time_budget(self, cycle_us: Callable[[], float]) -> Budget:
        floor_us = self._blocks.measures.floor_us
        return LoadBudget(self._blocks, floor_us, lambda: [cycle_us() * d.speed for d in self._devices])
