"""Planners: plain numbers in, an assignment of units to devices out.

A leaf library: the standard library, and NumPy while a planner solves. It knows neither torch nor IPUs.
"""

from __future__ import annotations

from .evaluate import TIE, DeviceLoad, Evaluation, evaluate, preferred
from .judge import confirm, solve
from .memory import MemoryBytes
from .problem import Device, Preference, Problem, Schedule, SharedGroup, Tensor, Unit
from .registry import Planner, PlannerError, WrongAnswerError, names, parse, specification
from .solution import Feasible, Infeasible, Optimal, Solution
from .stages import Stage, stages_of, violations
from .validation import ProblemError, validate

__all__ = [
    "TIE",
    "Device",
    "DeviceLoad",
    "Evaluation",
    "Feasible",
    "Infeasible",
    "MemoryBytes",
    "Optimal",
    "Planner",
    "PlannerError",
    "Preference",
    "Problem",
    "ProblemError",
    "Schedule",
    "SharedGroup",
    "Solution",
    "Stage",
    "Tensor",
    "Unit",
    "WrongAnswerError",
    "confirm",
    "evaluate",
    "names",
    "parse",
    "preferred",
    "solve",
    "specification",
    "stages_of",
    "validate",
    "violations",
]
