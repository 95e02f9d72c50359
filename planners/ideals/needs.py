"""Bounds on what devices can take, whatever the stages.

A bound gives every block a weight. A device that holds blocks within the time limit and its memory holds at most so
much weight; the most is a knapsack, and easily bounded by filling it in order of weight per time (or byte), the last
item in part. So an ideal needs at least the whole weight less the most that the devices left can hold. Where the weight
is the work in a pool that pays, prices of tensors that leave the ideal count too: each is paid again by a device after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .words import CAPACITY, PAYS, PRICE, TENSORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..graph.blocks import Blocks
    from .words import Graph, Ints

    Floats = NDArray[np.float64]

ROUNDING = 1e-11
"""Relative; of sums in double precision over the blocks of a graph."""


@dataclass(frozen=True, slots=True)
class Bound:
    weight: Ints
    """Per block."""
    crosses: bool
    """Whether prices of tensors that leave an ideal count."""


def bounds_of(blocks: Blocks, work: Ints, limit: int, order: Sequence[int]) -> list[Bound]:
    """Of the work in every pool, where what cannot run there weighs nothing, with prices and without; and the bytes."""
    mixed = len({pool.pays for pool in blocks.pools}) > 1
    found = []
    for row, pool in zip(work, blocks.pools, strict=True):
        weight = np.where(row < limit, row, 0)
        found += [Bound(weight, crosses) for crosses in {pool.pays, pool.pays and not mixed}]
    if any(pool.capacity is not None for pool in blocks.pools):
        found.append(Bound(blocks.bytes[list(order)], False))
    return found


class Needs:
    """The least weight that an ideal needs, by state and bound."""

    def __init__(self, graph: Graph) -> None:
        self._left = graph.left[:, :-1]
        pools = range(len(graph.pools))
        self._total = graph.total[len(pools) : -1]
        self._most = self._total + graph.crosses * graph.prices[:, PRICE].sum()
        self._fills = [[_Fills(graph, bound, pool) for pool in pools] for bound in range(len(graph.crosses))]

    def within(self, limit: int) -> Ints:
        """For plans with loads below the limit."""
        most = np.array([[fills.most(limit) for fills in row] for row in self._fills])
        room = np.minimum(np.ceil(self._left @ most.T * (1 + ROUNDING)), self._most)
        needs: Ints = np.where(room >= self._most, self._total - self._most, self._total - room.astype(np.int64))
        return needs


class _Fills:
    """The most weight of a bound on one device of a pool."""

    def __init__(self, graph: Graph, bound: int, pool: int) -> None:
        pays, capacity, pools = bool(graph.pools[pool, PAYS]), float(graph.pools[pool, CAPACITY]), len(graph.pools)
        work, weight = graph.columns[:, pool], graph.columns[:, pools + bound].astype(np.float64)
        prices = graph.prices[:, PRICE] * graph.crosses[bound].astype(np.float64)
        value = np.concatenate([weight, prices] if pays else [weight + _of_blocks(graph, prices), 0 * prices])
        self._time = _Fill(value, np.concatenate([work, graph.prices[:, PRICE]]).astype(np.float64))
        size = np.concatenate([graph.columns[:, -1], np.zeros_like(graph.prices[:, PRICE])]).astype(np.float64)
        self._memory = _Fill(value, size).most(capacity)

    def most(self, limit: int) -> float:
        return min(self._memory, self._time.most(float(limit)))


class _Fill:
    def __init__(self, value: Floats, cost: Floats) -> None:
        self._free = float(value[cost <= 0].sum())
        value, cost = value[cost > 0], cost[cost > 0]
        order = np.argsort(-value / cost, kind="stable")
        self._value = np.concatenate([[0.0], np.cumsum(value[order])])
        self._cost = np.concatenate([[0.0], np.cumsum(cost[order])])

    def most(self, room: float) -> float:
        return self._free + float(np.interp(room, self._cost, self._value))


def _of_blocks(graph: Graph, prices: Floats) -> Floats:
    """Per block the prices of its tensors."""
    owner = np.repeat(np.arange(len(graph.early)), np.diff(graph.starts[:, TENSORS]))
    return np.bincount(owner, prices[graph.tensors], len(graph.early)).astype(np.float64)
