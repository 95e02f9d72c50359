"""A chain as the graph that it is: one whose order leaves no choice, unless another order is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from ..evaluate import copies_of, moved_bytes
from ..problem import Problem, Schedule, SharedGroup
from .precedence import topological
from .problem import GraphProblem, Kind, Node, PricedTensor

KIND = Kind("device")


def as_graph(problem: Problem, order: Iterable[tuple[int, int]] | None = None) -> GraphProblem:
    """The graph of a valid chain. ``order``: the pairs of units that any order obeys, beside what tensors say;
    ``None``: the order of the units.

    No plan of the chain in any such order that has one stage on each device takes less time or memory than in the
    graph, so what is proved of the graph bounds the chain. Times are the same, but that pipelined training does not
    count the recomputation of units after which there is no checkpoint. Memory is what adds up: weights, code, groups,
    and in 1F1B the activations of one micro-batch. Pins, ``layers``, ``min_units`` and the duty to use every device are
    left out. ValueError for a sharded schedule, where times of devices add up.
    """
    if problem.schedule is Schedule.SHARDED:
        raise ValueError("a graph's devices work at once; a sharded schedule runs one device at a time")
    units = range(len(problem.units))
    pairs = tuple(pairwise(units)) if order is None else tuple(sorted(set(order)))
    made = [(t.producer, reader) for t in problem.tensors for reader in t.readers if t.producer is not None]
    twice = _recomputed(problem, [*pairs, *made])
    return GraphProblem(
        nodes=tuple(_node(problem, unit, twice[unit]) for unit in units),
        kinds=(KIND,),
        devices=tuple(replace(device, min_units=1, layers=None) for device in problem.devices),
        kind_of=(0,) * len(problem.devices),
        tensors=tuple(_tensors(problem)),
        groups=(*problem.groups, *_uncut(problem)),
        order=pairs,
    )


def _node(problem: Problem, index: int, twice: bool) -> Node:
    unit, schedule = problem.units[index], problem.schedule
    forward_us = unit.forward_us * (2 if twice else 1)
    live = unit.live_bytes if schedule is Schedule.ONE_F_ONE_B else 0
    return Node(
        name=unit.name,
        times_us=(forward_us + (unit.backward_us if schedule.trains else 0.0),),
        bytes=unit.resident_bytes + unit.code_bytes + live,
    )


def _recomputed(problem: Problem, pairs: Sequence[tuple[int, int]]) -> list[bool]:
    """Per unit: whether every order has a checkpoint behind it, or it is one, so that even the last stage runs it
    forward twice."""
    found = [problem.schedule is Schedule.TRAINING and unit.checkpoint_bytes > 0 for unit in problem.units]
    after: list[list[int]] = [[] for _ in found]
    for early, late in pairs:
        after[early].append(late)
    for unit in reversed(topological(len(found), pairs)):
        found[unit] = found[unit] or any(found[late] for late in after[unit])
    return found


def _tensors(problem: Problem) -> Iterator[PricedTensor]:
    for tensor in problem.tensors:
        if tensor.readers:
            bytes_us = moved_bytes(problem, tensor) * problem.copy_us_per_byte
            yield PricedTensor(tensor.producer, tensor.readers, bytes_us + copies_of(problem, tensor) * problem.copy_us)


def _uncut(problem: Problem) -> Iterator[SharedGroup]:
    for unit in sorted(problem.forbidden_cuts):
        yield SharedGroup(f"units {unit} and {unit + 1}", (unit, unit + 1), 0, True)
