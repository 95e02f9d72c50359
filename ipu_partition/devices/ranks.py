"""A plan for IPUs planned again as engines run it that hold one stage on each rank."""

from __future__ import annotations

from dataclasses import dataclass, replace

import planners
from planners import Evaluation, Infeasible, PlannerError, Preference, Problem

from ..errors import UsageError
from ..layout import placement
from ..machine import Machine, Placement, machine, make_problem
from ..plan import MachineInfo
from ..prepare import Prepared
from ..workload import Workload
from . import problem as devices
from .kinds import TorchDevice, TorchMachine

PLANNER = "inline"


@dataclass(frozen=True, slots=True)
class Ranked:
    """One run of units on each rank, in unit order."""

    assignment: tuple[int, ...]
    """Rank of each unit of the prepared graph."""
    objective_us: float
    """Predicted cycle on the machine of the plan, or latency where the workload is sharded."""
    fits: bool
    """Whether each stage fits the memory of one of its devices; an engine on others may run it all the same."""
    shortfall_bytes: int
    """What the fullest device lacks."""
    copied: tuple[str, ...]
    """Parameters that several ranks hold, in order of name."""
    evaluation: Evaluation


def machine_of(info: MachineInfo) -> Machine | TorchMachine:
    """The machine that a plan was made for. UsageError for a kind of IPU that is not known here."""
    if info.devices is None:
        return machine(info.name)
    return TorchMachine(info.name, tuple(TorchDevice(**device.model_dump()) for device in info.devices))


def ranked(prepared: Prepared, work: Workload, kind: Machine | TorchMachine, ranks: int) -> Ranked:
    """The best cut of `prepared` into `ranks` stages that follow each other, by the costs of `kind`.

    As `work` runs there, but for what binds units to an IPU: a rank is never visited twice, so nothing is pinned, cuts
    may be between any two units, and a tied weight is copied to every rank that needs it. Where no cut fits the memory,
    it is the one that comes nearest. UsageError where there are fewer units than ranks, or fewer devices.
    """
    units = len(prepared.graph.units)
    if not 1 <= ranks <= units:
        raise UsageError(
            f"{ranks} ranks were asked for, but {prepared.name} has {units} places where a stage may begin "
            f"({prepared.mode.value}); expected 1 to {units}."
        )
    try:
        solution = planners.solve(_problem(prepared, replace(work, ipus=ranks), kind), PLANNER)
    except (ValueError, PlannerError) as error:
        raise UsageError(f"{prepared.name} cannot be cut into {ranks} stages: {error}.") from error
    assert solution.assignment is not None, "nothing but memory stands against it"
    assert solution.evaluation is not None, "an assignment comes with its evaluation"
    return Ranked(
        assignment=solution.assignment,
        objective_us=solution.evaluation.objective_us,
        fits=not isinstance(solution, Infeasible),
        shortfall_bytes=solution.evaluation.shortfall_bytes,
        copied=copied(prepared, solution.assignment),
        evaluation=solution.evaluation,
    )


def copied(prepared: Prepared, assignment: tuple[int, ...]) -> tuple[str, ...]:
    """Trained parameters that units of several devices read, in order of name."""
    graph = prepared.graph
    several = (
        name
        for name, parameter in graph.parameters.items()
        if not parameter.buffer and len({assignment[unit] for unit in graph.readers(name)}) > 1
    )
    return tuple(sorted(several))


def _problem(prepared: Prepared, work: Workload, kind: Machine | TorchMachine) -> Problem:
    if isinstance(kind, TorchMachine):
        return devices.make_problem(prepared.graph, work, kind.first(work.ipus), Preference.TIME).problem
    return make_problem(prepared.graph, work, kind, placement=_in_order(prepared, work.ipus)).problem


def _in_order(prepared: Prepared, ranks: int) -> Placement:
    """Checkpoints and tables in pieces as on IPUs, every unit in order, nothing bound to a place."""
    base = placement(prepared.layout, prepared.graph, ranks)
    return Placement(
        ipus=ranks,
        sequential=frozenset(range(len(prepared.graph.units))),
        checkpoints=base.checkpoints,
        serialised=base.serialised,
        copied=True,
    )
