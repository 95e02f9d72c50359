"""What no plan can beat, without a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .blocks import Blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDING = 1e-12
"""Relative; more than sums of 100,000 numbers in double precision are off."""
STEPS = 60


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the time of devices, of which all devices together have 1, and what blocks cost at least at them.

    A device that works for ``T`` does at most ``T`` times its price of the blocks' weights, whichever they are; so
    every plan takes at least the sum of all weights (duality of the linear program that parts blocks at will).
    """

    device: NDArray[np.float64]
    """Of one device, per pool."""
    weight_us: NDArray[np.float64]
    """Per block."""

    @property
    def bound_us(self) -> float:
        return float(self.weight_us.sum()) * (1 - ROUNDING)


def prices_of(blocks: Blocks) -> Prices:
    """The best that some subgradient steps find; every block runs somewhere."""
    counts = np.array([len(pool.devices) for pool in blocks.pools], float)
    work = np.array([pool.work_us for pool in blocks.pools])
    shares = counts / counts.sum()
    best = None
    for step in range(STEPS):
        found, used = _priced(work, counts, shares)
        if best is None or found.bound_us > best.bound_us:
            best = found
        if not found.bound_us:
            break
        shares = shares * np.exp(np.clip(used / found.bound_us - 1, -1, 1) / (1 + step) ** 0.5)
        shares /= shares.sum()
    assert best is not None
    return best


def work_bound_us(blocks: Blocks) -> float:
    """Work alone, shared out as if it could be parted at will, and the longest block; infinite where one runs
    nowhere."""
    least = float(np.array([pool.work_us for pool in blocks.pools]).min(axis=0).max())
    return least if np.isinf(least) else max(prices_of(blocks).bound_us, least * (1 - ROUNDING))


def _priced(
    work: NDArray[np.float64], counts: NDArray[np.float64], shares: NDArray[np.float64]
) -> tuple[Prices, NDArray[np.float64]]:
    """Prices that give each pool its share of the whole, and how long its devices would work on what they are cheapest
    for."""
    prices = shares / counts
    with np.errstate(invalid="ignore"):  # a price may vanish
        priced = np.where(np.isinf(work), np.inf, work * prices[:, None])
    chosen = priced.argmin(axis=0)
    columns = np.arange(work.shape[1])
    used = np.bincount(chosen, weights=work[chosen, columns], minlength=len(counts)) / counts
    return Prices(prices, priced[chosen, columns]), used
