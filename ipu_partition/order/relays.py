"""What a pipeline hands on: a stage between the maker of a tensor and its last reader receives it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planners.graph import GraphProblem
    from planners.graph.problem import PricedTensor


def with_relays(problem: GraphProblem) -> GraphProblem:
    """Every tensor is read by all nodes, too, that any order has between its maker and one of its readers: they are in
    stages that it passes."""
    from planners.graph.precedence import needs

    after = _reached(len(problem.nodes), list(needs(problem)))
    before = _reversed(after)
    return replace(problem, tensors=tuple(_passing(tensor, after, before) for tensor in problem.tensors))


def _passing(tensor: PricedTensor, after: Sequence[int], before: Sequence[int]) -> PricedTensor:
    if tensor.producer is None:
        return tensor
    behind = 0
    for reader in tensor.readers:
        behind |= before[reader] | 1 << reader
    passed = behind & after[tensor.producer]
    return replace(tensor, readers=tuple(i for i in range(len(after)) if passed >> i & 1))


def _reached(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Per node: those that come after it in every order, as bits."""
    from planners.graph.precedence import topological

    following: list[list[int]] = [[] for _ in range(count)]
    for early, late in pairs:
        following[early].append(late)
    found = [0] * count
    for node in reversed(topological(count, pairs)):
        for late in following[node]:
            found[node] |= found[late] | 1 << late
    return found


def _reversed(after: Sequence[int]) -> list[int]:
    found = [0] * len(after)
    for node, reached in enumerate(after):
        for late in range(len(after)):
            if reached >> late & 1:
                found[late] |= 1 << node
    return found


def handing_on(problem: GraphProblem, stages: Sequence[int]) -> GraphProblem:
    """A guess at what stages hand on: every tensor touches, too, the nodes that `stages` (of each node) have between
    those that touch it. Plans of it are plans of `problem`; what is proved of it is not."""
    from planners.graph.problem import touched

    made = []
    for tensor in problem.tensors:
        held = [stages[node] for node in touched(tensor)]
        low, high = min(held), max(held)
        between = [node for node, stage in enumerate(stages) if low < stage < high]
        made.append(replace(tensor, producer=None, readers=tuple(sorted({*touched(tensor), *between}))))
    pairs = ((t.producer, reader) for t in problem.tensors if t.producer is not None for reader in t.readers)
    return replace(problem, tensors=tuple(made), order=tuple(sorted({*problem.order, *pairs})))
