"""HiGHS behind one function: a written model in, what it found and what it proved out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from threading import Thread
from types import ModuleType
from typing import Any

import numpy as np

from ..registry import PlannerError
from .model import Model

OPTIONS = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "mip_rel_gap": 2e-10,
    "mip_abs_gap": 1e-12,
    "mip_feasibility_tolerance": 1e-9,
    "primal_feasibility_tolerance": 1e-9,
    "dual_feasibility_tolerance": 1e-9,
    "small_matrix_value": 1e-12,
}
"""One thread and one seed, so that the same model gives the same answer."""


JOIN_S = 0.1
"""Seconds after which the main thread looks for signals."""

STOP_S = 8.0
"""Seconds within which HiGHS stops when told to: in presolve it takes its time to look."""


@dataclass(frozen=True, slots=True)
class Outcome:
    columns: list[int] | None
    """Binary columns that are 1 in the best solution found."""
    bound: float
    """Proved: no solution has a lower objective."""
    finished: bool
    """The best solution is optimal, or there is none."""


def load() -> ModuleType:
    """The solver. PlannerError where it is not installed."""
    try:
        import highspy
    except ImportError as error:
        raise PlannerError(
            "planner 'milp' needs highspy, which is not installed; pip install 'ipu-partition[milp]'"
        ) from error
    module: ModuleType = highspy
    return module


def solve(model: Model, start: Sequence[int] | None, left: Callable[[], float]) -> Outcome:
    """Minimise within the seconds left; ``start`` are the binary columns that are 1 in a known solution.

    Presolve has been seen to call a model infeasible of which a solution was known; so that is asked twice.
    """
    outcome = _run(model, start, left(), "choose")
    if outcome.finished and not isfinite(outcome.bound):
        outcome = _run(model, start, left(), "off")
    return outcome


def _run(model: Model, start: Sequence[int] | None, seconds: float, presolve: str) -> Outcome:
    highspy = load()
    solver = highspy.Highs()
    for option, value in {**OPTIONS, "time_limit": max(0.0, seconds), "presolve": presolve}.items():
        solver.setOptionValue(option, value)
    solver.passModel(_program(highspy, model))
    if start is not None:
        chosen = np.zeros(model.binaries)
        chosen[list(start)] = 1.0
        solver.setSolution(model.binaries, np.arange(model.binaries, dtype=np.int32), chosen)
    if _interruptible(solver) == highspy.HighsStatus.kError:
        solver.setOptionValue("threads", 0)  # other code of this process has already started HiGHS with more
        _interruptible(solver)
    return _outcome(highspy, solver, model)


def _interruptible(solver: Any) -> Any:
    """Run in a thread of its own: Python handles Ctrl-C in the main one, which must not be inside HiGHS then."""
    status: list[Any] = []
    solver.HandleUserInterrupt = True
    worker = Thread(target=lambda: status.append(solver.run()), daemon=True)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(JOIN_S)
    except BaseException:
        solver.cancelSolve()
        worker.join(STOP_S)  # it calls back into Python, which must still be there
        raise
    return status[0]


def _program(highspy: Any, model: Model) -> Any:
    program = highspy.HighsLp()
    columns = len(model.lower)
    cost = np.zeros(columns)
    cost[list(model.objective)] = list(model.objective.values())
    program.num_col_, program.num_row_ = columns, len(model.row_lower)
    program.col_cost_ = cost
    program.col_lower_, program.col_upper_ = np.array(model.lower), np.array(model.upper)
    program.row_lower_, program.row_upper_ = np.array(model.row_lower), np.array(model.row_upper)
    program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    program.a_matrix_.num_col_, program.a_matrix_.num_row_ = columns, len(model.row_lower)
    program.a_matrix_.start_ = np.array(model.starts, np.int32)
    program.a_matrix_.index_ = np.array(model.indices, np.int32)
    program.a_matrix_.value_ = np.array(model.values, float)
    kinds = [highspy.HighsVarType.kInteger] * model.binaries
    program.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * (columns - model.binaries)
    return program


def _outcome(highspy: Any, solver: Any, model: Model) -> Outcome:
    status, info = solver.getModelStatus(), solver.getInfo()
    if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
        return Outcome(None, inf, True)
    finished = status == highspy.HighsModelStatus.kOptimal
    known = finished or status == highspy.HighsModelStatus.kTimeLimit
    bound = info.mip_dual_bound if known and isfinite(info.mip_dual_bound) else -inf
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return Outcome(None, bound, False)
    values = np.array(solver.getSolution().col_value[: model.binaries])
    return Outcome(np.flatnonzero(values > 0.5).tolist(), bound, finished)
