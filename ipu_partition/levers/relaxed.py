"""Whether smaller inputs could make a plan fit at all, without tracing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import planners
from planners import Infeasible, Problem, ProblemError

from .trials import Trials, hurried


def without_activations(problem: Problem) -> Problem:
    """What stays however small the inputs are: parameters and code."""
    units = tuple(replace(u, live_bytes=0, checkpoint_bytes=0, transient_bytes=0) for u in problem.units)
    return replace(problem, units=units, tensors=tuple(replace(t, bytes=0, gradient_bytes=0) for t in problem.tensors))


def shapes_may_help(trials: Trials, options: Mapping[str, object]) -> bool:
    """False: with `options`, parameters and code alone are more than the IPUs hold."""
    trial = trials.plan(options)
    if trial is None:
        return False
    problem = without_activations(trial.solved.costing.problem)
    try:
        return not isinstance(planners.solve(problem, hurried(trials.request.planner)), Infeasible)
    except (ProblemError, ValueError, ImportError):
        return False
