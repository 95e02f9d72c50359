"""A trace copied node by node, with a stage for every copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from ..cost.build import transferred
from ..cost.tensors import Dataflow, op_name
from ..errors import UsageError
from .draws import is_random, seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    Key = tuple[fx.Node, int]


LIKE = {
    "type_as": torch.ops.aten.to.dtype,
    "expand_as": torch.ops.aten.expand.default,
    "view_as": torch.ops.aten.view.default,
}
"""Op that takes type or shape from another tensor -> the one that is told them."""


class Copying:
    """The copies of the nodes of one trace: each in its own stage, but views, constants and masks in every stage that
    reads them. Ops that draw remember how many drew before them; ops that change a whole tensor in place make a
    new one."""

    def __init__(self, flow: Dataflow, stages: Mapping[fx.Node, int], homes: Mapping[str, int]) -> None:
        self.flow, self.stages, self.homes = flow, stages, homes
        self.new = fx.Graph()
        self.made: dict[Key, fx.Node] = {}
        self.later: dict[fx.Node, fx.Node] = {}
        """Node -> the op that changed its value."""
        self.leaves: dict[fx.Node, fx.Node] = {}
        self.weights: dict[tuple[str, int], fx.Node] = {}
        self.positions = _positions(flow)
        self.changes = _changes(flow)
        self.likes = {n: LIKE[op_name(n)] for n in flow.traced.nodes if op_name(n) in LIKE}

    def graph(self, order: Sequence[fx.Node]) -> tuple[fx.Graph, list[str]]:
        """The copy, run in `order`, and the names of the nodes of the trace that are its results."""
        for leaf in (*self.flow.traced.reads, *self.flow.traced.inputs.values()):
            self._leaf(leaf)
        for name, home in sorted(self.homes.items()):
            self._weight(name, home)
        for node in order:
            if not self._made_again(node):
                self._at(node, self.stages[node])
        results = _results(self.flow)
        made = [self._result(node) for node in results]
        self.new.output(tuple(made))
        return self.new, [self._named(node) for node in results]

    def _leaf(self, leaf: fx.Node) -> None:
        copy = self.new.placeholder(leaf.name)
        copy.meta.update(origin=leaf.name, val=leaf.meta.get("val"))
        self.leaves[leaf] = copy

    def _weight(self, name: str, home: int) -> None:
        """As the adapter on the host: 0.0 is added to the weight, so that its value can travel."""
        held = next(node for node, key in self.flow.traced.reads.items() if key == name)
        copy = self.new.call_function(torch.ops.aten.add.Scalar, (self.leaves[held], 0.0))
        copy.meta.update(origin=f"weight {name}", val=held.meta.get("val"), stage=home)
        self.weights[name, home] = copy

    def _named(self, node: fx.Node) -> str:
        return self._latest(node).name

    def _latest(self, node: fx.Node) -> fx.Node:
        """What holds the value of `node` after all that has changed it so far."""
        while node in self.later:
            node = self.later[node]
        return node

    def _result(self, node: fx.Node) -> fx.Node:
        return self.leaves[node] if node in self.leaves else self._read(node, self.stages[node])

    def _read(self, node: fx.Node, stage: int) -> fx.Node:
        """What `node` is to an op in `stage`."""
        if node.op == "get_attr":
            return self._attribute(node, stage)
        if node in self.leaves:
            weight = self.flow.traced.reads.get(node, "")
            home = self.homes.get(weight)
            return self.leaves[node] if home is None else self.weights[weight, home]
        node = self._latest(node)
        there = self.stages[node]
        return self._at(node, stage if stage == there or self._made_again(node) else there)

    def _check_own(self, node: fx.Node, stage: int) -> None:
        """UsageError where the op changes a part of memory that another stage made."""
        root = self.flow.root(node)
        made = root in self.stages and (self._made_again(root) or self.stages[root] == stage)
        if not made:
            raise UsageError(
                f"{op_name(node)} in {next(iter(reversed(self.flow.traced.owner(node))), 'the model')!r} writes into a "
                "part of a tensor that another stage, or the caller, made. Stages share no memory: make a new tensor "
                "(torch.cat, torch.stack), or keep both in one stage with --pin."
            )

    def _attribute(self, node: fx.Node, stage: int) -> fx.Node:
        """A subgraph that an op is given."""
        if (node, stage) not in self.made:
            copy = self.new.node_copy(node)
            copy.meta.update(origin=node.name, stage=stage)
            self.made[node, stage] = copy
        return self.made[node, stage]

    def _made_again(self, node: fx.Node) -> bool:
        """Whether every stage that reads it makes it itself."""
        flow = self.flow
        if flow.constant(node) or node in flow.masks or not flow.bytes_of(node):
            return True
        return node not in self.changes and transferred(flow, node) is not node

    def _at(self, node: fx.Node, stage: int) -> fx.Node:
        """The copy of `node` in `stage`, with all that is made of constants in place."""
        key = (node, stage)
        if key in self.made:
            return self.made[key]
        if node in self.changes and self.changes[node] is None:
            self._check_own(node, stage)
        target, given = self.likes.get(node, node.target), _like(node) if node in self.likes else node.args
        args = fx.map_arg(given, lambda n: self._read(n, stage))
        kwargs = fx.map_arg(node.kwargs, lambda n: self._read(n, stage))
        if node in self.changes and self.changes[node] is not None:
            changed, target = node.args[0], self.changes[node]
            self.later[changed] = node  # type: ignore[index]
        if node in self.positions:
            args, target = (self.positions[node], target, *args), seeded
        copy = self.new.call_function(target, args, kwargs)  # type: ignore[arg-type]
        copy.meta.update({k: v for k, v in node.meta.items() if k in ("val", "nn_module_stack")})
        copy.meta.update(origin=node.name, stage=stage)
        self.made[key] = copy
        if self._made_again(node):
            for change in _parts_changed(self.flow, self.changes, node):
                self._at(change, stage)
        return copy


def _like(node: fx.Node) -> tuple[Any, ...]:
    """What the op in :data:`LIKE` is called with instead."""
    value = node.meta["val"]
    return node.args[0], value.dtype if op_name(node) == "type_as" else list(value.shape)


def _results(flow: Dataflow) -> list[fx.Node]:
    """Tensors of the model's output, in order."""
    output = next(n for n in flow.traced.nodes[0].graph.nodes if n.op == "output")
    found: list[fx.Node] = []
    fx.map_arg(output.args[0], lambda n: found.append(n) or n)  # type: ignore[func-returns-value]
    return found


