"""Refuses graphs that make no sense, before a planner sees them; the node is named."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ..checks import MOST, ProblemError, ascending, brief, flag, indices, named, number, sequence
from ..problem import Device
from ..validation import LEAST_SPEED, MOST_DEVICES, MOST_ITEMS, MOST_UNITS
from .precedence import needs, topological
from .problem import GraphProblem, Node, Number


def validate_graph(problem: GraphProblem) -> None:
    """Raise :class:`ProblemError` for values of another type than declared, NaN, infinite or negative numbers, indices
    out of range, lists that do not ascend, devices with what only chains know, and nodes that need their own results.
    """
    _containers(problem)
    _counts(problem)
    for index, node in enumerate(problem.nodes):
        _node(problem, index, node)
    for index, device in enumerate(problem.devices):
        _device(index, device)
    indices("kind_of", problem.kind_of, len(problem.kinds))
    _tensors(problem)
    _groups(problem)
    for pair in problem.order:
        sequence("order: a pair", pair)
        indices("order", pair, len(problem.nodes))
        if len(pair) != 2:
            raise ProblemError(f"order: {brief(pair)} is no pair of nodes")
    _acyclic(problem)


def _containers(problem: GraphProblem) -> None:
    for name in ("nodes", "kinds", "devices", "kind_of", "tensors", "groups", "order"):
        sequence(name, getattr(problem, name))
    for tensor in problem.tensors:
        sequence("readers", tensor.readers)
    for group in problem.groups:
        sequence("members", group.members)


def _counts(problem: GraphProblem) -> None:
    if not 1 <= len(problem.nodes) <= MOST_UNITS:
        raise ProblemError(f"the graph has {len(problem.nodes)} nodes, expected 1 to {MOST_UNITS}")
    if not 1 <= len(problem.devices) <= MOST_DEVICES:
        raise ProblemError(f"the graph has {len(problem.devices)} devices, expected 1 to {MOST_DEVICES}")
    if len(problem.kind_of) != len(problem.devices):
        raise ProblemError(f"{len(problem.kind_of)} kinds are given for {len(problem.devices)} devices")
    items = sum(len(t.readers) for t in problem.tensors) + sum(len(g.members) for g in problem.groups)
    items += len(problem.tensors) + len(problem.groups) + len(problem.order)
    if items > MOST_ITEMS:
        raise ProblemError(
            f"the graph has {items} tensors, groups, readers, members and pairs, expected at most {MOST_ITEMS}"
        )


def _node(problem: GraphProblem, index: int, node: Node) -> None:
    owner = named("node", index, node.name)
    sequence(f"{owner}: times_us", node.times_us)
    if len(node.times_us) != len(problem.kinds):
        raise ProblemError(
            f"{owner} has {len(node.times_us)} times, expected one for each of {len(problem.kinds)} kinds"
        )
    for time in node.times_us:
        if time is not None:
            amount(owner, "time", time)
    whole(owner, "bytes", node.bytes)
    flag(owner, "backward", node.backward)


def amount(owner: str, name: str, value: Number) -> None:
    """From 0 to ``MOST``; inexact ones not below ``LEAST`` but 0."""
    if isinstance(value, Fraction):
        if not 0 <= value <= MOST:
            raise ProblemError(f"{owner}: {name} is {float(value)}, expected 0 to {MOST:.0e}")
    else:
        number(owner, name, value)


def whole(owner: str, name: str, value: int) -> None:
    """An integer from 0, of any size."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected an integer from 0")


def _device(index: int, device: Device) -> None:
    owner = f"device {index}"
    whole(owner, "capacity_bytes", device.capacity_bytes)
    whole(owner, "base_bytes", device.base_bytes)
    number(owner, "speed", device.speed)
    if device.speed < LEAST_SPEED:
        raise ProblemError(f"{owner} has speed {device.speed}, expected at least {LEAST_SPEED}")
    if device.min_units != 1 or device.layers is not None:
        raise ProblemError(f"{owner} has min_units or layers, which only chains know")


def _tensors(problem: GraphProblem) -> None:
    count = len(problem.nodes)
    for index, tensor in enumerate(problem.tensors):
        made = tensor.producer is not None
        if made:
            indices(f"tensor {index}: producer", (tensor.producer,), count)
        owner = f"tensor of node {problem.nodes[tensor.producer or 0].name!r}" if made else f"tensor {index}"
        indices(f"{owner}: readers", tensor.readers, count)
        ascending(owner, "readers", tensor.readers)
        amount(owner, "copy_us", tensor.copy_us)


def _groups(problem: GraphProblem) -> None:
    for index, group in enumerate(problem.groups):
        owner = named("group", index, group.name)
        indices(f"{owner}: members", group.members, len(problem.nodes))
        ascending(owner, "members", group.members)
        whole(owner, "bytes", group.bytes)
        flag(owner, "colocate", group.colocate)


def _acyclic(problem: GraphProblem) -> None:
    found = topological(len(problem.nodes), list(needs(problem)))
    if len(found) < len(problem.nodes):
        names = [repr(problem.nodes[node].name) for node in _cycle(problem, set(found))]
        shown = " -> ".join(names[:8]) + (f" -> ... ({len(names) - 1} nodes)" if len(names) > 8 else "")
        raise ProblemError(f"node {names[0]} needs its own result: {shown}; expected a graph without cycles")


def _cycle(problem: GraphProblem, sorted_: set[int]) -> list[int]:
    """Nodes of one cycle, the first again at the end."""
    before: dict[int, int] = {}
    for early, late in needs(problem):
        if early not in sorted_ and late not in sorted_:
            before[late] = early
    return list(_around(before, min(before)))


def _around(before: dict[int, int], node: int) -> Iterator[int]:
    """Backwards from the node until one repeats, which is on a cycle; then once around."""
    seen: set[int] = set()
    while node not in seen:
        seen.add(node)
        node = before[node]
    around = [node]
    while (node := before[node]) != around[0]:
        around.append(node)
    yield from (around[0], *reversed(around))
