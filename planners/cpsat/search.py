"""The search: asks the solver's process, and believes nothing of it that can be checked."""

from __future__ import annotations

import time
from importlib.util import find_spec
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from ..evaluate import TIE
from ..registry import PlannerError, WrongAnswerError

if TYPE_CHECKING:
    from ..graph.blocks import Blocks
    from ..graph.race import Race
    from .process import Solver

POLL_S = 0.02
MOST_CELLS = 400_000
"""Blocks and tensors times devices; beyond, memory is not enough to write the program."""
MOST_BLOCKS = 10_000


class WrongError(Exception):
    """The solver claims what is not so."""


def require() -> None:
    """PlannerError where the solver is not installed."""
    if find_spec("ortools") is None:
        raise PlannerError("planner 'cpsat' needs ortools, which is not installed; pip install 'ipu-partition[graphs]'")


def search(race: Race, workers: int = 2) -> None:
    """Offer the solver's plans and prove its bounds until it has ended. PlannerError where it is not installed, ends by
    an error, or is caught in a claim that is not so; graphs that are too large for it are left alone."""
    require()
    if race.over or not _small(race.blocks):
        return
    from .process import Solver
    from .wire import Task

    until_s = time.monotonic() + race.seconds_left
    task = Task(race.blocks, race.stages, race.value_us, race.bound_us, until_s, workers)
    with Solver(task) as solver:
        try:
            _follow(race, solver, task.value_us)
        except EOFError:
            if failure := solver.failure():
                raise PlannerError(f"planner 'cpsat': {failure}") from None
        except (WrongError, ValueError, TypeError, KeyError) as wrong:
            raise WrongAnswerError(f"planner 'cpsat' does not believe its solver: {wrong}") from wrong


def _small(blocks: Blocks) -> bool:
    devices = sum(len(pool.devices) for pool in blocks.pools)
    ends = len(blocks.members) + sum(len(touched) for touched, _ in (*blocks.tensors, *blocks.groups))
    return len(blocks.members) <= MOST_BLOCKS and ends * devices <= MOST_CELLS


def _follow(race: Race, solver: Solver, known_us: float) -> None:
    """``known_us``: what the solver knows of the best plan."""
    while not race.over:
        message = solver.hear(POLL_S)
        if message is not None:
            known_us = min(known_us, _take(race, message))
        if race.value_us < known_us:
            known_us = race.value_us
            solver.know(known_us)


def _take(race: Race, message: dict[str, Any]) -> float:
    """Value of the plan that the message is of. WrongError, ValueError, TypeError, KeyError: it is not so."""
    if "plan" in message:
        return _plan(race, message["plan"], float(message["most_us"]))
    if message.get("infeasible") is True:
        if race.stages is not None:
            raise WrongError(f"it claims that nothing fits, but a plan of {race.value_us} us does")
        race.prove(inf)
        return inf
    bound_us = float(message["bound_us"])
    if not isfinite(bound_us) or bound_us > race.value_us * (1 + TIE):
        raise WrongError(f"it claims a bound of {bound_us} us, but a plan takes {race.value_us} us")
    race.prove(bound_us)
    return inf


def _plan(race: Race, found: Any, most_us: float) -> float:
    from .wire import stages_of

    stages = stages_of(found)
    pools, count = range(len(race.blocks.pools)), range(len(race.blocks.members))
    if not all(pool in pools and all(block in count for block in chosen) for pool, chosen in stages):
        raise WrongError("it claims a plan of blocks or pools that do not exist")
    value_us = race.offer(stages)
    if not value_us <= most_us * (1 + TIE):
        raise WrongError(f"it claims a plan of {most_us} us, which takes {value_us} us")
    return value_us
