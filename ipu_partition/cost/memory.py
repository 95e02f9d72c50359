"""Activation bytes of a unit: what its backward pass needs, and the most that is alive at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .tensors import Dataflow

if TYPE_CHECKING:
    from torch import fx


def saved_by_unit(flow: Dataflow, unit_of: Mapping[fx.Node, int], units: int) -> list[int]:
    """Bytes of the activations that backward needs, at the unit that makes them, each memory root once.

    Weights, inputs and constants are not among them. Sources: PyTorch's derivative formulas, one `saves` word per
    rule; dropout keeps nothing, as PopART draws its mask again from the seed.
    """
    totals = [0] * units
    seen: set[fx.Node] = set()
    for node in flow.traced.nodes:
        if not flow.needs_grad(node) or flow.ignored(node):
            continue
        if flow.rule(node).saves == "copy":
            totals[unit_of[node]] += flow.bytes_of(flow.operands(node)[0])
        for kept in map(flow.root, _saved(flow, node)):
            if kept in unit_of and kept not in seen and not flow.constant(kept):
                seen.add(kept)
                totals[unit_of[kept]] += flow.bytes_of(kept)
    return totals


def _saved(flow: Dataflow, node: fx.Node) -> list[fx.Node]:
    saves, operands = flow.rule(node).saves, flow.operands(node)
    if saves == "output":
        return [node]
    if saves == "inputs":
        return operands
    if saves == "first":
        return operands[:1]
    if saves == "indices":
        return operands[1:]
    if saves == "partners":
        return [a for a in operands if any(b is not a and flow.needs_grad(b) for b in operands) or len(operands) == 1]
    return []


def forward_peak(flow: Dataflow, nodes: Sequence[fx.Node]) -> int:
    """Most bytes of activations alive at once over `nodes`, weights not counted.

    Inputs live from the start to their last use; outputs from where they are made to their last use inside or, if
    something later reads them, to the end.
    """
    inside = set(nodes)
    born: dict[fx.Node, int] = {}
    dies: dict[fx.Node, int] = {}
    for step, node in enumerate(nodes):
        for operand in flow.operands(node):
            root = flow.root(operand)
            if root not in flow.traced.reads:
                born.setdefault(root, 0 if root not in inside else step)
                dies[root] = max(step, dies.get(root, 0))
        root = flow.root(node)
        if root not in flow.traced.reads and not flow.ignored(node):
            born.setdefault(root, step)
            end = len(nodes) if any(user not in inside for user in node.users) else step
            dies[root] = max(end, dies.get(root, 0))
        elif root in dies and any(user not in inside for user in node.users):
            dies[root] = len(nodes)
    return _sweep(flow, born, dies, len(nodes))


def _sweep(flow: Dataflow, born: Mapping[fx.Node, int], dies: Mapping[fx.Node, int], steps: int) -> int:
    change = [0] * (steps + 2)
    for root, start in born.items():
        change[start] += flow.bytes_of(root)
        change[dies[root] + 1] -= flow.bytes_of(root)
    alive = most = 0
    for delta in change:
        alive += delta
        most = max(most, alive)
    return most


def backward_peak(flow: Dataflow, nodes: Sequence[fx.Node]) -> int:
    """Most bytes of activation gradients one op handles: that of its output and those of its inputs."""
    most = 0
    for node in nodes:
        if flow.needs_grad(node) and not flow.ignored(node):
            inputs = [o for o in flow.operands(node) if flow.needs_grad(o) and flow.root(o) not in flow.traced.reads]
            most = max(most, flow.bytes_of(node) + sum(flow.bytes_of(o) for o in inputs))
    return most


def largest_op(flow: Dataflow, nodes: Sequence[fx.Node]) -> int:
    """Bytes of operands and result of the largest matrix product or convolution."""
    products = [n for n in nodes if flow.rule(n).flops]
    return max((flow.bytes_of(n) + sum(map(flow.bytes_of, flow.operands(n))) for n in products), default=0)
