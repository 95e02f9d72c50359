"""The cost of one op: FLOPs and traffic, forward and backward."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from .flops import FORMULAS, einsum
from .graph import Work
from .liveness import Alive
from .tensors import Dataflow, op_name

if TYPE_CHECKING:
    from torch import fx


def unit_work(flow: Dataflow, nodes: Iterable[fx.Node], alive: Alive) -> tuple[Work, ...]:
    """Work of the nodes that cost something, equal ones counted together, in order of first appearance."""
    equal: dict[Work, list[fx.Node]] = {}
    for node in nodes:
        if not flow.ignored(node):
            equal.setdefault(op_work(flow, node), []).append(node)
    return tuple(
        replace(
            work,
            count=len(group),
            forward_live_bytes=max(alive.forward.get(node, 0) for node in group),
            backward_live_bytes=max(alive.backward.get(node, 0) for node in group),
        )
        for work, group in equal.items()
    )


def op_work(flow: Dataflow, node: fx.Node) -> Work:
    """One node. Backward: per operand that needs a gradient, the product of the output's gradient with the other
    operands (matrix products), or one pass over operand and output (everything else)."""
    rule, operands = flow.rule(node), flow.operands(node)
    flops = _flops(flow, node)
    sizes = [_read(flow, node, operand, i) for i, operand in enumerate(operands)]
    written = flow.bytes_of(node)
    wanted = [i for i, operand in enumerate(operands) if flow.needs_grad(operand)] if flow.needs_grad(node) else []
    if rule.flops:
        products = [i for i in wanted if not _added(rule.flops, node, operands[i])]
        backward = len(products) * (written + sum(sizes))
    else:
        products = wanted
        backward = sum(written + sizes[i] for i in wanted)
    weights = sum(sizes[i] for i, operand in enumerate(operands) if flow.root(operand) in flow.traced.reads)
    table = flow.traced.reads.get(flow.root(operands[0]), "") if rule.kind == "embedding" and operands else ""
    traffic = sum(sizes) + written
    return Work(rule.kind, op_name(node), 1, flops, flops * len(products), traffic, backward, weights, table=table)


def _flops(flow: Dataflow, node: fx.Node) -> int:
    from torch import fx

    rule = flow.rule(node)
    if not rule.flops:
        return 0
    nested = node.args[1] if rule.flops == "einsum" and isinstance(node.args[1], list | tuple) else node.args
    shapes = [flow.shape(n) for n in nested if isinstance(n, fx.Node)]
    if rule.flops == "einsum":
        return einsum(str(node.args[0]), shapes)
    return FORMULAS[rule.flops](shapes, flow.shape(node))


def _added(formula: str, node: fx.Node, operand: fx.Node) -> bool:
    """A bias, which no product is made with: its gradient is a sum."""
    position = node.args.index(operand) if operand in node.args else -1
    return position == 0 if formula == "addmm" else position == 2 and formula in ("linear", "conv", "conv_transpose")


def _read(flow: Dataflow, node: fx.Node, operand: fx.Node, index: int) -> int:
    """Bytes read of an operand: rows that are looked up, not the whole table."""
    if index == 0 and flow.rule(node).kind in ("embedding", "gather"):
        return min(flow.bytes_of(operand), flow.bytes_of(node))
    return flow.bytes_of(operand)
