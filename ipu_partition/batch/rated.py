"""The same cut on another machine."""

from __future__ import annotations

from dataclasses import replace

from planners import Feasible, Infeasible, Solution, evaluate

from ..assemble import mode_plan
from ..machine import Machine, make_problem
from ..overrule import overrule
from ..plan import ModePlan
from ..planned import Planned, warnings
from ..solve import Solved


def on_machine(planned: Planned, kind: Machine) -> ModePlan:
    """What `planned` would do on IPUs of `kind`, no unit being moved: one ipu_config.json serves both."""
    return mode_plan(
        (solved := _judged(planned, kind)),
        [],
        warnings(solved, planned.request, kind),
        applied=planned.plan.applied,
    )


def _judged(planned: Planned, kind: Machine) -> Solved:
    solved, demands = planned.solved, planned.request.demands
    work, assignment, planner = solved.workload, solved.assignment or (), solved.solution.planner
    there = overrule(solved.prepared, demands, work.ipus).placement
    if len({*work.proportions}) > 1:
        there = replace(there, homes=assignment)
    costing = make_problem(solved.prepared.graph, work, kind, placement=there, prefer=demands.prefer)
    found = evaluate(costing.problem, assignment)
    answer: Solution = Feasible(assignment, found, planner)
    if not found.fits:
        reason = f"this cut lacks {found.shortfall_bytes} bytes on one device"
        answer = Infeasible(planner, reason, found.shortfall_bytes, False, assignment, found)
    return replace(solved, costing=costing, solution=answer, baselines=())
