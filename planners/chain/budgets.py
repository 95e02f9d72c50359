"""Cheap tests that discard skeletons before any dynamic programming: what returns cost at least."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from .blocks import Blocks
from .skeleton import Skeleton
from .spans import Bools, Floats, differences

SLACK = 1e-9
"""Relative room for rounding: sums over spans are differences of prefix sums."""


class Budget(Protocol):
    """``spans`` tells for many next returns at once what ``admits`` tells better for one."""

    def spans(self, skeleton: Skeleton, device: int) -> Bools:
        """Table of the spans that may return to ``device`` next."""

    def admits(self, skeleton: Skeleton) -> bool:
        """Whether the skeleton, admitted without its last return, may do with it."""


class LoadBudget:
    """No device may carry more than its limit: of time where pipelined, of memory always."""

    def __init__(self, blocks: Blocks, carried: Floats, limits: Callable[[], Sequence[float]]) -> None:
        """``carried``: up to each edge, what any device must carry. ``limits``: per device, read at each test."""
        self._blocks, self._carried, self._limits = blocks, carried, limits
        self._spans = differences(carried)
        self._layers = np.concatenate([[0.0], np.cumsum(_of_layers(blocks, carried))])
        self._has_layers = differences(blocks.measures.sequential) > 0

    def spans(self, skeleton: Skeleton, device: int) -> Bools:
        """Sequential units before a return that holds some are all on its device or lower ones."""
        limits = np.array(self._limits()) * (1 + SLACK)
        taken = sum(float(self._spans[start, stop]) for start, stop, _ in skeleton.returns_to(device))
        low = self._layers <= np.maximum(limits[: device + 1], 0.0).sum()
        fits: Bools = (self._spans + taken <= limits[device]) & (low[:, None] | ~self._has_layers)
        return fits

    def admits(self, skeleton: Skeleton) -> bool:
        """As ``spans``; and what lies before and after the return fits the devices first visited before and after."""
        limits = [limit * (1 + SLACK) for limit in self._limits()]
        if not skeleton.returns:
            return bool(self._carried[-1] <= skeleton.used * max(limits))
        last = skeleton.returns[-1]
        returned = sum(float(self._spans[start, stop]) for start, stop, _ in skeleton.returns_to(last.device))
        if returned > limits[last.device] or self._carried[last.stop] > last.after * max(limits):
            return False
        later = skeleton.used - last.after
        if later == 0 or self._blocks.may_return_after(last.stop):
            return True
        return bool(self._carried[-1] - self._carried[last.stop] <= later * max(limits))


class LatencyBudget:
    """Sharded, where a stage begins, at least what is made just before and read just after is copied."""

    def __init__(self, blocks: Blocks, limit: Callable[[], float]) -> None:
        problem = blocks.problem
        self._limit, self._blocks = limit, blocks
        self._cuts = blocks.cut_bytes * problem.copy_us_per_byte
        self._order = [1 + int(edge) for edge in np.argsort(self._cuts[1:-1], kind="stable")]
        self._fastest = max(device.speed for device in problem.devices)

    def cheapest_us(self, count: int, known: Collection[int]) -> float:
        """The cheapest ``count`` cuts beside the known ones."""
        others = (edge for edge in self._order if edge not in known)
        return float(sum(self._cuts[edge] for edge in islice(others, max(0, count))))

    def least_us(self, skeleton: Skeleton) -> float:
        """Latency that no assignment of this skeleton, or of one with more returns, goes below."""
        known = _cuts_of(skeleton)
        work_us = float(self._blocks.measures.floor_us[-1]) / self._fastest
        others_us = self.cheapest_us(skeleton.stages - 1 - len(known), known)
        return work_us + others_us + float(sum(self._cuts[edge] for edge in known))

    def tail_us(self, skeleton: Skeleton) -> float:
        """What at least is added after the last return."""
        last = skeleton.returns[-1]
        work_us = float(self._blocks.measures.floor_us[-1] - self._blocks.measures.floor_us[last.stop]) / self._fastest
        return work_us + self.cheapest_us(skeleton.used - last.after, range(last.stop))

    def spans(self, skeleton: Skeleton, device: int) -> Bools:
        known = _cuts_of(skeleton)
        more = skeleton.stages - len(known)
        settled, one = (self.cheapest_us(count, known) for count in (more - 2, more - 1))
        start, stop = self._cuts.copy(), self._cuts.copy()
        start[known] = stop[-1] = one - settled  # no new cut: another one takes its place
        rest_us = self.least_us(skeleton) - one + settled
        fits: Bools = start[:, None] + stop[None, :] + rest_us <= self._limit() * (1 + SLACK)
        return fits

    def admits(self, skeleton: Skeleton) -> bool:
        return self.least_us(skeleton) <= self._limit() * (1 + SLACK)


def _cuts_of(skeleton: Skeleton) -> list[int]:
    """Edges where a return or the stage after it begins, ascending."""
    edges = {edge for r in skeleton.returns for edge in (r.start, r.stop)}
    return sorted(edges - {skeleton.blocks})


def _of_layers(blocks: Blocks, carried: Floats) -> Floats:
    """Per block: what its sequential units carry; 0 where it also holds others, to stay on the safe side."""
    units = np.diff(blocks.edges)
    return np.where(np.diff(blocks.measures.sequential) == units, np.diff(carried), 0.0)
