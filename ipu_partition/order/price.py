"""What it costs to keep to the order of the program: the best plan in it, the best found in any, and a bound."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import planners
from planners import TIE, Evaluation, Infeasible, Problem
from planners.problem import Schedule

from ..errors import UsageError
from .problems import Subject
from .relays import handing_on
from .stop import stoppable

if TYPE_CHECKING:
    from planners.graph import GraphProblem

INLINE = "inline{{limit={limit}}}"
"""Exact where every device holds one stage."""
DEFAULT_SECONDS = 25.0
BOUNDING, LEAST = 0.8, 0.1
"""Share of the time left in which the bound is proved, the rest is for plans that come nearer to it; and its least
share of all the time."""
ROUNDS, ROWS = 6, 12
"""Orders that are tried: that plans of the graph give, and beside them."""


@dataclass(frozen=True, slots=True)
class Found:
    """The best plan in one order, exactly and by all rules."""

    order: tuple[int, ...]
    """Units, by their numbers in the order of the program."""
    evaluation: Evaluation
    """Of the units in this order."""

    @property
    def value_us(self) -> float:
        return self.evaluation.objective_us


@dataclass(frozen=True, slots=True)
class Priced:
    """Times are of a cycle of the pipeline, in microseconds."""

    program: Found | None
    """None: no plan in this order fits."""
    best: Found | None
    """The best of all orders that were tried, and the program's own where no other is better."""
    lower_bound_us: float
    """Proved of every plan in any order; infinite where none fits."""
    planner: str
    """Which proved it."""
    units: int
    pairs: int
    """Pairs of units that keep their order, by their results and the memory that they write."""
    schedule: Schedule
    seconds: float
    interrupted: bool = False

    @property
    def kept(self) -> bool:
        """Whether the order of the program is the best that was found."""
        return self.best is self.program

    @property
    def proved(self) -> bool:
        """Whether no plan in any order is better than the best that was found; where there is none, that none fits."""
        if self.best is None:
            return self.lower_bound_us == math.inf
        return self.lower_bound_us >= self.best.value_us * (1 - TIE)

    @property
    def gap(self) -> float | None:
        """How much of the time of the best plan might be saved; None where there is none."""
        if self.best is None:
            return None
        return 0.0 if self.proved else 1 - self.lower_bound_us / self.best.value_us

    @property
    def loss(self) -> float | None:
        """Share by which the program's order takes longer than the best that was found."""
        if self.program is None or self.best is None or not self.best.value_us:
            return None
        return self.program.value_us / self.best.value_us - 1

    @property
    def most_loss(self) -> float | None:
        """Share by which it takes longer than the best can; infinite where nothing is proved."""
        if self.program is None or self.best is None or not self.program.value_us:
            return self.loss
        if self.proved:
            return self.loss
        return self.program.value_us / self.lower_bound_us - 1 if self.lower_bound_us else math.inf


def priced(subject: Subject, *, time_limit: float = DEFAULT_SECONDS, planner: str = "auto") -> Priced:
    """`planner`, one for graphs that takes a time limit, looks for the best order for `time_limit` seconds.

    UsageError where the model runs on one device at a time, has fewer units than devices, or `planner` cannot do it.
    """
    began = time.perf_counter()
    chain = subject.chain()
    if chain.schedule is Schedule.SHARDED:
        raise UsageError("Sharded, one device runs at a time: another order changes copies alone.")
    if len(chain.devices) > len(chain.units):
        raise UsageError(
            f"{len(chain.devices)} devices need at least {len(chain.devices)} units; this model has {len(chain.units)} "
            f"({subject.prepared.mode.value})."
        )
    graph, planning = subject.graph(), time.perf_counter()
    program = _exact(chain, range(subject.count))
    planned = time.perf_counter()
    until = began + time_limit - (planned - planning)  # another order takes as long to plan
    with stoppable() as stop:
        solution = _solved(graph, planner, max(LEAST * time_limit, BOUNDING * (until - planned)))
        bound_us = _bound(solution)
        best = program
        with suppress(KeyboardInterrupt):
            for found in _others(subject, graph, solution, planner, until):
                best = found if best is None or found.value_us < best.value_us * (1 - TIE) else best
                if stop.asked or bound_us >= best.value_us * (1 - TIE):
                    break
    if best is not None and bound_us > best.value_us * (1 + TIE):
        raise planners.WrongAnswerError(
            f"planner {planner!r} claims that every order takes {bound_us} us; a plan takes less"
        )
    return Priced(
        program=program,
        best=best,
        lower_bound_us=bound_us,
        planner=solution.planner,
        units=subject.count,
        pairs=len(subject.pairs),
        schedule=chain.schedule,
        seconds=time.perf_counter() - began,
        interrupted=stop.asked,
    )


def _others(
    subject: Subject, graph: GraphProblem, solution: planners.Solution, planner: str, until: float
) -> Iterator[Found]:
    """The best plans in orders that stages of the graph give: stage by stage, within each as the program. What the
    stages of one have to hand on is counted in the next."""
    from planners.graph.judge import stage_order

    whole = graph
    for _ in range(ROUNDS):
        if solution.assignment is None or isinstance(solution, Infeasible):
            return
        place = {device: i for i, device in enumerate(stage_order(graph, solution.assignment))}
        stages = [place[device] for device in solution.assignment]
        order = sorted(range(subject.count), key=lambda unit: (stages[unit], unit))
        found = _exact(subject.chain(order), order)
        if found is not None:
            yield found
        left = until - time.perf_counter()
        if left <= 0:
            return
        if found is not None and found.value_us <= solution.evaluation.objective_us * (1 + TIE):
            break
        graph = handing_on(graph, stages)
        solution = _solved(graph, planner, left)
    yield from _in_rows(subject, whole, until)


def _in_rows(subject: Subject, graph: GraphProblem, until: float) -> Iterator[Found]:
    """The best plans in orders that only differ in what they keep together."""
    from planners.graph.blocks import blocks_of
    from planners.linear.orders import orders_of

    blocks = blocks_of(graph)
    for row in orders_of(blocks, ROWS):
        if time.perf_counter() > until:
            return
        order = [unit for block in row for unit in blocks.members[block]]
        if (found := _exact(subject.chain(order), order)) is not None:
            yield found


def _solved(graph: GraphProblem, planner: str, seconds: float) -> planners.Solution:
    try:
        return planners.solve(graph, f"{planner}{{time_limit={seconds:.3f}}}")
    except (ValueError, ImportError) as error:
        raise UsageError(f"Planner {planner!r} cannot tell the best order: {error}.") from error


def _bound(solution: planners.Solution) -> float:
    if isinstance(solution, Infeasible):
        return math.inf if solution.proved else 0.0
    return solution.lower_bound


def _exact(chain: Problem, order: Sequence[int]) -> Found | None:
    try:
        solution = planners.solve(chain, INLINE.format(limit=max(1, len(chain.units))))
    except ValueError as error:
        raise UsageError(f"There is no plan with one stage on each device: {error}.") from error
    if isinstance(solution, Infeasible):
        return None
    return Found(tuple(order), solution.evaluation)
