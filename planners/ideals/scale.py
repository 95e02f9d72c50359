"""Blocks as arrays of integers.

Times are counted in units so small that what is rounded away, always down, is less than 1e-10 of the limit for up to
some 10,000 blocks and tensors; so what is proved of the integers is true of the times. A time of the limit or more is
as bad as the limit, and counted as such: then no sum can overflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import frexp, isfinite, ldexp, prod
from typing import TYPE_CHECKING

import numpy as np

from .needs import bounds_of
from .words import NEVER, Graph

if TYPE_CHECKING:
    from ..graph.blocks import Blocks
    from .words import Ints, Small

BITS = 60
SEED = 20061642


class Scale:
    """Microseconds as integers and back."""

    def __init__(self, limit_us: float, terms: int) -> None:
        self._shift = BITS - (terms + 4).bit_length() - frexp(limit_us)[1]
        self.limit = self.units(limit_us)

    def units(self, us: float) -> int:
        """Rounded down."""
        return int(ldexp(us, self._shift))

    def clipped(self, us: float) -> int:
        return min(self.units(us), self.limit) if isfinite(us) else self.limit

    def us(self, units: int) -> float:
        """Rounded down."""
        return ldexp(units, -self._shift) * (1 - 2**-52)


def graph_of(blocks: Blocks, scale: Scale, order: Sequence[int]) -> Graph:
    """Blocks numbered by their place in ``order``."""
    place = np.argsort(np.array(order))
    count = len(order)
    work = np.array([[scale.clipped(us) for us in pool.work_us[list(order)]] for pool in blocks.pools], np.int64)
    price = [scale.clipped(us) for _, us in blocks.tensors]
    tensors = [place[list(touched)].tolist() for touched, _ in blocks.tensors]
    groups = [place[list(members)].tolist() for members, _ in blocks.groups]
    after: list[list[int]] = [[] for _ in order]
    for first, then in blocks.before:
        after[place[first]].append(int(place[then]))
    bounds = bounds_of(blocks, work, scale.limit, order)
    columns = np.ascontiguousarray(np.vstack([work, *(bound.weight for bound in bounds), blocks.bytes[list(order)]]).T)
    lists = [_inverse(tensors, count), _inverse(groups, count)]
    (late_at, late), (tensors_at, entries), (groups_at, members) = (_lists(rows) for rows in (after, *lists))
    counts = [len(pool.devices) for pool in blocks.pools]
    room = [NEVER if pool.capacity is None else pool.capacity for pool in blocks.pools]
    return Graph(
        columns=columns,
        above=_above(columns[:, len(counts) : -1], after),
        total=columns.sum(axis=0),
        names=np.random.default_rng(SEED).integers(0, 2**64, count, np.uint64),
        starts=np.ascontiguousarray(np.array([late_at, tensors_at, groups_at], np.int32).T),
        late=late,
        tensors=entries,
        groups=members,
        early=np.bincount(late, minlength=count).astype(np.int32),
        prices=np.array([(p, len(t)) for p, t in zip(price, tensors, strict=True)], np.int64).reshape(-1, 2),
        shares=np.array([(size, len(held)) for held, size in blocks.groups], np.int64).reshape(-1, 2),
        pools=np.array([(p.pays, r, s) for p, r, s in zip(blocks.pools, room, _step(counts), strict=True)], np.int64),
        left=np.array([(*row, sum(row)) for row in product(*(range(c, -1, -1) for c in counts))], np.int32),
        crosses=np.array([bound.crosses for bound in bounds], np.int64),
    )


def _lists(rows: Sequence[Sequence[int]]) -> tuple[Small, Small]:
    starts = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    return starts, np.array([entry for row in rows for entry in row], np.int32)


def _inverse(rows: Sequence[Iterable[int]], count: int) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(count)]
    for index, row in enumerate(rows):
        for entry in row:
            found[entry].append(index)
    return found


def _step(counts: Sequence[int]) -> list[int]:
    return [prod(count + 1 for count in counts[pool + 1 :]) for pool in range(len(counts))]


def _above(weight: Ints, after: Sequence[Sequence[int]]) -> Ints:
    beyond: list[int] = [0] * len(after)
    found = np.zeros_like(weight)
    for block in range(len(after) - 1, -1, -1):
        beyond[block] = 1 << block
        for late in after[block]:
            beyond[block] |= beyond[late]
        mask = np.frombuffer(beyond[block].to_bytes(len(after) // 8 + 1, "little"), np.uint8)
        found[block] = weight[np.unpackbits(mask, count=len(after), bitorder="little").astype(bool)].sum(axis=0)
    return found
