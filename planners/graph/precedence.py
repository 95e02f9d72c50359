"""Which node may not be on a later device than which other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .problem import GraphProblem


def classes_of(problem: GraphProblem) -> list[int]:
    """Per node the first node that must share its device, by the groups that may not be parted."""
    first = list(range(len(problem.nodes)))

    def root(node: int) -> int:
        while first[node] != node:
            first[node] = first[first[node]]
            node = first[node]
        return node

    for group in problem.groups:
        if group.colocate and group.members:
            home = min(root(member) for member in group.members)
            for member in group.members:
                first[root(member)] = home
    return [root(node) for node in range(len(problem.nodes))]


def needs(problem: GraphProblem) -> Iterator[tuple[int, int]]:
    """(what makes, what needs it): every pair of nodes that data or :attr:`GraphProblem.order` ties."""
    for tensor in problem.tensors:
        if tensor.producer is not None:
            yield from ((tensor.producer, reader) for reader in tensor.readers)
    yield from problem.order


def precedence(problem: GraphProblem) -> Iterator[tuple[int, int]]:
    """Pairs of nodes: the first is not on a later device than the second.

    Among forward nodes that is what needs what. A backward node follows the forward nodes of its class, so pairs with
    one are free; but where a class has backward nodes only, pairs of backward nodes that it is in hold in reverse.
    Source: Tarnawski et al., arXiv:2006.16423, section 5.3.
    """
    backward = [node.backward for node in problem.nodes]
    classes = classes_of(problem)
    forward = {classes[node] for node, back in enumerate(backward) if not back}
    for early, late in needs(problem):
        if not backward[early] and not backward[late]:
            yield early, late
        elif backward[early] and backward[late] and not forward.issuperset((classes[early], classes[late])):
            yield late, early


def topological(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Nodes in an order that obeys all pairs, the least index first; what is on or behind a cycle is missing."""
    from heapq import heapify, heappop, heappush

    after: list[list[int]] = [[] for _ in range(count)]
    before = [0] * count
    for early, late in pairs:
        after[early].append(late)
        before[late] += 1
    ready = [node for node in range(count) if not before[node]]
    heapify(ready)
    found = []
    while ready:
        node = heappop(ready)
        found.append(node)
        for late in after[node]:
            before[late] -= 1
            if not before[late]:
                heappush(ready, late)
    return found
