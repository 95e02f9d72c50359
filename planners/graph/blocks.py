"""What planners of graphs search in: what may not be parted as one block, alike devices as one pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from .precedence import classes_of, precedence, topological
from .problem import GraphProblem, Number, touched

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 2**53
"""Bytes that sum up to less are counted exactly; others in larger units, sizes rounded up and capacities down."""

MOST_REDUCED = 10_000
"""Blocks of which it is found out which pairs follow from others: memory grows with the square."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Devices between which no rule sees a difference."""

    devices: tuple[int, ...]
    work_us: NDArray[np.float64]
    """Per block, speed included; infinite where it cannot run there."""
    capacity: int | None
    """In units of :attr:`Blocks.bytes`, what every device in use takes subtracted; ``None``: all would fit."""
    pays: bool
    """Whether copies take its devices' time."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks are numbered in an order that obeys ``before``. A stage is a set of blocks, and stages in order are the
    differences of growing downward-closed sets of blocks."""

    members: tuple[tuple[int, ...], ...]
    """Nodes of every block, ascending."""
    bytes: NDArray[np.int64]
    pools: tuple[Pool, ...]
    before: tuple[tuple[int, int], ...]
    """Pairs (early, late), ``early < late``; without those that follow from others, where blocks are not too many."""
    tensors: tuple[tuple[tuple[int, ...], float], ...]
    """Blocks (ascending, two or more) that make or read it, us: a device that holds some of them but not all pays.
    No two have the same blocks; none is free."""
    groups: tuple[tuple[tuple[int, ...], int], ...]
    """Blocks (ascending, two or more) with a part that each device holds once, its bytes."""
    rounded: bool
    """Whether bytes are rounded where memory may decide: then no search of them proves anything."""

    def assignment(self, stages: Sequence[tuple[int, Iterable[int]]]) -> tuple[int, ...]:
        """Device of every node, from (pool, blocks) of the stages in order; devices of a pool are taken in order."""
        found = [-1] * sum(map(len, self.members))
        free = [iter(pool.devices) for pool in self.pools]
        for pool, blocks in stages:
            device = next(free[pool])
            for block in blocks:
                for node in self.members[block]:
                    found[node] = device
        return tuple(found)


def blocks_of(problem: GraphProblem) -> Blocks:
    """The search space of a valid problem. Cycles that classes make are merged: no order of devices parts them."""
    pairs = sorted(set(precedence(problem)))
    members = _members(classes_of(problem), pairs)
    home = {node: block for block, nodes in enumerate(members) for node in nodes}
    count = len(members)
    unit = _unit(problem)
    size = [-(-sum(problem.nodes[node].bytes for node in nodes) // unit) for nodes in members]
    groups: dict[tuple[int, ...], int] = {}
    for group in problem.groups:
        held, bytes_ = tuple(sorted({home[node] for node in group.members})), -(-group.bytes // unit)
        if len(held) == 1:
            size[held[0]] += bytes_
        elif held and bytes_:
            groups[held] = groups.get(held, 0) + bytes_
    pools = _pools(problem, members, unit)
    return Blocks(
        members=members,
        bytes=np.array(size, np.int64),
        pools=pools,
        before=reduced(count, {(home[a], home[b]) for a, b in pairs if home[a] != home[b]}),
        tensors=_tensors(problem, home),
        groups=tuple(sorted(groups.items())),
        rounded=unit > _common(problem) and any(pool.capacity is not None for pool in pools),
    )


def _members(classes: Sequence[int], pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Classes, and cycles of them as one, in an order that obeys the pairs."""
    from .cycles import components

    after: dict[int, set[int]] = {root: set() for root in set(classes)}
    for early, late in pairs:
        if classes[early] != classes[late]:
            after[classes[early]].add(classes[late])
    component = components(after)
    found: dict[int, list[int]] = {}
    for node, root in enumerate(classes):
        found.setdefault(component[root], []).append(node)
    names = sorted(found, key=lambda c: found[c][0])
    index = {name: i for i, name in enumerate(names)}
    edges = {(index[component[classes[a]]], index[component[classes[b]]]) for a, b in pairs}
    order = topological(len(names), sorted((a, b) for a, b in edges if a != b))
    return tuple(tuple(found[names[i]]) for i in order)


def _tensors(problem: GraphProblem, home: dict[int, int]) -> tuple[tuple[tuple[int, ...], float], ...]:
    prices: dict[tuple[int, ...], Fraction] = {}
    for tensor in problem.tensors:
        held = tuple(sorted({home[node] for node in touched(tensor)}))
        if len(held) > 1 and tensor.copy_us:
            prices[held] = prices.get(held, Fraction()) + Fraction(tensor.copy_us)
    return tuple((held, float(price)) for held, price in sorted(prices.items()))


def _pools(problem: GraphProblem, members: Sequence[tuple[int, ...]], unit: int) -> tuple[Pool, ...]:
    """In order of their first device."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for index, (device, kind) in enumerate(zip(problem.devices, problem.kind_of, strict=True)):
        room = (device.capacity_bytes, device.base_bytes) if problem.kinds[kind].bounded else None
        alike.setdefault((kind, device.speed, room), []).append(index)
    return tuple(_pool(problem, devices, members, unit) for devices in alike.values())


def _pool(problem: GraphProblem, devices: list[int], members: Sequence[tuple[int, ...]], unit: int) -> Pool:
    device, kind = problem.devices[devices[0]], problem.kind_of[devices[0]]
    room = device.capacity_bytes - device.base_bytes
    work = [_work([problem.nodes[node].times_us[kind] for node in nodes], device.speed) for nodes in members]
    return Pool(
        devices=tuple(devices),
        work_us=np.array(work, np.float64),
        capacity=room // unit if problem.kinds[kind].bounded and room < _held(problem) else None,
        pays=problem.kinds[kind].pays,
    )


def _work(times: Sequence[Number | None], speed: float) -> float:
    known = [Fraction(time) for time in times if time is not None]
    return float(sum(known, Fraction()) / Fraction(speed)) if len(known) == len(times) else float("inf")


def _unit(problem: GraphProblem) -> int:
    """How many bytes are counted as one."""
    common = _common(problem)
    return common * (1 + _held(problem) // common // EXACT)


def _common(problem: GraphProblem) -> int:
    """What divides all sizes."""
    return gcd(*(node.bytes for node in problem.nodes), *(group.bytes for group in problem.groups)) or 1


def _held(problem: GraphProblem) -> int:
    """All bytes together."""
    return sum(node.bytes for node in problem.nodes) + sum(group.bytes for group in problem.groups)


def reduced(count: int, pairs: set[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Without the pairs that follow from others, unless there are too many blocks; ``early < late`` in all."""
    if count > MOST_REDUCED:
        return tuple(sorted(pairs))
    after: list[list[int]] = [[] for _ in range(count)]
    for early, late in pairs:
        after[early].append(late)
    reached = [0] * count
    kept = []
    for early in range(count - 1, -1, -1):
        beyond = 0
        for late in sorted(after[early]):
            if not beyond >> late & 1:
                kept.append((early, late))
                beyond |= reached[late] | 1 << late
        reached[early] = beyond
    return tuple(sorted(kept))