def _positions(flow: Dataflow) -> dict[fx.Node, int]:
    """Op that draws -> number of those that drew before it, in the order of the model."""
    nodes = [n for n in flow.traced.nodes[0].graph.nodes if n.op == "call_function" and is_random(n)]
    return {node: position for position, node in enumerate(nodes)}


def _changes(flow: Dataflow) -> dict[fx.Node, Any]:
    """Op that works in place -> the op that makes a new tensor instead; None where it changes a part of one."""
    found: dict[fx.Node, Any] = {}
    for node in flow.traced.nodes:
        schema = getattr(node.target, "_schema", None)
        if schema is None or not schema.is_mutable or flow.rule(node).kind == "" or not node.args:
            continue
        changed = node.args[0]
        entire = isinstance(changed, fx.Node) and flow.root(changed) is changed
        found[node] = _functional(node.target) if entire else None
    return found


def _functional(target: Any) -> Any:
    packet = getattr(torch.ops.aten, target.overloadpacket.__name__.removesuffix("_"), None)
    return getattr(packet, target._overloadname, None)


def _parts_changed(flow: Dataflow, changes: Mapping[fx.Node, Any], root: fx.Node) -> Iterator[fx.Node]:
    """Ops that change a part of `root` in place."""
    for node, functional in changes.items():
        if functional is None and flow.root(node) is root and node is not root:
            yield node
