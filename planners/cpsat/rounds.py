"""What is solved when: the whole program, and where that takes too long, one for every sequence of pools.

With the pool of each position known, and an optimum or a plan near it as the limit, proofs are much shorter: products
and relief vanish. One solver is best at finding plans, so it goes first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import factorial, inf, prod
from typing import Any

from ..graph.blocks import Blocks
from ..graph.loads import lacks, load_us
from ..graph.race import Stages
from .model import Model, positions_of
from .numbers import FINE, Numbers, longest_us, numbers_of
from .solver import End, Outcome, Settings, solve
from .wire import Task

MOST_SEQUENCES = 24
WHOLE_SHARE, WHOLE_S = 0.25, 5.0
"""Of the time left, and the most, for the whole program if there are sequences to go through."""
CLOSE = 5e-10
"""Relative gap within which nothing is left to prove."""
LAST_WORD_S = 0.1
"""Before the time is over, for what was proved to be told."""
AGAIN = 3
"""Times that the whole program is solved, each time in finer numbers."""

Tell = Callable[[dict[str, Any]], None]


class Rounds:
    """``value_us`` may be lowered from another thread, where a better plan is known elsewhere."""

    def __init__(self, task: Task, tell: Tell) -> None:
        self.task, self.blocks, self._tell = task, task.blocks, tell
        self._lock = threading.Lock()
        self.stages, self.value_us = task.stages, task.value_us
        self.bound_us = task.least_us

    def run(self) -> None:
        sequences = list(sequences_of(self.blocks))
        for _ in range(AGAIN):
            if not self._whole(self._share(len(sequences))):
                break
            if self.bound_us >= self.value_us * (1 - CLOSE):
                return
        if len(sequences) > 1 and self.stages is not None:
            self._each(sequences)

    @property
    def left(self) -> float:
        return max(0.0, self.task.until_s - LAST_WORD_S - time.monotonic())

    def know(self, value_us: float, stages: Stages | None = None) -> None:
        with self._lock:
            if value_us < self.value_us:
                self.value_us, self.stages = value_us, stages or self.stages

    def _share(self, sequences: int) -> float:
        return min(WHOLE_S, self.left * WHOLE_SHARE) if sequences > 1 else self.left

    def _whole(self, seconds: float) -> bool:
        """Whether an optimum in these numbers was found."""
        start, most_us = self.stages, self.value_us
        if start is None:
            most_us, seconds = longest_us(self.blocks), self.left
        numbers = numbers_of(self.blocks, self.bound_us, most_us)
        model = Model(self.blocks, numbers, most_us)
        values = model.values(start) if start is not None else {}
        outcome = self._solve(model, numbers, values, Settings(seconds, self.task.workers), self._raise)
        if outcome.end is End.INFEASIBLE:
            self._nothing(model, numbers)
        elif outcome.bound is not None:
            self._raise(numbers.bound_us(outcome.bound))
        return outcome.end is End.OPTIMAL

    def _nothing(self, model: Model, numbers: Numbers) -> None:
        """The presolve has been seen to lose solutions, so that is asked twice."""
        if self.stages is not None:
            raise ValueError("the solver claims that nothing fits, but a plan is known")
        outcome = self._solve(model, numbers, {}, Settings(self.left, 1, presolve=False), lambda bound: None)
        if outcome.end is End.OPTIMAL:
            raise ValueError("the solver contradicts itself on whether anything fits")
        if outcome.end is End.INFEASIBLE:
            self._tell({"infeasible": True})

    def _each(self, sequences: list[tuple[int, ...]]) -> None:
        """The bound is the least of all sequences."""
        assert self.stages is not None
        used = [pool for pool, _ in self.stages]
        sequences.sort(key=lambda sequence: list(sequence[: len(used)]) != used)
        with ThreadPoolExecutor(self.task.workers) as pool:
            self._raise(min(pool.map(self._one, sequences)))

    def _one(self, sequence: tuple[int, ...]) -> float:
        """The least that plans of this sequence take; or what is known already, where time is short."""
        most_us, least_us = self.value_us, self.bound_us
        if not self.left:
            return least_us
        numbers = numbers_of(self.blocks, least_us, most_us)
        below = numbers.most - FINE + numbers.rounding + 1
        model = Model(self.blocks, numbers, most_us, sequence, below)
        outcome = self._solve(model, numbers, {}, Settings(self.left, 1), lambda bound: None)
        if outcome.end is End.INFEASIBLE:
            return min(most_us, numbers.bound_us(numbers.most - below + 1))
        return max(least_us, min(most_us, numbers.bound_us(outcome.bound or 0)))

    def _solve(
        self,
        model: Model,
        numbers: Numbers,
        start: dict[int, int],
        settings: Settings,
        bounded: Callable[[float], None],
    ) -> Outcome:
        def found(objective: int, value: Callable[[int], bool]) -> None:
            self._offer(model.stages(value), (objective + numbers.rounding) / numbers.scale)

        return solve(model.program, start, settings, found, lambda bound: bounded(numbers.bound_us(bound)))

    def _offer(self, stages: Stages, most_us: float) -> None:
        """``most_us``: what the solver takes it to take, at most."""
        self._tell({"plan": stages, "most_us": most_us})
        if not any(lacks(self.blocks, pool, chosen) for pool, chosen in stages):
            self.know(max(load_us(self.blocks, pool, chosen) for pool, chosen in stages), stages)

    def _raise(self, bound_us: float) -> None:
        """Plans that take longer than the best one were left out, so that nothing above it is proved."""
        bound_us = min(bound_us, self.value_us)
        if bound_us > self.bound_us and bound_us < inf:
            self.bound_us = bound_us
            self._tell({"bound_us": bound_us})


def sequences_of(blocks: Blocks) -> Iterator[tuple[int, ...]]:
    """Every order of the pools of all positions; none where they are too many, or positions fewer than devices."""
    counts = [len(pool.devices) for pool in blocks.pools]
    number = factorial(sum(counts)) // prod(factorial(count) for count in counts)
    if positions_of(blocks) < sum(counts) or number > MOST_SEQUENCES:
        return
    yield from _orders(counts)


def _orders(counts: list[int]) -> Iterator[tuple[int, ...]]:
    if not any(counts):
        yield ()
    for pool, count in enumerate(counts):
        if count:
            for rest in _orders([c - (p == pool) for p, c in enumerate(counts)]):
                yield (pool, *rest)
