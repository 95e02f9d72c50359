"""From a trace to a cost graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import TraceError
from ..trace.model import TracedModel
from .graph import Audit, CostGraph, ParameterCost, TensorCost, UnitCost
from .memory import backward_peak, forward_peak, largest_op, saved_by_unit
from .segments import Segment, Start, contained_modules, segments
from .tensors import Dataflow, op_name
from .work import unit_work

if TYPE_CHECKING:
    from torch import fx


def cost_graph(
    traced: TracedModel, starts: Sequence[Start], *, float_bytes: int = 2, frozen: Iterable[str] = ()
) -> CostGraph:
    """Cost of `traced` cut at `starts`, with floats of `float_bytes` bytes on the device.

    `frozen` names parameters that are not trained. Raises :class:`TraceError`.
    """
    flow = Dataflow(traced, float_bytes, frozenset(frozen))
    parts = segments(traced, starts)
    unit_of = {node: i for i, part in enumerate(parts) for node in part.nodes}
    saved = saved_by_unit(flow, unit_of, len(parts))
    tensors = _tensors(flow, unit_of)
    outputs = Counter[int]()
    for tensor in tensors:
        if tensor.producer is not None:
            outputs[tensor.producer] += tensor.bytes
    modules = contained_modules(traced, parts)
    units = tuple(
        UnitCost(
            name=part.module,
            modules=modules[i],
            work=unit_work(flow, part.nodes),
            parameters=_parameters_read(flow, part),
            saved_bytes=saved[i],
            output_bytes=outputs[i],
            forward_peak_bytes=forward_peak(flow, part.nodes),
            backward_peak_bytes=backward_peak(flow, part.nodes),
            largest_op_bytes=largest_op(flow, part.nodes),
            result_bytes=sum(flow.bytes_of(n) for n in set(traced.outputs) & set(part.nodes)),
        )
        for i, part in enumerate(parts)
    )
    return CostGraph(units, _parameters(flow), tensors, _audit(flow, units), traced.training)


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
            rows.get(p.name, 0), p.buffer,
        )
        for p in flow.traced.parameters.values()
    }  # fmt: skip


def _tables(flow: Dataflow) -> dict[str, int]:
    """Rows of the tables that are looked up; a projection tied to one is the same parameter."""
    found: dict[str, int] = {}
    for node in flow.traced.nodes:
        if flow.rule(node).kind == "embedding" and flow.operands(node):
            root = flow.root(flow.operands(node)[0])
            if root in flow.traced.reads:
                found[flow.traced.reads[root]] = flow.shape(root)[0]
    return found


def _tensors(flow: Dataflow, unit_of: Mapping[fx.Node, int]) -> tuple[TensorCost, ...]:
    readers: dict[fx.Node, set[int]] = {}
    for node, unit in unit_of.items():
        if flow.passes_on(node):
            continue
        for operand in flow.operands(node):
            source = _transferred(flow, operand)
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


def _transferred(flow: Dataflow, node: fx.Node) -> fx.Node:
    """The value that crosses a boundary for `node`: what it is a view of, unless that is larger."""
    while flow.is_view(node):
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
