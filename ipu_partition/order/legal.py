"""What must come before what in a trace, whatever the order of the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any

from ..cost.build import transferred
from ..cost.tensors import Dataflow, op_name

if TYPE_CHECKING:
    from torch import fx

STATEFUL = ("_set_grad_enabled", "_enter_autocast", "_exit_autocast")
"""Ops that change how those behind them run."""
STATISTICS = ("running_mean", "running_var")
"""Arguments that an op of normalisation may change without saying so in its schema."""
UNDECLARED_VIEWS = ("atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "meshgrid", "type_as")
"""Ops that may return memory of their operands without saying so in their schema."""


@dataclass(frozen=True)
class Legal:
    """The orders of the nodes of one trace that compute what the program does: every node after those in
    :attr:`before`."""

    flow: Dataflow

    @cached_property
    def before(self) -> Mapping[fx.Node, tuple[fx.Node, ...]]:
        """Node -> what it reads, and the node before it that uses the same memory, where anything writes into that."""
        known = set(self.flow.traced.nodes)
        found = {node: dict.fromkeys(n for n in node.all_input_nodes if n in known) for node in self.flow.traced.nodes}
        for users in self._kept_in_order():
            for early, late in pairwise(users):
                found[late][early] = None
        return {node: tuple(nodes) for node, nodes in found.items()}

    @cached_property
    def floating(self) -> frozenset[fx.Node]:
        """Nodes that are made again wherever they are read, such as views and constants: they have no place of their
        own and cost nothing."""
        return frozenset(node for node in self.flow.traced.nodes if self._floats(node))

    def _floats(self, node: fx.Node) -> bool:
        flow = self.flow
        if flow.constant(node) or not flow.bytes_of(node):
            return True
        return not any(_written(node)) and transferred(flow, node) is not node

    @cached_property
    def sources(self) -> Mapping[fx.Node, frozenset[fx.Node]]:
        """Node -> the last nodes with a place that must come before it."""
        found: dict[fx.Node, frozenset[fx.Node]] = {}
        for node in self.flow.traced.nodes:
            placed = {n for n in self.before[node] if n not in self.floating}
            through = (found[n] for n in self.before[node] if n in self.floating)
            found[node] = frozenset(placed.union(*through))
        return found

    def obeyed(self, nodes: Sequence[fx.Node]) -> bool:
        """Whether `nodes`, which are all, are in a legal order."""
        position = {node: i for i, node in enumerate(nodes)}
        return all(position[early] < position[node] for node in nodes for early in self.before[node])

    def _kept_in_order(self) -> Iterator[list[fx.Node]]:
        """Nodes that stay in the order of the program."""
        nodes = self.flow.traced.nodes
        if any(op_name(node) in STATEFUL for node in nodes):
            yield list(nodes)
            return
        memory = _Memory(self.flow)
        changed = {memory.of(operand) for node in nodes for operand in _written(node)}
        users: dict[fx.Node, list[fx.Node]] = {root: [] for root in changed}
        for node in nodes:
            for root in dict.fromkeys(map(memory.of, (*node.all_input_nodes, node))):
                if root in users:
                    users[root].append(node)
        yield from users.values()


class _Memory:
    """Which nodes may share memory."""

    def __init__(self, flow: Dataflow) -> None:
        self._first: dict[fx.Node, fx.Node] = {}
        for node in flow.traced.nodes:
            for operand in _shared(flow, node):
                self._first[self.of(node)] = self.of(operand)

    def of(self, node: fx.Node) -> fx.Node:
        """One node for all that may share memory with `node`."""
        root = node
        while root in self._first and self._first[root] is not root:
            root = self._first[root]
        while node in self._first and node is not root:
            self._first[node], node = root, self._first[node]
        return root


def _shared(flow: Dataflow, node: fx.Node) -> list[fx.Node]:
    """Operands whose memory the result may have."""
    if op_name(node) == "getitem" or flow.is_view(node):
        return node.all_input_nodes[:1]
    if op_name(node) in UNDECLARED_VIEWS:
        return list(node.all_input_nodes)
    schema = getattr(node.target, "_schema", None)
    return [] if schema is None else [n for a, n in _arguments(node, schema) if a.alias_info is not None]


def _written(node: fx.Node) -> Iterator[fx.Node]:
    """Operands that the op may write into."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        yield from [] if _pure(node) else node.all_input_nodes
        return
    for argument, operand in _arguments(node, schema):
        declared = argument.alias_info is not None and argument.alias_info.is_write
        if declared or argument.name in STATISTICS:
            yield operand


def _pure(node: fx.Node) -> bool:
    """Of what is no op of torch: whether it writes nothing. Programs that it is given are looked into."""
    if isinstance(node.target, BuiltinFunctionType):
        return True
    programs = [_program(n) for n in node.all_input_nodes if n.op == "get_attr"]
    return bool(programs) and all(program is not None and not _writes(program) for program in programs)


def _writes(program: fx.GraphModule) -> bool:
    return any(True for node in program.graph.nodes if node.op == "call_function" for _ in _written(node))


def _program(node: fx.Node) -> fx.GraphModule | None:
    """The graph module that a `get_attr` node names, if any."""
    owner: Any = node.graph.owning_module
    for name in str(node.target).split("."):
        owner = getattr(owner, name, None)
    return owner if hasattr(owner, "graph") else None


def _arguments(node: fx.Node, schema: Any) -> Iterator[tuple[Any, fx.Node]]:
    """Every operand with the argument of the schema that it is given as, lists taken apart."""
    for index, argument in enumerate(schema.arguments):
        value = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name)
        yield from ((argument, operand) for operand in _nodes(value))


def _nodes(value: object) -> Iterator[fx.Node]:
    from torch import fx

    if isinstance(value, fx.Node):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _nodes(item)
