"""CP-SAT behind one function: a program in, what it found and what it claims out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .program import OBJECTIVE, Program

LOWEST = -(2**62)


class End(Enum):
    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Settings:
    seconds: float
    workers: int
    presolve: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    end: End
    bound: int | None
    """Claimed of the objective; the optimum where it is one, ``None`` of the infeasible."""


Found = Callable[[int, Callable[[int], bool]], None]
"""Told of each better solution: the objective, and which binaries are 1."""


def solve(
    program: Program, start: Mapping[int, int], settings: Settings, found: Found, bounded: Callable[[int], None]
) -> Outcome:
    """Minimise; ``start`` are values of columns in a known solution, ``bounded`` is told of each better bound."""
    from ortools.sat.python import cp_model

    class Listener(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            values = list(self.response_proto.solution)
            found(values[OBJECTIVE], lambda column: bool(values[column]))

    solver = cp_model.CpSolver()
    _set(solver.parameters, settings)
    solver.best_bound_callback = lambda bound: bounded(round(bound))
    status = solver.solve(_written(cp_model, program, start), Listener())
    if status == cp_model.INFEASIBLE:
        return Outcome(End.INFEASIBLE, None)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
        raise ValueError(f"CP-SAT answers {solver.status_name(status)}")
    return Outcome(End.OPTIMAL if status == cp_model.OPTIMAL else End.STOPPED, round(solver.best_objective_bound))


def _set(parameters: Any, settings: Settings) -> None:
    parameters.max_time_in_seconds = max(0.0, settings.seconds)
    parameters.num_workers = settings.workers
    parameters.random_seed = 0
    parameters.catch_sigint_signal = False
    parameters.cp_model_presolve = settings.presolve
    parameters.presolve_inclusion_work_limit = 0  # it has been seen to lose solutions
    if settings.workers == 1:
        parameters.linearization_level = 2


def _written(cp_model: Any, program: Program, start: Mapping[int, int]) -> Any:
    model = cp_model.CpModel()
    model.minimize(model.new_int_var(program.least, program.most, ""))
    for _ in range(program.columns - 1):
        model.new_bool_var("")
    begin = 0
    for end, limit in zip(program.ends, program.limits, strict=True):
        linear = model.proto.constraints.add().linear
        linear.vars.extend(program.terms[begin:end])
        linear.coeffs.extend(program.values[begin:end])
        linear.domain.extend([LOWEST, limit])
        begin = end
    model.proto.solution_hint.vars.extend(list(start))
    model.proto.solution_hint.values.extend(list(start.values()))
    return model
