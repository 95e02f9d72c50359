"""The phases: one criterion after the other, each among the assignments that are best in those before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import floor

import numpy as np

from ..evaluate import TIE, Evaluation, evaluate, preferred
from ..problem import Problem
from .goals import Goal, Limits
from .highs import solve
from .loads import both
from .model import TooLargeError
from .network import Network
from .program import units_of, write
from .prune import greedy_path, least, prune

AGREE = 1e-6
"""Relative difference beyond which solver and judge disagree."""
SAFE = 1e-8
"""Relative; a solver's bound is lowered by that for its tolerances."""
ATTEMPTS = 50
"""Solutions of one phase that the judge may reject, or between which tangents may be added."""
PROBE_SHARE = 0.3
"""Of the time left, for bisection."""
TRIES = 12
"""Paths per step of it."""
LADDER = (1.001, 1.01, 1.03, 1.1, 1.3)
"""Times the bound: limits to try afterwards, unless the best known is within them."""


class OutOfTimeError(Exception):
    """The time limit was reached."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one phase proved about its goal."""

    bound: float
    proved: bool
    """The best known assignment is optimal, or, if there is none, nothing is within the limits."""


@dataclass
class Search:
    """The best assignment known, and the ways to find a better one or to prove that there is none."""

    problem: Problem
    left: Callable[[], float]
    """Seconds left."""
    best: tuple[int, ...] | None = None
    evaluation: Evaluation | None = None
    """Of ``best``: the least shortfall, then the order of preference."""
    network: Network = field(init=False)
    """To be set before anything but :meth:`offer` is called."""

    def tick(self) -> None:
        if self.left() <= 0:
            raise OutOfTimeError

    def offer(self, assignment: tuple[int, ...]) -> Evaluation:
        """Keep it if it is the best so far."""
        found, known = evaluate(self.problem, assignment), self.evaluation
        if not found.valid:
            return found
        nearer = known is None or found.shortfall_bytes < known.shortfall_bytes
        if nearer or (known and found.shortfall_bytes == known.shortfall_bytes and preferred([known, found])):
            self.best, self.evaluation = assignment, found
        return found

    def probe(self, goal: Goal, limits: Limits, low: float) -> float:
        """A bound on the goal by bisection from a known one on, trying assignments on the way."""
        until = self.left() * (1 - PROBE_SHARE)
        reached = [self.network]

        def possible(limit: float) -> bool:
            self.tick()
            within = limits.with_goal(goal, limit)
            left = _within(reached[-1], within)
            if left is not None and (len(reached) == 1 or len(left.block) < len(reached[-1].block)):
                self._try(left, within)
            reached.append(left or reached[-1])
            return left is not None

        most = goal.most(self.network)
        if not possible(most):
            return low
        high = goal.of(self.evaluation) if self.evaluation else most
        step = 0.0 if goal is Goal.TIME else 0.5
        found = least(possible, low, high, step, lambda: self.left() > until)
        for more in LADDER if found else ():
            within = limits.with_goal(goal, found * more)
            if self.left() <= until or (self.evaluation and within.allow(self.evaluation)):
                break
            left = _within(self.network, within)
            if left is not None:
                self._try(left, within)
        return found if goal is Goal.TIME or found == low else floor(found) + 1.0

    def _try(self, network: Network, limits: Limits) -> None:
        """Offer a path that fills devices in turn; then less full where that turned out to be too much."""
        most_us, most_bytes = [limits.time_us] * len(limits.capacities), limits.device_bytes()
        left: Network | None = network
        for _ in range(TRIES):
            if left is None:
                return
            self.tick()
            path = greedy_path(left, both(left, most_us, most_bytes))
            if path is None:
                return
            devices = self.offer(left.assignment(path)).devices
            network = _tied(left, path)
            over_us = [max(0.0, load.time_us - limits.time_us) for load in devices]
            over = [max(0.0, d.memory.total - most) for d, most in zip(devices, limits.device_bytes(), strict=True)]
            if network is left and not any(over_us + over):
                return
            most_us = [most - us for most, us in zip(most_us, over_us, strict=True)]
            most_bytes = [most - lack for most, lack in zip(most_bytes, over, strict=True)]
            left = prune(network, both(network, most_us, most_bytes))

    def improve(self, goal: Goal, limits: Limits, low: float = 0.0) -> Found:
        """Minimise the goal within the limits, from the best known assignment on; ``low`` bounds it already."""
        known = self.evaluation
        if known and limits.allow(known, goal) and goal.of(known) <= low * (1 + TIE):
            return Found(low, True)
        network = _within(self.network, limits.sharpened(goal, known, self.network))
        if network is None:
            return Found(low, known is None)
        try:
            return self._minimise(network, goal, limits, low)
        except (OutOfTimeError, TooLargeError):
            return Found(low, False)

    def _minimise(self, network: Network, goal: Goal, limits: Limits, low: float) -> Found:
        known = self.evaluation
        units = units_of(network, known.objective_us if known else Goal.TIME.most(network))
        program = write(network, goal, limits, units, low, self.tick)
        if known:
            program.flatten(known)
        for _ in range(ATTEMPTS):
            self.tick()
            path = network.path(self.best) if self.best and known and limits.allow(known, goal) else None
            outcome = solve(program.model, program.places.columns(path) if path else None, self.left)
            bound = outcome.bound * program.unit
            if outcome.columns is None:
                return self._checked(goal, low, bound, outcome.finished and self.evaluation is None)
            found = self.offer(network.assignment(program.places.path(outcome.columns)))
            if not outcome.finished:
                return self._checked(goal, low, bound, False)
            if not limits.allow(found, goal):
                program.forbid(outcome.columns)
            elif goal is not Goal.EVENNESS or found.evenness <= bound * (1 + TIE):
                return self._checked(goal, low, bound, True)
            program.flatten(found)
        return Found(low, False)

    def _checked(self, goal: Goal, low: float, bound: float, finished: bool) -> Found:
        """What the solver says it proved, as far as the judge's numbers bear it out; ``low`` is sure."""
        if self.evaluation is None:
            return Found(low, finished)
        value, bound = goal.of(self.evaluation), max(low, bound)
        if bound > value * (1 + AGREE):
            return Found(low, False)
        return Found(bound if finished else max(low, bound * (1 - SAFE)), finished and value <= bound * (1 + AGREE))


def _tied(network: Network, path: list[int]) -> Network:
    """With the blocks of the first tie that the path breaks where the first of them is; itself where it breaks none."""
    devices = network.device[path]
    for members in network.blocks.ties:
        home = devices[members[0]]
        if any(devices[member] != home for member in members):
            elsewhere = np.isin(network.block, members) & (network.device != home)
            return network.only(~elsewhere, np.ones(len(network.tail), bool))
    return network


def _within(network: Network, limits: Limits) -> Network | None:
    times = [limits.time_us] * len(limits.capacities)
    return prune(network, both(network, times, limits.device_bytes()))
