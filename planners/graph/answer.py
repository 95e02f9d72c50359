"""Runs searches for a graph and says no more than was proved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..evaluate import TIE, evaluate
from ..registry import WrongAnswerError
from ..solution import Feasible, Infeasible, Optimal, Solution
from .blocks import blocks_of
from .bounds import work_bound_us
from .problem import GraphProblem
from .race import Race
from .validation import validate_graph

Search = Callable[[Race], None]
POLL_S = 0.02
PATIENCE_S = 0.1
"""How long a search that was stopped may take to return; one that is at what cannot be stopped is left behind."""
JUDGING_S, MOST_JUDGING = 4e-5, 0.2
"""Of the time, per node, for the judge; and the most of it."""
NOTHING_FITS = "no assignment fits: memory, or the kinds of devices that nodes can run on, stand against it"
NOTHING_FOUND = "no assignment that fits was found"


def run(
    problem: GraphProblem, name: str, searches: Sequence[Search], time_limit: float, forgiving: bool = False
) -> Solution:
    """The best plan and the best bound that the searches find together within ``time_limit`` seconds.

    The first search runs alone, for a plan that the others start from, and has time for one whatever the limit; those
    run at once, each in a thread. Ctrl-C ends the search as the time limit does. ProblemError where the problem is
    malformed; whatever a search raises, where that leaves something open and none is ``forgiving``, or there is no
    plan.
    """
    begun = time.perf_counter()
    validate_graph(problem)
    blocks = blocks_of(problem)
    judging = min(JUDGING_S * len(problem.nodes), MOST_JUDGING * time_limit)
    race = Race(blocks, time_limit - judging - (time.perf_counter() - begun))
    free = work_bound_us(blocks)
    race.prove(free)
    failures: list[Exception] = []
    try:
        _run([searches[0]], race, failures, lambda: race.over and race.stages is not None)
        _run(searches[1:], race, failures, lambda: race.over)
    except KeyboardInterrupt:
        if race.stages is None:
            raise
    finally:
        race.stop()
    if failures and not race.solved and (race.stages is None or not forgiving):
        raise failures[0]
    return _answer(problem, name, race, free if blocks.rounded else race.bound_us)


def _run(searches: Sequence[Search], race: Race, failures: list[Exception], enough: Callable[[], bool]) -> None:
    """Until all have returned, or it is enough and they were told to stop."""
    if race.solved or enough():
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
        while any(thread.is_alive() for thread in threads) and not enough():
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
    """WrongAnswerError where the plan is none, or disproves what was proved."""
    if race.stages is None:
        proved = bound_us == float("inf")
        return Infeasible(name, NOTHING_FITS if proved else NOTHING_FOUND, proved=proved)
    assignment = race.blocks.assignment(race.stages)
    found = evaluate(problem, assignment)
    wrong = [*found.violations, *([] if found.fits else [f"it lacks {found.shortfall_bytes} bytes of memory"])]
    if bound_us > found.objective_us * (1 + TIE):
        wrong.append(f"its bound of {bound_us} us is above the {found.objective_us} us of its plan")
    if wrong:
        said = "; ".join(wrong)
        raise WrongAnswerError(f"planner {name!r} gave an answer that the judge rejects: {said}")
    if bound_us >= found.objective_us * (1 - TIE):
        return Optimal(assignment, found, name, refined=False)
    return Feasible(assignment, found, name, lower_bound=bound_us)
