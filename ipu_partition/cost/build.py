"""From a trace to a cost graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import TraceError
from ..trace.model import TracedModel
from .graph import Audit, CostGraph, ParameterCost, TensorCost, UnitCost
from .liveness import alive
from .memory import largest_op, saved, saved_by_unit
from .segments import Segment, Start, contained_modules, segments
from .tensors import Dataflow, op_name
from .work import unit_work

if TYPE_CHECKING:
    from torch import fx


def cost_graph(
    traced: TracedModel,
    starts: Sequence[Start],
    *,
    float_bytes: int = 2,
    frozen: Iterable[str] = (),
    small_masks: bool = False,
) -> CostGraph:
    """Cost of `traced` cut at `starts`, with floats of `float_bytes` bytes on the device.

    `frozen` names parameters that are not trained; `small_masks`: attention masks are held as small as their inputs and
    broadcast where they are used, whatever the traced model does. Raises :class:`TraceError`.
    """
    return costed(Dataflow(traced, float_bytes, frozenset(frozen), small_masks), starts)


def costed(flow: Dataflow, starts: Sequence[Start]) -> CostGraph:
    """As :func:`cost_graph`, of a trace whose dataflow is known."""
    return costed_parts(flow, segments(flow.traced, starts))


def costed_parts(flow: Dataflow, parts: Sequence[Segment]) -> CostGraph:
    """As :func:`costed`, of units that hold other nodes than those from one start to the next."""
    traced = flow.traced
    unit_of = {node: i for i, part in enumerate(parts) for node in part.nodes}
    saved_bytes, kept = saved_by_unit(flow, unit_of, len(parts)), saved(flow)
    living = [alive(flow, part.nodes, kept) for part in parts]
    tensors = _tensors(flow, unit_of)
    modules = contained_modules(traced, parts)
    units = tuple(
        UnitCost(
            name=part.module,
            modules=modules[i],
            work=unit_work(flow, part.nodes, living[i]),
            parameters=_parameters_read(flow, part),
            saved_bytes=saved_bytes[i],
            output_bytes=_output(flow, part),
            forward_peak_bytes=max(living[i].forward.values(), default=0),
            backward_peak_bytes=max(living[i].backward.values(), default=0),
            largest_op_bytes=largest_op(flow, part.nodes),
            result_bytes=sum(flow.bytes_of(n) for n in set(traced.outputs) & set(part.nodes)),
        )
        for i, part in enumerate(parts)
    )
    return CostGraph(units, _parameters(flow), tensors, _audit(flow, units), traced.training)


def _output(flow: Dataflow, part: Segment) -> int:
    """What is read outside of the module whose call begins the unit; after the module the unit may run others."""
    inside = {n for n in part.nodes if not part.module or part.module in flow.traced.owner(n)}
    read = {transferred(flow, n) for n in inside if any(u.op != "output" and u not in inside for u in n.users)}
    return sum(flow.bytes_of(node) for node in read & inside if not flow.constant(node))


def _parameters_read(flow: Dataflow, part: Segment) -> tuple[str, ...]:
    names = {
        flow.traced.reads[root]: None
        for node in part.nodes
        if not flow.passes_on(node)
        for root in map(flow.root, flow.operands(node))
        if root in flow.traced.reads
    }
    return tuple(names)


def _parameters(flow: Dataflow) -> dict[str, ParameterCost]:
    rows = _tables(flow)
    return {
        p.name: ParameterCost(
            p.name, p.aliases, p.elements, p.elements * flow.width(p.dtype), flow.trainable(p.name),
            rows.get(p.name, 0), p.buffer, p.shape,
        )
        for p in flow.traced.parameters.values()
    }  # fmt: skip


def _tables(flow: Dataflow) -> dict[str, int]:
    """Rows of the tables that are looked up, and of the weights that make the logits."""
    found: dict[str, int] = {}
    for node in flow.traced.nodes:
        looked_up = flow.rule(node).kind == "embedding"
        if (looked_up or flow.rule(node).flops == "linear") and flow.operands(node):
            root = flow.root(node.args[0 if looked_up else 1])  # type: ignore[arg-type]
            if root in flow.traced.reads and (looked_up or _is_result(flow, node)):
                found[flow.traced.reads[root]] = flow.shape(root)[0]
    return found


def _is_result(flow: Dataflow, node: fx.Node) -> bool:
    """Whether it, or a view of it, is an output of the model or goes into its loss."""
    return node in flow.traced.outputs or any(
        flow.rule(user).kind == "loss" or (flow.is_view(user) and _is_result(flow, user))
        for user in node.users
        if user.op != "output"
    )


def _tensors(flow: Dataflow, unit_of: Mapping[fx.Node, int]) -> tuple[TensorCost, ...]:
    readers: dict[fx.Node, set[int]] = {}
    for node, unit in unit_of.items():
        if flow.passes_on(node):
            continue
        for operand in flow.operands(node):
            source = transferred(flow, _from_outside(flow, operand, unit_of, unit))
            if source not in flow.traced.reads and not flow.constant(source) and unit_of.get(source) != unit:
                readers.setdefault(source, set()).add(unit)
    inputs = {node: name for name, node in flow.traced.inputs.items()}
    made = [
        TensorCost(
            name=inputs.get(node, node.name),
            producer=unit_of.get(node),
            readers=tuple(sorted(units)),
            bytes=flow.bytes_of(node),
            gradient_bytes=flow.bytes_of(node) if flow.needs_grad(node) else 0,
        )
        for node, units in readers.items()
    ]
    for tensor in made:
        if tensor.producer is not None and tensor.readers[0] < tensor.producer:
            raise TraceError(
                f"Unit {tensor.readers[0]} was moved before unit {tensor.producer}, whose tensor {tensor.name!r} it "
                "reads: this model does not run in the order its family's table says. Try --target poptorch."
            )
    return tuple(sorted(made, key=lambda t: (-1 if t.producer is None else t.producer, t.name)))


def _from_outside(flow: Dataflow, node: fx.Node, unit_of: Mapping[fx.Node, int], unit: int) -> fx.Node:
    """What a view made in `unit` itself is of: a unit that takes one row of a tensor reads the tensor."""
    while unit_of.get(node) == unit and flow.passes_on(node) and hasattr(node.args[0], "op"):
        node = node.args[0]  # type: ignore[assignment]
    return node


def transferred(flow: Dataflow, node: fx.Node) -> fx.Node:
    """The value that crosses a boundary for `node`: what it is a view of, unless that is larger."""
    while flow.passes_on(node) and flow.root(node) is not node:
        source = node.args[0]
        if not hasattr(source, "op") or flow.bytes_of(source) > flow.bytes_of(node):  # type: ignore[arg-type]
            break
        node = source  # type: ignore[assignment]
    return node


def _audit(flow: Dataflow, units: Iterable[UnitCost]) -> Audit:
    """The counted and unknown are what the units are made of; the rest is ignored."""
    counted: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    traffic: Counter[str] = Counter()
    for work in (w for unit in units for w in unit.work):
        (unknown if work.kind == "unknown" else counted)[work.op] += work.count
        traffic[work.op] += work.count * work.forward_bytes
    ignored = Counter((op_name(node), reason) for node in flow.traced.nodes if (reason := flow.ignored(node)))
    bounded = Counter(op_name(node) for node in flow.traced.nodes if flow.bounded(node))
    total = max(1, sum(traffic.values()))
    return Audit(
        dict(sorted(counted.items())),
        {
            f"{name}: {reason}" if _twice(ignored, name) else name: (n, reason)
            for (name, reason), n in sorted(ignored.items())
        },
        {name: (n, traffic[name] / total) for name, n in sorted(unknown.items())},
        dict(sorted(bounded.items())),
    )


def _twice(ignored: Counter[tuple[str, str]], name: str) -> bool:
    return sum(other == name for other, _ in ignored) > 1
