"""Which activations are alive when each op of a unit runs, forward and backward; weights are not counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .memory import saved_by
from .tensors import Dataflow

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True, slots=True)
class Alive:
    """Bytes alive while each node runs, its operands and results included."""

    forward: Mapping[fx.Node, int]
    backward: Mapping[fx.Node, int]
    """Saved activations and activation gradients; empty where nothing is trained."""


def alive(flow: Dataflow, nodes: Sequence[fx.Node], kept: frozenset[fx.Node]) -> Alive:
    """Of one unit. `kept`: the memory roots that the backward pass needs, of all units.

    Forward, inputs live from the start and results from where they are made, to their last use inside or, where the
    backward pass or something later reads them, to the end. Backward, nodes run in reverse: what a node
    saved lives until its own backward pass, a gradient from where it is first made until the backward pass of the
    node that made the activation; gradients of the unit's outputs live from the start, of its inputs to the end.
    """
    spans = _forward_spans(flow, nodes, kept)
    forward = dict(zip(nodes, spans.sweep(flow, len(nodes)), strict=True))
    if not flow.traced.training:
        return Alive(forward, {})
    return Alive(forward, dict(zip(reversed(nodes), _backward_spans(flow, nodes).sweep(flow, len(nodes)), strict=True)))


@dataclass(slots=True)
class _Spans:
    """When something is alive: memory roots, once as activation and once as gradient."""

    born: dict[tuple[fx.Node, bool], int] = field(default_factory=dict)
    dies: dict[tuple[fx.Node, bool], int] = field(default_factory=dict)

    def use(self, root: fx.Node, step: int, *, gradient: bool = False, since: int | None = None) -> None:
        """`root` is alive at `step`, and since `since` where it was not seen before."""
        key = root, gradient
        self.born[key] = min(self.born.get(key, step), step if since is None else since)
        self.dies[key] = max(self.dies.get(key, step), step)

    def sweep(self, flow: Dataflow, steps: int) -> list[int]:
        change = [0] * (steps + 2)
        for key, start in self.born.items():
            change[start] += flow.bytes_of(key[0])
            change[min(self.dies[key], steps) + 1] -= flow.bytes_of(key[0])
        found, now = [], 0
        for delta in change[:steps]:
            now += delta
            found.append(now)
        return found


def _forward_spans(flow: Dataflow, nodes: Sequence[fx.Node], kept: frozenset[fx.Node]) -> _Spans:
    inside, spans, end = set(nodes), _Spans(), len(nodes)
    for step, node in enumerate(nodes):
        for root in map(flow.root, flow.operands(node)):
            if root not in flow.traced.reads:
                spans.use(root, step, since=None if root in inside else 0)
                if root in kept and root not in inside:
                    spans.use(root, end)
        root = flow.root(node)
        made = root not in flow.traced.reads and not flow.ignored(node)
        if made or (root, False) in spans.born:
            if made:
                spans.use(root, step)
            if root in kept or any(user not in inside for user in node.users):
                spans.use(root, end)
    return spans


def _backward_spans(flow: Dataflow, nodes: Sequence[fx.Node]) -> _Spans:
    inside, spans, last = set(nodes), _Spans(), len(nodes) - 1
    for index, node in enumerate(nodes):
        step = last - index
        if not flow.needs_grad(node) or flow.ignored(node):
            continue
        for root in saved_by(flow, node):
            spans.use(root, step, since=0)
        read_later = any(user not in inside for user in node.users)
        spans.use(flow.root(node), step, gradient=True, since=0 if read_later else None)
        for operand in flow.operands(node):
            root = flow.root(operand)
            if flow.needs_grad(operand) and root not in flow.traced.reads:
                spans.use(root, step, gradient=True)
                if root not in inside:
                    spans.use(root, last, gradient=True)
    return spans
