"""Makes cells: fills the tables of one device for one skeleton."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..problem import Device, Schedule
from ..stages import stash_depth
from .blocks import Blocks
from .cell import Cell
from .skeleton import Skeleton
from .spans import Bools, Floats, Ints, Rectangles, differences

KEPT_BYTES = 256 * 2**20
"""Roughly what the cells may take that are kept for the next skeletons."""
CELL_TABLES = 9
"""Tables of 8 bytes per span in a cell, with the derived ones."""


class Cells:
    """Makes cells, and keeps those that do not depend on the returns."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._most = KEPT_BYTES // (8 * CELL_TABLES * (len(blocks) + 1) ** 2) + 1
        self._kept: OrderedDict[object, Cell] = OrderedDict()

    def cell(self, skeleton: Skeleton, device: int, rank: int, horizon: int) -> Cell:
        """Blocks from ``horizon`` on may yet join any device by more returns: ties to them do not bind so far."""
        maker = CellMaker(self._blocks, skeleton, device, rank, horizon)
        if maker.returns:
            return maker.cell()
        if maker.key not in self._kept:
            self._kept[maker.key] = maker.cell()
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(maker.key)
        return self._kept[maker.key]


@dataclass(frozen=True)
class CellMaker:
    """One device as rank ``rank`` of a skeleton; what is known of its returns is added to every span."""

    blocks: Blocks
    skeleton: Skeleton
    index: int
    rank: int
    horizon: int

    @cached_property
    def device(self) -> Device:
        return self.blocks.problem.devices[self.index]

    @cached_property
    def returns(self) -> tuple[tuple[int, int, int], ...]:
        return self.skeleton.returns_to(self.index)

    @property
    def key(self) -> object:
        """All that a cell without returns depends on."""
        return self.device, self.strangers, self.depth(self.number), self.no_layers, tuple(self.ties)

    @cached_property
    def strangers(self) -> tuple[int, ...]:
        """Blocks that belong to another device."""
        return self.blocks.strangers[self.index]

    @cached_property
    def number(self) -> int:
        """Stage number of the first visit."""
        return self.skeleton.stage_of(self.rank)

    @cached_property
    def stage(self) -> Ints:
        """Per block: the stage number of the return that holds it, else -1."""
        stage = np.full(len(self.blocks), -1, np.int64)
        for start, stop, number in self.returns:
            stage[start:stop] = number
        return stage

    @cached_property
    def ties(self) -> list[tuple[int, ...]]:
        """Tied blocks below the horizon."""
        below = [tuple(m for m in members if m < self.horizon) for members in self.blocks.ties]
        return [members for members in below if members]

    @cached_property
    def no_layers(self) -> bool:
        """Sequential units here would step back when a later stage returns with some to an earlier device."""
        layers = self.blocks.measures.sequential
        return any(
            r.device < self.index and r.after > self.rank and layers[r.stop] > layers[r.start]
            for r in self.skeleton.returns
        )

    def depth(self, stage: int) -> int:
        """Of what is copied into a stage, or checkpointed there."""
        return stash_depth(self.blocks.problem.schedule, self.skeleton.stages, stage, stage)

    def spans(self) -> Rectangles:
        return Rectangles(len(self.blocks))

    def cell(self) -> Cell:
        received, sent = self.received(), self.sent()
        us_per_byte = self.blocks.problem.copy_us_per_byte
        return Cell(self.device, us_per_byte, self.legal(), self.work_us(), received, sent, self.memory())

    def work_us(self) -> Floats:
        table = self.blocks.measures.compute_us
        return (table + sum(float(table[start, stop]) for start, stop, _ in self.returns)) / self.device.speed

    def received(self) -> Ints:
        items, spans = self.blocks.copied, self.spans()
        visits = items.visits(self.stage)
        certain = items.size * (visits.read & ~visits.made)
        items.inside(spans, -certain, len(self.blocks))
        items.entering(spans, items.size * ~visits.read)
        return spans.table() + int(certain.sum())

    def sent(self) -> Ints:
        items, spans = self.blocks.copied, self.spans()
        if self.blocks.problem.schedule is Schedule.SHARDED:
            return spans.table()
        visits = items.visits(self.stage)
        items.inside(spans, items.size, visits.outside)
        return spans.table() + int((items.size * (visits.made & (visits.outside >= 0))).sum())

    def memory(self) -> Ints:
        held = self.device.base_bytes + self.sums(self.blocks.measures.held_bytes) + self.shared() + self.working()
        return held + self.checkpoints() + self.boundary()

    def sums(self, prefix: Ints) -> Ints:
        return differences(prefix) + sum(int(prefix[stop] - prefix[start]) for start, stop, _ in self.returns)

    def working(self) -> Ints:
        table = self.blocks.measures.working_bytes
        return np.maximum(table, max((table[start, stop] for start, stop, _ in self.returns), default=0))

    def shared(self) -> Ints:
        items, spans = self.blocks.shared, self.spans()
        visits = items.visits(self.stage)
        items.entering(spans, items.size * ~visits.read)
        return spans.table() + int((items.size * visits.read).sum())

    def checkpoints(self) -> Ints:
        prefix = self.blocks.measures.checkpoint_bytes
        returned = sum(int(prefix[stop] - prefix[start]) * self.depth(n) for start, stop, n in self.returns)
        return differences(prefix) * self.depth(self.number) + returned

    def boundary(self) -> Ints:
        """Stashed tensors that a stage here reads without making them."""
        items, spans = self.blocks.stashed, self.spans()
        visits = items.visits(self.stage)
        depth = _depths(self.blocks.problem.schedule, self.skeleton.stages)
        wanted = np.where(visits.read, visits.wanted, 0)
        entered = depth[wanted, wanted] * visits.read
        kept = depth[wanted, self.number] * visits.read
        returned = depth[wanted, visits.made_in] * visits.read
        items.inside(spans, items.size * (kept - entered), len(self.blocks))
        items.entering(spans, items.size * (depth[self.number, self.number] - entered))
        return spans.table() + int((items.size * np.where(visits.made, returned, entered)).sum())

    def legal(self) -> Bools:
        table = np.triu(np.ones((len(self.blocks) + 1,) * 2, bool), 1) & self.whole_ties() & self.reasons()
        table &= self.blocks.any_of(self.strangers) == 0
        if self.no_layers:
            table &= differences(self.blocks.measures.sequential) == 0
        if self.returns:
            table[:, self.returns[0][0]] = False  # the return would not be a stage of its own
        return table

    def whole_ties(self) -> Bools:
        """The device holds all of a tied group or nothing of it."""
        table = np.ones((len(self.blocks) + 1,) * 2, bool)
        for members in self.ties:
            rest = [m for m in members if self.stage[m] < 0]
            count = self.blocks.any_of(rest)
            table &= (count == len(rest)) | ((count == 0) & (len(rest) == len(members)))
        return table

    def reasons(self) -> Bools:
        """Each return holds a pinned unit, or one tied to a unit of an earlier stage of the device."""
        table = np.ones((len(self.blocks) + 1,) * 2, bool)
        for start, stop, _ in self.returns:
            if self.index in self.blocks.pinned[start:stop]:
                continue
            partners = [ms for ms in self.blocks.ties if any(start <= m < stop for m in ms)]
            earlier = {m for members in partners for m in members if m < start}
            if not any(self.stage[m] >= 0 for m in earlier):
                table &= self.blocks.any_of(earlier) > 0
        return table


@lru_cache(maxsize=256)
def _depths(schedule: Schedule, stages: int) -> Ints:
    """``stash_depth`` for every reader and holder."""
    numbers = range(stages)
    return np.array([[stash_depth(schedule, stages, r, h) for h in numbers] for r in numbers], np.int64)
