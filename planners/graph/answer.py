"""Runs searches for a graph and says no more than was proved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..evaluate import TIE, evaluate
from ..registry import PlannerError
from ..solution import Feasible, Infeasible, Optimal, Solution
from .blocks import blocks_of
from .bounds import work_bound_us
from .problem import GraphProblem
from .race import Race
from .validation import validate_graph

Search = Callable[[Race], None]
POLL_S = 0.02
PATIENCE_S = 2.0
"""How long a search that was stopped may take to return."""
NOTHING_FITS = "no assignment fits: memory, or the kinds of devices that nodes can run on, stand against it"
NOTHING_FOUND = "no assignment that fits was found in time"


def run(problem: GraphProblem, name: str, searches: Sequence[Search], time_limit: float) -> Solution:
    """The best plan and the best bound that the searches find together within ``time_limit`` seconds.

    The first search runs alone, for a plan that the others start from; those run at once, each in a thread. Ctrl-C ends
    the search as the time limit does. ProblemError where the problem is malformed; whatever a search raises, where no
    other one has an answer.
    """
    begun = time.perf_counter()
    validate_graph(problem)
    blocks = blocks_of(problem)
    race = Race(blocks, time_limit - (time.perf_counter() - begun))
    free = work_bound_us(blocks)
    race.prove(free)
    failures: list[Exception] = []
    try:
        _run([searches[0]], race, failures)
        _run(searches[1:], race, failures)
    except KeyboardInterrupt:
        if race.stages is None:
            raise
    finally:
        race.stop()
    if failures and race.stages is None and not race.solved:
        raise failures[0]
    return _answer(problem, name, race, free if blocks.rounded else race.bound_us)


def _run(searches: Sequence[Search], race: Race, failures: list[Exception]) -> None:
    """Until all have returned, or one has solved it and the others were told to stop."""
    if race.over:
        return

    def guarded(search: Search) -> None:
        try:
            search(race)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(search,), daemon=True) for search in searches]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads) and not race.over:
            _wait(threads, POLL_S)
    except KeyboardInterrupt:
        race.stop()
        _wait(threads, PATIENCE_S)
        raise
    _wait(threads, PATIENCE_S)


def _wait(threads: Sequence[threading.Thread], seconds: float) -> None:
    for thread in threads:
        thread.join(seconds / len(threads))


def _answer(problem: GraphProblem, name: str, race: Race, bound_us: float) -> Solution:
    """PlannerError where a search claims to have proved what its plan disproves."""
    if race.stages is None:
        proved = bound_us == float("inf")
        return Infeasible(name, NOTHING_FITS if proved else NOTHING_FOUND, proved=proved)
    assignment = race.blocks.assignment(race.stages)
    found = evaluate(problem, assignment)
    assert found.valid, f"{name} and evaluate disagree on {assignment}; please report the problem"
    assert found.fits, f"{name} and evaluate disagree on the memory of {assignment}; please report the problem"
    if bound_us > found.objective_us * (1 + TIE):
        taken = f"the bound {bound_us} us is above {found.objective_us} us, which a plan takes that fits"
        raise PlannerError(
            f"planner {name!r} gave an answer that the judge rejects: {taken}; please report the problem"
        )
    if bound_us >= found.objective_us * (1 - TIE):
        return Optimal(assignment, found, name, refined=False)
    return Feasible(assignment, found, name, lower_bound=bound_us)
