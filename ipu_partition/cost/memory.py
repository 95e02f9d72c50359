"""Activations of a unit that its backward pass needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .tensors import Dataflow, op_name

if TYPE_CHECKING:
    from torch import fx


def saved_by_unit(flow: Dataflow, unit_of: Mapping[fx.Node, int], units: int) -> list[int]:
    """Bytes of the activations that backward needs, at the unit that makes them, each memory root once.

    Weights, inputs and constants are not among them. Sources: PyTorch's derivative formulas, one `saves` word per
    rule; dropout keeps nothing, as PopART draws its mask again from the seed.
    """
    totals = [0] * units
    for node in flow.traced.nodes:
        if flow.rule(node).saves == "copy" and flow.needs_grad(node) and not flow.ignored(node):
            totals[unit_of[node]] += flow.bytes_of(flow.operands(node)[0])
    for kept in saved(flow):
        if kept in unit_of:
            totals[unit_of[kept]] += flow.bytes_of(kept)
    return totals


def saved(flow: Dataflow) -> frozenset[fx.Node]:
    """The memory roots that the backward pass of any op needs."""
    differentiated = (n for n in flow.traced.nodes if flow.needs_grad(n) and not flow.ignored(n))
    return frozenset(kept for node in differentiated for kept in saved_by(flow, node))


def saved_by(flow: Dataflow, node: fx.Node) -> list[fx.Node]:
    """The memory roots that the backward pass of `node` needs; no weights, no constants."""
    roots = map(flow.root, _saved(flow, node))
    return [root for root in roots if root not in flow.traced.reads and not flow.constant(root)]


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
    if saves == "copy":
        return operands[1:2]
    if saves == "positions":
        return [user for user in node.users if op_name(user) == "getitem" and user.args[1] == 1]
    if saves == "partners":
        factors = _factors(flow, node)
        return [a for i, a in enumerate(factors) if any(i != j and flow.needs_grad(b) for j, b in enumerate(factors))]
    return []


def _factors(flow: Dataflow, node: fx.Node) -> list[fx.Node]:
    """What is multiplied: of an affine op not what is added, and of no op its indices."""
    found = _tensors({"linear": node.args[:2], "addmm": node.args[1:3]}.get(flow.rule(node).flops, node.args))
    return [factor for factor in found if flow.is_real(factor)]


def _tensors(arguments: Iterable[object]) -> list[fx.Node]:
    """Nodes among the arguments and in lists of them, each as often as it stands there."""
    from torch import fx

    found: list[fx.Node] = []
    for argument in arguments:
        if isinstance(argument, fx.Node):
            found.append(argument)
        elif isinstance(argument, list | tuple):
            found += _tensors(argument)
    return found


def largest_op(flow: Dataflow, nodes: Sequence[fx.Node]) -> int:
    """Bytes of operands and result of the largest matrix product or convolution."""
    products = [n for n in nodes if flow.rule(n).flops]
    return max((flow.bytes_of(n) + sum(map(flow.bytes_of, flow.operands(n))) for n in products), default=0)
