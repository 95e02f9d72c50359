"""From the phases of the search to a solution that claims what they proved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

from ..chain.homes import ContradictionError as ChainContradictionError
from ..chain.homes import Homes
from ..evaluate import TIE, Evaluation
from ..fallback import fallback
from ..problem import Preference, Problem
from ..solution import Feasible, Infeasible, Optimal, Solution
from ..uniform import Uniform
from .blocks import Blocks
from .bounds import simple_bound
from .goals import Goal, Limits
from .homes import ContradictionError, homes_of
from .model import TooLargeError
from .network import NO_WAY, Network, network_of
from .prune import settle
from .search import SAFE, Found, OutOfTimeError, Search

NAME = "milp"
MOST_PLACES = 100_000
"""Blocks times devices; beyond, not even the model is written."""
BY_TIME = (Goal.TIME, Goal.MEMORY, Goal.COPIES, Goal.EVENNESS)
BY_MEMORY = (Goal.MEMORY, Goal.TIME, Goal.COPIES, Goal.EVENNESS)


def answer(problem: Problem, left: Callable[[], float]) -> Solution:
    """Solve within the seconds that are left."""
    run = _Run(problem, left)
    try:
        run.start()
        run.fit()
        run.refine()
    except ContradictionError as contradiction:
        return Infeasible(NAME, _in_words(problem, contradiction), proved=True)
    except OutOfTimeError:
        run.why = "in time"
    except TooLargeError as limit:
        run.why = f"without a search, for which the problem is too large ({limit})"
    return run.solution()


def _in_words(problem: Problem, contradiction: ContradictionError) -> str:
    """With both sides named, where two constraints are enough to see it."""
    try:
        Homes.of(problem)
    except ChainContradictionError as named:
        return str(named)
    return f"the constraints contradict each other: {contradiction}"


class _Run:
    """What is proved so far, in the order in which it is."""

    def __init__(self, problem: Problem, left: Callable[[], float]) -> None:
        self.search = Search(problem, left)
        self.limits = Limits(tuple(device.capacity_bytes for device in problem.devices))
        self.goals = BY_TIME if problem.prefer is Preference.TIME else BY_MEMORY
        self.lack = Found(0.0, False)
        self.leading = Found(0.0, False)
        self.refined = False
        self.why = "in time"

    def start(self) -> None:
        """The graph of all assignments, a first one, and bounds. Raises ContradictionError, TooLargeError."""
        problem = self.search.problem
        uniform = Uniform()(problem).assignment
        if uniform is not None:
            self.search.offer(uniform)
        blocks = Blocks.build(problem)
        self.leading = Found(simple_bound(problem, blocks), False)
        if problem.allow_empty:
            self._use_all(problem)
        self.search.network = _network(blocks, self.search.tick)
        self._probe()

    def _use_all(self, problem: Problem) -> None:
        """First assignments from the much smaller graph of those that use every device; bounds there say nothing."""
        try:
            self.search.network = _network(Blocks.build(replace(problem, allow_empty=False)), self.search.tick)
            self.search.probe(self.goals[0], self.limits, self.leading.bound)
        except ContradictionError:
            return

    def fit(self) -> None:
        """Unless one fits, the least shortfall; capacities grow by it. Raises ContradictionError."""
        if self.search.evaluation is not None and self.search.evaluation.fits:
            return
        least = self.search.probe(Goal.LACK, self.limits, 0.0)
        self.lack = self.search.improve(Goal.LACK, self.limits, least)
        if self.search.evaluation is None and self.lack.proved:
            raise ContradictionError(NO_WAY)
        if self.search.evaluation is None or not (self.lack.proved or self.search.evaluation.fits):
            raise OutOfTimeError
        if not self.search.evaluation.fits:
            self.limits = self.limits.with_goal(Goal.LACK, self.search.evaluation.shortfall_bytes)
            self.leading = Found(0.0, False)
        self._probe()

    def refine(self) -> None:
        """One criterion after the other, as long as they are proved."""
        for goal in self.goals:
            low = self.leading.bound if goal is self.goals[0] else 0.0
            found = self.search.improve(goal, self.limits, low)
            if goal is self.goals[0]:
                self.leading = found
            if not found.proved or self.search.evaluation is None:
                return
            tie = 1 + TIE if goal is Goal.TIME else 1.0
            self.limits = self.limits.with_goal(goal, goal.of(self.search.evaluation) * tie)
        self.refined = True

    def _probe(self) -> None:
        self.leading = Found(self.search.probe(self.goals[0], self.limits, self.leading.bound), False)

    def solution(self) -> Solution:
        assignment, evaluation = self.search.best, self.search.evaluation
        proved = self.lack.proved
        if assignment is None or evaluation is None or not (evaluation.fits or proved):
            simple = fallback(self.search.problem, NAME, self.leading.bound)
            if evaluation is None or not isinstance(simple, Infeasible):
                return simple
        assert assignment is not None, "what was evaluated is an assignment"
        if not evaluation.fits:
            return self._short(assignment, evaluation)
        if self.leading.proved:
            return Optimal(assignment, evaluation, NAME, self.refined)
        bound = self.leading.bound
        whole = ceil(bound * (1 - SAFE)) if self.goals is BY_MEMORY else bound
        return Feasible(assignment, evaluation, NAME, min(whole, evaluation.leading))

    def _short(self, assignment: tuple[int, ...], evaluation: Evaluation) -> Solution:
        missing, proved = evaluation.shortfall_bytes, self.lack.proved
        least = missing if proved else min(missing, ceil(self.lack.bound * (1 - SAFE)))
        device = [load.shortfall_bytes for load in evaluation.devices].index(missing)
        extent = "every assignment lacks memory" if proved else f"no assignment that fits was found {self.why}"
        reason = f"{extent}; the nearest lacks {missing} bytes on device {device}"
        return Infeasible(NAME, reason, missing, proved, assignment, evaluation, least)


def _network(blocks: Blocks, tick: Callable[[], None]) -> Network:
    places = len(blocks) * len(blocks.problem.devices)
    if places > MOST_PLACES:
        raise TooLargeError(f"{places} places for units, at most {MOST_PLACES} are searched")
    homes = homes_of(blocks)
    return settle(network_of(blocks, homes, tick), homes)
