"""From a model in plain numbers and a machine file to the planner's problem, with tables that explain the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planners.evaluate import Evaluation
from planners.problem import Device, Preference, Problem, Schedule, SharedGroup, Tensor, Unit

from ..cost.graph import CostGraph, TensorCost
from ..machine.problem import check_mode
from ..workload import Mode, Workload
from .costs import Costs
from .kinds import TorchMachine

TERMS = (
    "reserved",
    "weights",
    "gradients",
    "optimizer_state",
    "inputs",
    "activations",
    "received",
    "temporaries",
    "weight_update",
)
"""Names of what memory is for, as users see them."""
SPREAD = 1.25
"""How far a unit may be from the speed of its device before a plan says so."""


@dataclass(frozen=True, slots=True)
class Costed:
    """A problem and what its numbers are made of."""

    problem: Problem
    costs: Costs
    machine: TorchMachine
    """The devices in use, in order."""

    def terms(self, evaluation: Evaluation, device: int) -> dict[str, int]:
        """Bytes of one device by term, all terms present; they sum to the planner's total."""
        memory, graph = evaluation.devices[device].memory, self.costs.graph
        units = [u for s in evaluation.stages if s.device == device for u in range(s.start, s.stop)]
        found = dict.fromkeys(TERMS, 0)
        for name in sorted({name for unit in units for name in graph.units[unit].parameters}):
            for term, bytes_ in self.costs.parameter_terms(graph.parameters[name]).items():
                found[term] += bytes_
        found["inputs"] = sum(group.bytes for group in _inputs(self.costs) if not {*units}.isdisjoint(group.members))
        found |= {"reserved": memory.base, "activations": memory.live, "received": memory.stash}
        return found | {"temporaries": memory.transient, "weight_update": memory.update_excess}


def make_problem(graph: CostGraph, workload: Workload, machine: TorchMachine, prefer: Preference) -> Costed:
    """One stage on each device of `machine`, in order: 1F1B in training, forward only in inference.

    Times are those of the first device; the speed of another is how much faster it runs the whole model. All copies
    take the slowest link, and what a later stage reads goes through all stages between. Every stage has the inputs of
    the model that it reads, of all micro-batches of an update. UsageError where the costs are those of the other mode,
    or a device has no rate for the precision.
    """
    check_mode(graph, workload)
    costs, training = Costs(graph, workload), workload.mode is Mode.TRAINING
    first = machine.devices[0]
    whole_us = costs.total_us(first)
    link, latency_us = machine.slowest_link()
    problem = Problem(
        units=tuple(_unit(costs, index, machine) for index in range(len(graph.units))),
        devices=tuple(
            Device(d.memory_bytes, whole_us / costs.total_us(d) if d != first else 1.0, d.reserved_bytes)
            for d in machine.devices
        ),
        schedule=Schedule.ONE_F_ONE_B if training else Schedule.INFERENCE,
        tensors=tuple(
            Tensor(t.name, t.producer, _passed(t), t.bytes, t.gradient_bytes if training else 0)
            for t in graph.tensors
            if t.producer is not None
        ),
        groups=tuple(_groups(costs)),
        copy_us_per_byte=1e6 / link,
        copy_us=latency_us,
        micro_batches=workload.gradient_accumulation if training else None,
        sequential=frozenset(range(len(graph.units))),
        prefer=prefer,
    )
    return Costed(problem, costs, machine)


def unevenness(costed: Costed) -> Mapping[int, tuple[float, float]]:
    """Device -> how fast it runs single units, of those that matter, as multiples of its speed in the problem: the
    least and the most. Only devices where that is far from 1."""
    costs, found = costed.costs, {}
    first = costed.machine.devices[0]
    units = costs.graph.units
    on_first = [costs.forward_us(u, first) + costs.backward_us(u, first) for u in units]
    heavy = [i for i, us in enumerate(on_first) if 2 * us * len(units) >= sum(on_first)]
    for index, device in enumerate(costed.machine.devices):
        speed = costed.problem.devices[index].speed
        ratios = [
            on_first[i] / (costs.forward_us(units[i], device) + costs.backward_us(units[i], device)) / speed
            for i in heavy
        ]
        if ratios and max(max(ratios), 1 / min(ratios)) > SPREAD:
            found[index] = min(ratios), max(ratios)
    return found


def _unit(costs: Costs, index: int, machine: TorchMachine) -> Unit:
    unit, first = costs.graph.units[index], machine.devices[0]
    own = [n for n in unit.parameters if len(costs.graph.readers(n)) == 1]
    return Unit(
        name=unit.name,
        forward_us=costs.forward_us(unit, first),
        backward_us=costs.backward_us(unit, first),
        resident_bytes=sum(sum(costs.parameter_terms(costs.graph.parameters[n]).values()) for n in own),
        live_bytes=unit.saved_bytes if costs.training else 0,
        transient_bytes=costs.transient_bytes(unit),
        update_bytes=max((costs.gradient_bytes(costs.graph.parameters[n]) for n in unit.parameters), default=0),
    )


def _passed(tensor: TensorCost) -> tuple[int, ...]:
    """All units that it passes on its way from stage to stage."""
    first = 0 if tensor.producer is None else tensor.producer + 1
    return tuple(range(first, tensor.readers[-1] + 1)) if tensor.readers else ()


def _inputs(costs: Costs) -> list[SharedGroup]:
    batches = costs.workload.gradient_accumulation or 1
    given = (tensor for tensor in costs.graph.tensors if tensor.producer is None)
    return [SharedGroup(f"input {t.name}", t.readers, t.bytes * batches, False) for t in given]


def _groups(costs: Costs) -> list[SharedGroup]:
    """Inputs, and weights that several units read: each device that holds one of these has a copy."""
    graph = costs.graph
    return _inputs(costs) + [
        SharedGroup(f"weight {name}", readers, sum(costs.parameter_terms(graph.parameters[name]).values()), False)
        for name in sorted(graph.parameters)
        if len(readers := graph.readers(name)) > 1
    ]
