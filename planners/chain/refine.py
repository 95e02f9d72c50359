"""The further criteria: among the ways that tie on the objective, the best by memory, copies, evenness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluate import TIE
from .blocks import Blocks
from .cell import Cell
from .cells import Cells
from .lattice import Lattice, State, Take
from .skeleton import Skeleton
from .spans import Bools, Floats, Ints
from .sweep import LARGEST, TOTAL, Kind, Sweep


@dataclass(frozen=True, slots=True)
class Choice:
    """The best way of a skeleton and its further criteria."""

    skeleton: Skeleton
    segments: Mapping[int, tuple[int, int]]
    peak_bytes: float
    copied_bytes: float
    evenness: float

    def beaten_by(self, peak_bytes: float, copied_bytes: float, evenness: float) -> bool:
        mine, other = (self.peak_bytes, self.copied_bytes), (peak_bytes, copied_bytes)
        return other < mine or (other == mine and evenness * (1 + TIE) < self.evenness)


class Refinement:
    """Narrows the spans that each device may take, one criterion after the other."""

    def __init__(self, skeleton: Skeleton, cells: Cells, kind: Kind, group_ends: Sequence[int]) -> None:
        self._lattice, self._kind = Lattice(skeleton, group_ends, skeleton.used), kind
        blocks = skeleton.blocks
        self._cells = {take: cells.cell(skeleton, *take, blocks) for take in self._lattice.all_takes()}
        self._spans: dict[Take, Bools] = {take: cell.fitting for take, cell in self._cells.items()}
        self._closed: dict[State, Bools] = {}

    def improve(self, objective_us: float, chosen: Choice | None) -> Choice | None:
        """``chosen``, or this skeleton's best way where it is better."""
        self._narrow(self._sweep(self._kind, lambda cell: cell.time_us), objective_us * (1 + TIE))
        peak = self._optimum(LARGEST, lambda cell: cell.memory_bytes)
        if chosen is not None and peak > chosen.peak_bytes:
            return chosen
        copied = self._optimum(TOTAL, lambda cell: cell.received_bytes)
        last = self._sweep(TOTAL, lambda cell: cell.time_us**2)
        evenness = last.best()
        if chosen is None or chosen.beaten_by(peak, copied, evenness):
            return Choice(self._lattice.skeleton, last.path(), peak, copied, evenness)
        return chosen

    def _optimum(self, kind: Kind, criterion: Callable[[Cell], Ints | Floats]) -> float:
        sweep = self._sweep(kind, criterion)
        value = sweep.best()
        self._narrow(sweep, value)
        return value

    def _sweep(self, kind: Kind, criterion: Callable[[Cell], Ints | Floats]) -> Sweep:
        spans = self._spans
        tables: dict[Take, Floats] = {
            take: np.where(spans[take], criterion(self._cells[take]), np.inf) for take in spans
        }
        nowhere = np.full((self._lattice.skeleton.blocks + 1,) * 2, np.inf)
        return Sweep(self._lattice, kind, lambda device, rank: tables.get((device, rank), nowhere), self._closed)

    def _narrow(self, sweep: Sweep, limit: float) -> None:
        self._spans, self._closed = sweep.narrow(limit)


def assignment_of(blocks: Blocks, choice: Choice) -> tuple[int, ...]:
    """Device per unit."""
    stages = [(start, stop, device) for device, (start, stop) in choice.segments.items()]
    stages += [(r.start, r.stop, r.device) for r in choice.skeleton.returns]
    edges = [int(edge) for edge in blocks.edges]
    return tuple(device for start, stop, device in sorted(stages) for _ in range(edges[start], edges[stop]))
