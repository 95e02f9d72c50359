"""Which block is at which position: the order form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..graph.blocks import Blocks
from .numbers import SHORT_US
from .program import ALWAYS, NEVER, Program, Term

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONG_US = 1e300
"""Instead of what is infinite."""
SLACK = 1 + 1e-9
"""More than the error of a sum of floats."""


class Places:
    """``reached[block][position]``, up to one past the last position: the block is there or later."""

    def __init__(self, program: Program, blocks: Blocks, positions: int, most_us: float) -> None:
        self.program, self.positions = program, positions
        self.needs = ancestors(blocks)
        first = stages_needed(blocks, self.needs, most_us) - 1
        last = positions - stages_needed(blocks, self.needs.T, most_us)
        self.reached = [self._columns(low, high) for low, high in zip(first.tolist(), last.tolist(), strict=True)]
        for columns in self.reached:
            for position in range(1, positions - 1):
                program.row([(1, columns[position + 1]), (-1, columns[position])], 0)
        for early, late in blocks.before:
            for position in range(1, positions):
                program.row([(1, self.reached[early][position]), (-1, self.reached[late][position])], 0)

    def here(self, block: int, position: int) -> list[Term]:
        """1 where the block is at the position."""
        return [(1, self.reached[block][position]), (-1, self.reached[block][position + 1])]

    def possible(self, block: int, position: int) -> bool:
        return self.reached[block][position] != NEVER and self.reached[block][position + 1] != ALWAYS

    def first_of(self, touched: Sequence[int]) -> int | None:
        """The block that all others of these need, if there is one."""
        return touched[0] if self.needs[list(touched), touched[0]].all() else None

    def last_of(self, touched: Sequence[int]) -> int | None:
        """The block that needs all others of these, if there is one."""
        return touched[-1] if self.needs[touched[-1], list(touched)].all() else None

    def _columns(self, first: int, last: int) -> list[int]:
        sure, open_ = min(first, self.positions - 1), max(min(last, self.positions - 1), 0)
        return [
            ALWAYS if position <= sure else NEVER if position > open_ else self.program.binary()
            for position in range(self.positions + 1)
        ]


def ancestors(blocks: Blocks) -> NDArray[np.bool_]:
    """``[late, early]``: whether a block needs another, itself included."""
    found = np.eye(len(blocks.members), dtype=bool)
    for early, late in sorted(blocks.before, key=lambda pair: pair[1]):
        found[late] |= found[early]
    return found


def stages_needed(blocks: Blocks, needs: NDArray[np.bool_], most_us: float) -> NDArray[np.int64]:
    """Per block the least number of stages, none above ``most_us``, for it and all it needs (or, transposed, all that
    need it)."""
    work = np.minimum(np.array([pool.work_us for pool in blocks.pools]).min(axis=0), LONG_US)
    with np.errstate(over="ignore"):
        found = _up(needs @ work / max(most_us * SLACK, SHORT_US))
    capacities = [pool.capacity for pool in blocks.pools if pool.capacity is not None]
    if len(capacities) == len(blocks.pools) and max(capacities) > 0:
        found = np.maximum(found, _up(needs @ blocks.bytes.astype(float) / (max(capacities) * SLACK)))
    return found


def _up(stages: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.maximum(1, np.ceil(np.minimum(stages, 2**31))).astype(np.int64)
