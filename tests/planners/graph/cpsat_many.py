"""Run as a program: the rounds of ``cpsat`` on many small graphs, against exhaustion.

In one process of its own, because starting the solver's takes longer than the graph, and because OR-tools cannot be
loaded beside highspy. What the rounds say is believed as in the search.
"""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from random import Random
from typing import Any

from planners.cpsat.rounds import Rounds, sequences_of
from planners.cpsat.search import _take
from planners.cpsat.wire import Task, line, task_line, task_of
from planners.evaluate import TIE
from planners.graph.blocks import blocks_of
from planners.graph.bounds import work_bound_us
from planners.graph.race import Race
from planners.linear import search as linear
from tests.planners.graph.literal import best
from tests.planners.graph.problems import problem

SECONDS = 30.0


def _race(seed: int, informed: bool) -> tuple[Race, Fraction | None]:
    """Informed: with a bound and a plan to start from, if there is one."""
    built = problem(Random(seed), 7, 5)
    race = Race(blocks_of(built), SECONDS)
    if informed:
        linear(race, 1)
        race.prove(work_bound_us(race.blocks))
    return race, best(built)


def _rounds(race: Race) -> Rounds:
    until_s = time.monotonic() + SECONDS
    task = Task(race.blocks, race.stages, race.value_us, race.bound_us if race.bound_us < 1e300 else 0.0, until_s, 1)
    return Rounds(task_of(task_line(task).decode()), lambda message: _believe(race, message))


def _believe(race: Race, message: dict[str, Any]) -> None:
    _take(race, json.loads(line(message)))


def _check(race: Race, least: Fraction | None, where: object) -> None:
    if least is None:
        assert race.bound_us == float("inf"), where
        return
    assert abs(race.value_us - float(least)) <= TIE * float(least), (where, race.value_us, float(least))
    assert race.bound_us <= race.value_us * (1 + TIE), where
    assert race.solved, (where, race.value_us, race.bound_us)


def whole(seed: int) -> None:
    """From nothing, and from a plan."""
    for informed in (False, True):
        race, least = _race(seed, informed)
        if race.bound_us < float("inf") and not race.solved:
            _rounds(race).run()
        _check(race, least, (seed, informed))


def each(seed: int) -> bool:
    """One sequence of pools after the other."""
    race, least = _race(seed, False)
    linear(race, 1)
    rounds = _rounds(race)
    sequences = list(sequences_of(race.blocks))
    if race.stages is None or race.solved or len(sequences) < 2:
        return False
    rounds._each(sequences)
    _check(race, least, seed)
    return True


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    seeds = range(first, first + count)
    for seed in seeds:
        whole(seed)
    print(sum(each(seed) for seed in seeds))
