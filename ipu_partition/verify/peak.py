"""Whether what a run keeps and exchanges is what the plan's memory counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from planners.evaluate import Evaluation, evaluate

from ..cost.graph import CostGraph, TensorCost, UnitCost
from ..cost.segments import segments
from ..cost.tensors import op_name
from ..hosted import as_hosted
from ..machine import Costing, device_terms, machine, make_problem
from ..overrule import overrule
from ..prepare import Prepared
from ..reopen import Reopened
from ..verified_parts import Peaked, PeakIpu
from ..workload import Mode
from .equivalence import Executed


@dataclass(frozen=True, slots=True)
class Kept:
    """Memory of the IPUs that activations take, in bytes."""

    saved: tuple[int, ...]
    """For the backward pass of one micro-batch."""
    stash: tuple[int, ...]
    """Checkpoints and tensors from other stages, of all micro-batches in flight."""
    received: tuple[int, ...]
    """From other IPUs, for one micro-batch."""


def peaked(executed: Executed) -> Peaked:
    """The proof. The measured sizes go through the same rules as the planned ones: the schedule decides how often a
    tensor is kept, the run how large it is and what is kept at all."""
    subject = executed.subject
    graph = subject.prepared.graph
    measured = _measured(executed)
    planned, found = _kept(executed, graph), _kept(executed, measured)
    rows = [
        PeakIpu(
            ipu=ipu,
            saved_bytes=found.saved[ipu],
            planned_saved_bytes=planned.saved[ipu],
            stash_bytes=found.stash[ipu],
            planned_stash_bytes=planned.stash[ipu],
            received_bytes=found.received[ipu],
            planned_received_bytes=planned.received[ipu],
        )
        for ipu in range(len(planned.saved))
    ]
    problems = [
        *_unit_problems(graph, measured),
        *_unknown_problems(executed),
        *_tensor_problems(graph, measured),
        *_document_problems(executed),
    ]
    return Peaked(
        passed=not problems,
        difference=problems[0] if problems else None,
        ipus=rows,
        explained=dict(sorted(executed.saved.extra.items())),
    )


def _measured(executed: Executed) -> CostGraph:
    """The cost graph with the sizes that the run had."""
    subject, saved = executed.subject, executed.saved
    prepared = subject.prepared
    parts = segments(prepared.traced, prepared.layout.starts)
    unit_of = {node: i for i, part in enumerate(parts) for node in part.nodes}
    kept = [0] * len(parts)
    for node, size in (*saved.roots.items(), *saved.copies.items(), *saved.missing().items()):
        kept[unit_of[node]] += size
    graph = prepared.graph
    units = [
        replace(unit, saved_bytes=kept[i]) if i < len(parts) else unit for i, unit in enumerate(graph.units)
    ]  # a declared loss is no part of the trace
    crossing = {value.name for value in executed.run.split.values}
    tensors = (_resized(executed, t) if t.name in crossing else t for t in graph.tensors)
    return replace(graph, units=tuple(units), tensors=tuple(tensors))


def _resized(executed: Executed, tensor: TensorCost) -> TensorCost:
    """As it was when it crossed."""
    run, flow = executed.run, executed.subject.prepared.flow
    made, gradient = run.returned[tensor.name], run.gradients.get(tensor.name)
    width = flow.width(str(made.dtype))
    back = 0 if gradient is None else gradient.numel() * width
    return replace(tensor, bytes=made.numel() * width, gradient_bytes=back)


def _kept(executed: Executed, graph: CostGraph) -> Kept:
    subject = executed.subject
    measured = replace(subject.prepared, graph=graph, whole=None)
    costing, evaluation = _judged(subject.reopened, subject.mode, measured, subject.assignment)
    count = len(evaluation.devices)
    terms = [device_terms(costing, evaluation, ipu) for ipu in range(count)]
    home = subject.assignment
    saved = [0] * count
    for unit, ipu in zip(costing.graph.units, home, strict=True):
        saved[ipu] += unit.saved_bytes if graph.training else 0
    received = [0] * count
    for tensor in costing.problem.tensors:
        maker = None if tensor.producer is None else home[tensor.producer]
        for ipu in {home[reader] for reader in tensor.readers} - {maker}:
            received[ipu] += tensor.bytes if maker is not None else 0
    return Kept(tuple(saved), tuple(t["stash"] + t["received"] for t in terms), tuple(received))


def _judged(
    reopened: Reopened, mode: Mode, prepared: Prepared, assignment: tuple[int, ...]
) -> tuple[Costing, Evaluation]:
    """The plan's assignment with the costs of `prepared`."""
    work, request = reopened.workload(mode), reopened.requests[mode]
    hosted = as_hosted(prepared, work.serialisation, work.ipus)
    demands = replace(request.demands, layers=(), pins=())
    there = replace(overrule(hosted, demands, work.ipus).placement, homes=_homes(hosted, assignment))
    costing = make_problem(hosted.graph, work, machine(request.machine), placement=there, prefer=demands.prefer)
    return costing, evaluate(costing.problem, assignment)


def _homes(hosted: Prepared, assignment: tuple[int, ...]) -> tuple[int, ...]:
    return assignment if len(assignment) == len(hosted.graph.units) else ()


def _unit_problems(planned: CostGraph, measured: CostGraph) -> Iterator[str]:
    for i, (ours, found) in enumerate(zip(planned.units, measured.units, strict=True)):
        if ours.saved_bytes != found.saved_bytes:
            yield (
                f"unit {i} ({_name(ours)}) keeps {found.saved_bytes:,} bytes for its backward pass, the plan counts "
                f"{ours.saved_bytes:,}"
            )


def _tensor_problems(planned: CostGraph, measured: CostGraph) -> Iterator[str]:
    for ours, found in zip(planned.tensors, measured.tensors, strict=True):
        if (ours.bytes, ours.gradient_bytes) != (found.bytes, found.gradient_bytes):
            yield (
                f"the tensor {ours.name!r} has {found.bytes:,} bytes and a gradient of {found.gradient_bytes:,}, the "
                f"plan counts {ours.bytes:,} and {ours.gradient_bytes:,}"
            )


def _document_problems(executed: Executed) -> Iterator[str]:
    """Where the terms in the plan are not those that the costs of its model give, at full size."""
    reopened, mode = executed.subject.reopened, executed.subject.mode
    prepared = reopened.prepared(mode)
    costing, evaluation = _judged(reopened, mode, prepared, reopened.assignment(mode, prepared))
    for ipu in reopened.plan.mode(mode.value).ipus:
        terms: Mapping[str, int] = device_terms(costing, evaluation, ipu.ipu)
        for name, found in terms.items():
            said = ipu.memory.terms.get(name, 0)
            if said != found:
                yield f"the plan says {said:,} bytes of {name} on IPU {ipu.ipu}, its costs give {found:,}"


def _unknown_problems(executed: Executed) -> Iterator[str]:
    for node, size in executed.saved.unknown.items():
        yield f"{op_name(node)} keeps {size:,} bytes of its own for its backward pass, the plan counts none of them"


def _name(unit: UnitCost) -> str:
    return repr(unit.name) if unit.name else "before the first block"
