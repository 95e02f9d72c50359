"""Times as whole numbers, rounded down: a plan never takes more in them than it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..graph.blocks import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINE = 2**42
"""Units of the longest time that matters."""
SHORT_US = 1e-200
"""Instead of nothing, where it is divided by."""
FLOATS = 1e-12
"""Relative; above the error of a sum of floats."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """``most`` is what no device may exceed; a block that takes longer on a pool cannot run there."""

    scale: float
    """Units of a microsecond."""
    least: int
    most: int
    work: tuple[tuple[int, ...], ...]
    """Per pool and block; ``most + 1`` where it takes longer."""
    prices: tuple[int, ...]
    """Per tensor, likewise."""

    @property
    def rounding(self) -> int:
        """A stage takes at most so much more than its whole numbers say."""
        return len(self.work[0]) + len(self.prices) + 1

    def bound_us(self, objective: int) -> float:
        """What every plan takes at least, where none has a lower whole number."""
        return objective / self.scale * (1 - FLOATS)


def numbers_of(blocks: Blocks, least_us: float, most_us: float) -> Numbers:
    """Every plan takes ``least_us`` or more; one that takes more than ``most_us`` is not wanted."""
    scale = FINE / max(most_us, SHORT_US)
    most = FINE + 8  # above the error of a sum of floats
    terms = len(blocks.members) + len(blocks.tensors) + 1
    return Numbers(
        scale=scale,
        least=min(FINE, max(0, int(least_us * scale * (1 - FLOATS)) - terms)),
        most=most,
        work=tuple(_whole(pool.work_us, scale, most) for pool in blocks.pools),
        prices=_whole(np.array([price for _, price in blocks.tensors]), scale, most),
    )


def longest_us(blocks: Blocks) -> float:
    """No stage takes more."""
    work = np.array([pool.work_us for pool in blocks.pools])
    return float(np.where(np.isinf(work), 0, work).max(axis=0).sum() + sum(price for _, price in blocks.tensors))


def _whole(times_us: NDArray[np.float64], scale: float, most: int) -> tuple[int, ...]:
    with np.errstate(over="ignore"):
        return tuple(np.minimum(np.floor(times_us * scale), most + 1).astype(np.int64).tolist())
