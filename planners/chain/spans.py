"""Tables over all spans ``[start, stop)`` of blocks at once.

A table is an ``(n+1, n+1)`` array indexed ``[start, stop]``; entries with ``start > stop`` mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.float64)
Bound = Ints | int


def differences(prefix: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Table of ``prefix[stop] - prefix[start]``, from sums up to each edge."""
    table: npt.NDArray[Number] = prefix[None, :] - prefix[:, None]
    return table


class Rectangles:
    """Sums of weights over rectangles of spans: starts in one range, stops in another."""

    def __init__(self, blocks: int) -> None:
        self._difference = np.zeros((blocks + 2, blocks + 2), np.int64)

    def add(self, start: tuple[Bound, Bound], stop: tuple[Bound, Bound], weight: Ints) -> None:
        """Bounds are half open and may be arrays as long as ``weight``; an empty range adds nothing."""
        for row, row_sign in zip(start, (1, -1), strict=True):
            for column, column_sign in zip(stop, (1, -1), strict=True):
                corner: Any = (row, column)
                np.add.at(self._difference, corner, row_sign * column_sign * weight)

    def table(self) -> Ints:
        sums: Ints = self._difference[:-1, :-1].cumsum(axis=0)
        return sums.cumsum(axis=1, out=sums)


@dataclass(frozen=True, slots=True)
class Items:
    """Things that a block makes and later ones want, in flat arrays: tensors, or shared groups that nobody makes."""

    blocks: int
    size: Ints
    source: Ints
    """Per item; -1 where no block makes it."""
    item: Ints
    """Per pair of item and reading block, readers ascending."""
    reader: Ints
    previous: Ints
    """Per pair: the reader before this one, or the source."""

    @classmethod
    def of(cls, blocks: int, items: Iterable[tuple[int, Sequence[int], int]]) -> Items:
        """From (source, ascending readers after the source, size)."""
        kept = [(source, tuple(readers), size) for source, readers, size in items if readers]
        pairs = [
            (number, reader, previous)
            for number, (source, readers, _) in enumerate(kept)
            for reader, previous in zip(readers, (source, *readers), strict=False)
        ]
        item, reader, previous = (np.array([p[k] for p in pairs], np.int64) for k in range(3))
        size, source = (np.array([k[column] for k in kept], np.int64) for column in (2, 0))
        return cls(blocks, size, source, item, reader, previous)

    def entering(self, into: Rectangles, weight: Ints) -> None:
        """``weight`` per item on all spans that read it and do not hold its source."""
        into.add((self.previous + 1, self.reader + 1), (self.reader + 1, self.blocks + 1), weight[self.item])

    def inside(self, into: Rectangles, weight: Ints, until: Ints | int) -> None:
        """``weight`` per item on all spans that hold its source and stop at ``until`` or before."""
        stop = self.source + 1
        into.add((0, stop), (stop, np.maximum(stop, until + 1)), weight)

    def visits(self, stage: Ints) -> Visits:
        """``stage`` is, per block, the number of the device's return that holds it, else -1."""
        made_in = np.where(self.source >= 0, stage[self.source], -1)
        here = stage[self.reader]
        wanted = np.full(len(self.size), NEVER, np.int64)
        other = (here >= 0) & (here != made_in[self.item])
        np.minimum.at(wanted, self.item[other], here[other])
        outside = np.full(len(self.size), -1, np.int64)
        np.maximum.at(outside, self.item[here < 0], self.reader[here < 0])
        return Visits(made_in, wanted, outside)


NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Visits:
    """How the returns of one device meet some items; all per item."""

    made_in: Ints
    """Stage number of the return that makes it, else -1."""
    wanted: Ints
    """Stage number of the earliest return that reads and does not make it, else ``NEVER``."""
    outside: Ints
    """Last reading block that is in no return of this device, else -1."""

    @property
    def read(self) -> Bools:
        return self.wanted < NEVER

    @property
    def made(self) -> Bools:
        return self.made_in >= 0
