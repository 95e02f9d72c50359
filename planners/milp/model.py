"""A mixed-integer program being written: columns, rows, and linear expressions over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

MOST_ENTRIES = 3_000_000


class TooLargeError(Exception):
    """The model is larger than can be solved in any time that one would wait."""


Expression = dict[int, float]
"""Coefficient of every column in it."""
Part = tuple[Expression, float]
"""An expression, and the bytes that 1 of it stands for."""


def total(parts: Iterable[tuple[Mapping[int, float], float]]) -> Expression:
    """The sum of expressions times factors."""
    result: Expression = {}
    for expression, factor in parts:
        for column, value in expression.items():
            result[column] = result.get(column, 0.0) + value * factor
    return result


@dataclass(frozen=True, slots=True)
class Units:
    """What 1 stands for in the model, so that its numbers are neither tiny nor huge."""

    us: float
    bytes: float
    """Of memory."""
    moved_bytes: float


@dataclass
class Model:
    """Columns and rows, for a solver to minimise ``objective``."""

    tick: Callable[[], None]
    """Called now and then while it is written; raises where time is up."""
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    binaries: int = 0
    """The first columns are 0 or 1."""
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    objective: Expression = field(default_factory=dict)

    def column(self, lower: float = 0.0, upper: float = inf) -> int:
        """Add a continuous column."""
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1

    def variable(self, upper: float = inf) -> Expression:
        """Add a continuous column from 0 up, as an expression."""
        return {self.column(0.0, upper): 1.0}

    def row(self, expression: Mapping[int, float], lower: float = -inf, upper: float = inf) -> None:
        if not len(self.row_lower) % 256:
            self.tick()
            if len(self.indices) > MOST_ENTRIES:
                raise TooLargeError(f"the model has more than {MOST_ENTRIES} entries")
        self.indices.extend(expression.keys())
        self.values.extend(expression.values())
        self.starts.append(len(self.indices))
        self.row_lower.append(lower)
        self.row_upper.append(upper)

    def at_least(self, larger: Mapping[int, float], smaller: Mapping[int, float], offset: float = 0.0) -> None:
        """``larger >= smaller + offset``."""
        self.row(total([(larger, 1.0), (smaller, -1.0)]), lower=offset)
