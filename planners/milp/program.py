"""The program of one phase: a goal to minimise, within limits that earlier phases left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import frexp, inf

from ..evaluate import Evaluation
from ..problem import Schedule
from .constraints import constrain
from .goals import Goal, Limits, most_bytes
from .model import Expression, Model, Units, total
from .network import Network
from .terms import memory, received, times
from .variables import Places


@dataclass
class Program:
    model: Model
    places: Places
    unit: float
    """What 1 of the objective stands for."""
    units: Units
    times: list[Expression] = field(default_factory=list)
    """Of the devices, where they matter."""
    squares: list[Expression] = field(default_factory=list)
    """Of those times, where the goal is evenness."""

    def forbid(self, columns: Sequence[int]) -> None:
        """Leave out one assignment."""
        self.model.row(dict.fromkeys(columns, 1.0), upper=len(columns) - 1.0)

    def flatten(self, evaluation: Evaluation) -> None:
        """Squares are above their tangents at the times of an assignment: exact there."""
        loads = evaluation.devices if self.squares else ()
        for square, time, load in zip(self.squares, self.times if loads else (), loads, strict=True):
            at = load.time_us / self.units.us
            self.model.row(total([(square, 1.0), (time, -2.0 * at)]), lower=-at * at)


def write(network: Network, goal: Goal, limits: Limits, units: Units, low: float, tick: Callable[[], None]) -> Program:
    """The program; ``low`` is a bound on the goal that is already known."""
    places = Places(Model(tick), network)
    constrain(places)
    program = Program(places.model, places, 1.0, units)
    if goal in (Goal.TIME, Goal.EVENNESS) or limits.time_us < inf:
        _time(program, places, goal, limits, low)
    _memory(program, places, goal, limits, low)
    if goal is Goal.COPIES or limits.copied_bytes < inf:
        _copies(program, places, goal, limits)
    return program


def _time(program: Program, places: Places, goal: Goal, limits: Limits, low: float) -> None:
    model, us = program.model, program.units.us
    program.times = times(places, program.units)
    sharded = places.network.blocks.problem.schedule is Schedule.SHARDED
    loads = [total((time, 1.0) for time in program.times)] if sharded else program.times
    for load in loads if limits.time_us < inf else []:
        model.row(load, upper=limits.time_us / us)
    if goal is Goal.TIME:
        longest = {model.column(low / us): 1.0}
        for load in loads:
            model.at_least(longest, load)
        model.objective, program.unit = longest, us
    if goal is Goal.EVENNESS:
        program.squares = [model.variable() for _ in program.times]
        model.objective, program.unit = total((square, 1.0) for square in program.squares), us**2


def _copies(program: Program, places: Places, goal: Goal, limits: Limits) -> None:
    copied = total((expression, 1.0) for expression in received(places, program.units))
    if limits.copied_bytes < inf:
        program.model.row(copied, upper=(limits.copied_bytes + 0.5) / program.units.moved_bytes)
    if goal is Goal.COPIES:
        program.model.objective, program.unit = copied, program.units.moved_bytes


def _memory(program: Program, places: Places, goal: Goal, limits: Limits, low: float) -> None:
    """Rows only where they may matter."""
    model, unit = program.model, program.units.bytes
    most = limits.device_bytes()
    enough = most_bytes(places.network)
    if goal not in (Goal.LACK, Goal.MEMORY) and all(enough <= bytes_ for bytes_ in most):
        return
    peak = {model.column(low / unit): 1.0}
    for held, bytes_ in zip(memory(places, program.units), most, strict=True):
        if goal is Goal.LACK:
            model.at_least(peak, held, -bytes_ / unit)
        elif bytes_ < enough:
            model.row(held, upper=bytes_ / unit)
        if goal is Goal.MEMORY:
            model.at_least(peak, held)
    if goal in (Goal.LACK, Goal.MEMORY):
        model.objective, program.unit = peak, unit


def units_of(network: Network, time_us: float) -> Units:
    """Powers of two, so that scaling rounds nothing: times become about 100, bytes at most some 10,000."""
    moved = sum(network.blocks.flows.values())
    return Units(_power(time_us / 100), *(max(1.0, _power(most / 10_000)) for most in (most_bytes(network), moved)))


def _power(value: float) -> float:
    return 2.0 ** frexp(value)[1] if value > 0 else 1.0
