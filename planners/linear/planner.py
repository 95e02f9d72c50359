"""The planner, and the search that gives others something to start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..graph.problem import GraphProblem
from ..solution import Solution

if TYPE_CHECKING:
    from ..graph.race import Race

NAME = "linear"
ORDERS = 24
MOST_PLACED, FEW = 12_000, 5
"""Blocks of all orders together that a search which goes on tries first, and the least number of orders."""

COARSE_CELLS = 10**6
"""Blocks times places where the first row may be cut."""


@dataclass(frozen=True, slots=True)
class Linear:
    """For graphs: the best contiguous split of several topological orders; milliseconds to seconds, nothing is proved.

    Its lower bound is that of the work alone, shared out as if it could be parted at will.
    """

    takes: ClassVar[type] = GraphProblem
    time_limit: float = 25.0
    orders: int = ORDERS
    """How many orders are tried."""

    def __post_init__(self) -> None:
        if self.orders < 1 or not self.time_limit >= 0:
            raise ValueError(
                f"linear has orders {self.orders} and time_limit {self.time_limit}, expected 1 or more, 0 or more"
            )

    def __call__(self, problem: GraphProblem) -> Solution:
        """ProblemError where the problem is malformed."""
        from ..graph.answer import run

        return run(problem, NAME, [lambda race: search(race, self.orders)], self.time_limit)


def search(race: Race, orders: int | None = None) -> None:
    """Offer the best split of each order that is better than all before; ``None``: as many as take a second or so.

    A coarse split of the first order comes before all and whatever time is left.
    """
    from .orders import orders_of
    from .split import Split

    split = Split(race.blocks)
    coarse = split.best(range(len(race.blocks.members)), race.value_us, lambda: False, COARSE_CELLS)
    if coarse is not None:
        race.offer(coarse)
    if race.over:
        return
    most = min(ORDERS, max(FEW, MOST_PLACED // len(race.blocks.members))) if orders is None else orders
    for order in orders_of(race.blocks, most, lambda: race.over):
        stages = split.best(order, race.value_us, lambda: race.over)
        if stages is not None:
            race.offer(stages)
        if race.over:
            return
