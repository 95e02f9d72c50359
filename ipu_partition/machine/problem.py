"""From a model in plain numbers to the planner's problem, keeping the tables that explain the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from planners.problem import Device, Preference, Problem, Schedule

from ..cost.graph import CostGraph
from ..errors import UsageError
from ..workload import Mode, Workload
from . import codelets, time
from .builder import Builder
from .constants import MEMORY, TIME, MemoryModel, TimeModel
from .kinds import Machine
from .memory import GroupTerms, UnitTerms, imbalance_bytes, usable_bytes
from .placement import ANYWHERE, Placement, check


@dataclass(frozen=True, slots=True)
class Costing:
    """A problem and what its numbers are made of."""

    problem: Problem
    base: Mapping[str, int]
    """Terms on every device in use."""
    units: tuple[UnitTerms, ...]
    """As `problem.units`."""
    groups: tuple[GroupTerms, ...]
    """As `problem.groups`."""
    graph: CostGraph
    workload: Workload
    machine: Machine
    memory_model: MemoryModel
    time_model: TimeModel


def make_problem(
    graph: CostGraph,
    workload: Workload,
    machine: Machine,
    *,
    placement: Placement = ANYWHERE,
    prefer: Preference = Preference.TIME,
    memory_model: MemoryModel = MEMORY,
    time_model: TimeModel = TIME,
) -> Costing:
    """The planning problem of `graph` run as `workload` on IPUs of one kind; `prefer` says which criterion leads.

    UsageError where the costs are those of the other mode, or where `placement` contradicts the graph.
    """
    check_mode(graph, workload)
    builder = Builder(graph, workload, machine, placement, memory_model, time_model)
    check(placement, graph, builder.ipus)
    unit_terms = builder.unit_terms()
    shared = builder.shared()
    base = {
        **codelets.base_terms(workload, memory_model),
        "imbalance": imbalance_bytes(machine.tiles, memory_model),
    }
    capacity = usable_bytes(machine.capacity_bytes, memory_model)
    device = Device(capacity_bytes=capacity, base_bytes=sum(base.values()))
    problem = Problem(
        units=tuple(builder.unit(i, terms) for i, terms in enumerate(unit_terms)),
        devices=tuple(replace(device, layers=count) for count in placement.layers or (None,) * builder.ipus),
        schedule=schedule_of(workload),
        tensors=builder.tensors(),
        groups=tuple(group for group, _ in shared),
        copy_us_per_byte=time.copy_us_per_byte(machine),
        pins=tuple(sorted(placement.pins)),
        forbidden_cuts=placement.forbidden_cuts,
        sequential=placement.sequential,
        allow_empty=placement.allow_empty,
        prefer=prefer,
    )
    terms = tuple(terms for _, terms in shared)
    return Costing(problem, base, unit_terms, terms, graph, workload, machine, memory_model, time_model)


def schedule_of(workload: Workload) -> Schedule:
    """Pipelined training, pipelined inference, or sharded inference."""
    if workload.mode is Mode.TRAINING:
        return Schedule.TRAINING
    return Schedule.INFERENCE if workload.pipelined else Schedule.SHARDED


def check_mode(graph: CostGraph, workload: Workload) -> None:
    """UsageError where training is asked for and the costs are those of inference, or the reverse."""
    wanted = workload.mode is Mode.TRAINING
    if wanted != graph.training:
        names = {True: "training", False: "inference"}
        raise UsageError(
            f"the costs are those of {names[graph.training]}, the workload asks for {names[wanted]}; "
            "cost the model again in that mode."
        )
