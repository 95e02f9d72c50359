"""Vectors of dynamic programming: the best value of all from a block on, for each block that may begin a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from .spans import Bools, Floats, Ints

Number = TypeVar("Number", np.int64, np.float64)
ROUNDING = 1e-12
"""Totals of times that differ by less, relatively, are one: they are sums in another order."""


class Component(NamedTuple):
    """One criterion: a table of ``Costs`` and how the devices' numbers become one."""

    table: str
    total: bool
    """Sum over the devices, else the largest."""

    @property
    def nothing(self) -> float:
        return 0.0 if self.total else -np.inf

    def join(self, cost: Floats, value: Floats) -> Floats:
        joined: Floats = cost + value if self.total else np.maximum(cost, value)
        return joined


Goal = tuple[Component, ...]
"""Criteria in order. Only the last may be other than a total; see ``phases``."""


class Start(NamedTuple):
    """The layer a branch begins with: row ``r`` continues row ``rows[r]`` of ``layer`` at block ``at[r]``."""

    layer: Layer
    rows: Sequence[int]
    at: Sequence[int]


class Taken(NamedTuple):
    """``device`` took the span from this block to ``stops[row, block]`` in front of ``source``."""

    source: Layer
    device: int
    stops: Ints


class Merged(NamedTuple):
    """``second`` where ``other``, else ``first``."""

    first: Layer
    second: Layer
    other: Bools


@dataclass(frozen=True, eq=False)
class Layer:
    """Values ``[row, block - low]`` per criterion, infinite where nothing is possible. A row is one set of returns."""

    low: int
    values: tuple[Floats, ...]
    origin: Start | Taken | Merged | None
    at: Ints | None = None
    """Per row the only block, where there is but one."""

    @property
    def high(self) -> int:
        return self.low + int(self.values[0].shape[1]) - 1

    def finite(self) -> Bools:
        finite: Bools = np.isfinite(self.values[0]) | (self.values[0] == -np.inf)
        return finite


def chosen(goal: Goal, joined: Sequence[Floats]) -> tuple[Ints, tuple[Floats, ...]]:
    """Along the last axis: index and values of the best by the criteria in order."""
    if len(goal) == 1:
        return joined[0].argmin(axis=-1), (joined[0].min(axis=-1),)
    candidates = joined[0]
    for component, column, following in zip(goal, joined, joined[1:], strict=False):
        best = candidates.min(axis=-1, keepdims=True)
        slack = np.where(np.isfinite(best), np.abs(best) * ROUNDING, 0.0) if component.table == "time_us" else 0.0
        candidates = np.where((column <= best + slack) & np.isfinite(candidates), following, np.inf)
    index = candidates.argmin(axis=-1)
    values = tuple(np.take_along_axis(column, index[..., None], axis=-1)[..., 0] for column in joined)
    return index, values


def better(goal: Goal, new: Sequence[Floats], old: Sequence[Floats]) -> Bools:
    """Where the new values come before the old ones."""
    less, equal = np.zeros(new[0].shape, bool), np.ones(new[0].shape, bool)
    for component, mine, other in zip(goal, new, old, strict=True):
        slack = np.abs(other) * ROUNDING if component.table == "time_us" else 0.0
        with np.errstate(invalid="ignore"):
            lower = other - slack
        lower = np.where(np.isfinite(other), lower, other)
        less |= equal & (mine < lower)
        equal &= ~(mine < lower) & ~(mine > other + slack)
    return less


def merged(goal: Goal, first: Layer, second: Layer | None) -> Layer:
    """The better of two at every row and block."""
    if second is None:
        return first
    low, high = min(first.low, second.low), max(first.high, second.high)
    wide = [[widened(value, layer.low - low, high - layer.high) for value in layer.values] for layer in (first, second)]
    other = better(goal, wide[1], wide[0])
    values = tuple(np.where(other, b, a) for a, b in zip(*wide, strict=True))
    return Layer(low, values, Merged(first, second, other))


def widened(value: npt.NDArray[Number], before: int, after: int, fill: float = np.inf) -> npt.NDArray[Number]:
    """``[row, block]`` with blocks more on either side."""
    rows, width = value.shape
    wide = np.full((rows, before + width + after), fill, value.dtype)
    wide[:, before : before + width] = value
    return wide


def segments_of(layer: Layer, row: int, block: int) -> dict[int, tuple[int, int]]:
    """Device to its first visit, of one best way from the block on."""
    found: dict[int, tuple[int, int]] = {}
    while layer.origin is not None:
        origin = layer.origin
        if isinstance(origin, Merged):
            layer = origin.second if origin.other[row, block - layer.low] else origin.first
        elif isinstance(origin, Taken):
            stop = int(origin.stops[row, block - layer.low])
            found[origin.device] = block, stop
            layer, block = origin.source, stop
        else:
            layer, row, block = origin.layer, origin.rows[row], origin.at[row]
    return found
