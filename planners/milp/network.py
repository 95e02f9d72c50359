"""Every assignment that may be valid as a path: one node per block, in a graph of what must be remembered.

Stages are numbered **from the end** (the last is *slot* 0), because stash depth depends on that number alone. A state
is

- the slot and device of the block, and the highest device visited so far;
- the block that a returning stage still waits for, its reason to be there;
- the floor: the highest device that later sequential blocks may not go below.

Ties, numbers of units and layers, and whether a device was visited at all are not in the state; rows of the model say
them (:mod:`planners.milp.constraints`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .blocks import Blocks
from .homes import ContradictionError, Homes, reasons
from .model import TooLargeError

Ints = NDArray[np.int64]
STAY, FIRST, AGAIN = range(3)
"""Kinds of arcs: the next block is in the same stage, begins a device, or returns to one."""
NO_WAY = "no way of visiting the devices obeys them all"
MOST_ARCS = 1_000_000


class State(NamedTuple):
    slot: int
    device: int
    highest: int
    wait: int
    floor: int


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes in order of block, arcs in order of their tail's block."""

    blocks: Blocks
    block: Ints
    slot: Ints
    device: Ints
    tail: Ints
    head: Ints
    kind: Ints

    def only(self, nodes: NDArray[np.bool_], arcs: NDArray[np.bool_]) -> Network:
        """The part with these nodes, and with those of these arcs that join two of them."""
        arcs = arcs & nodes[self.tail] & nodes[self.head]
        number = np.cumsum(nodes) - 1
        block, slot, device = (values[nodes] for values in (self.block, self.slot, self.device))
        return Network(
            self.blocks, block, slot, device, number[self.tail[arcs]], number[self.head[arcs]], self.kind[arcs]
        )

    def assignment(self, nodes: Sequence[int] | Ints) -> tuple[int, ...]:
        """Device of every unit, from one node per block."""
        devices = self.device[np.asarray(nodes)]
        return tuple(int(devices[block]) for block in self.blocks.of)

    def path(self, assignment: Sequence[int]) -> list[int] | None:
        """The nodes of an assignment, None where they are not all here."""
        devices = [assignment[edge] for edge in self.blocks.edges[:-1]]
        begins = [a != b for a, b in pairwise(devices)]
        slots = sum(begins) - np.cumsum([0, *begins])
        fits = (self.device == np.array(devices)[self.block]) & (self.slot == slots[self.block])
        at = np.flatnonzero(fits & (self.block == 0))
        arcs = fits[self.tail] & fits[self.head]
        follow = dict(zip(self.tail[arcs].tolist(), self.head[arcs].tolist(), strict=True))
        nodes = [int(node) for node in at[:1]]
        while nodes and nodes[-1] in follow:
            nodes.append(follow[nodes[-1]])
        return nodes if len(nodes) == len(devices) else None


def network_of(blocks: Blocks, homes: Homes, tick: Callable[[], None]) -> Network:
    """All that can be reached from the first block, and the last block only where an assignment may end.

    Raises :class:`ContradictionError`, :class:`TooLargeError`.
    """
    rules = _Rules(blocks, homes)
    layer = {state: node for node, state in enumerate(rules.starts())}
    nodes = [(0, *state[:2]) for state in layer]
    arcs: list[tuple[int, int, int]] = []
    for block in range(1, len(blocks)):
        following: dict[State, int] = {}
        for state, tail in layer.items():
            tick()
            for head_state, kind in rules.follow(state, block):
                head = following.setdefault(head_state, len(nodes))
                if head == len(nodes):
                    nodes.append((block, *head_state[:2]))
                arcs.append((tail, head, kind))
        if len(arcs) > MOST_ARCS:
            raise TooLargeError(f"the model has more than {MOST_ARCS} transitions")
        layer = following
    ends = [node for state, node in layer.items() if rules.may_end(state)]
    if not ends:
        raise ContradictionError(NO_WAY)
    table, joins = np.array(nodes, np.int64).reshape(-1, 3), np.array(arcs, np.int64).reshape(-1, 3)
    mask = table[:, 0] < len(blocks) - 1
    mask[ends] = True
    return Network(blocks, *table.T, *joins.T).only(mask, np.ones(len(joins), bool))


class _Rules:
    def __init__(self, blocks: Blocks, homes: Homes) -> None:
        self._homes, self._last = homes, len(blocks) - 1
        self._devices, self._skip = len(blocks.problem.devices), blocks.problem.allow_empty
        self._reasons = reasons(blocks, homes)
        self._returns = sorted(self._reasons)
        self._next = {device: self._firsts(device, blocks) for device in range(-1, self._devices)}
        returners = {block for block, _ in blocks.pins}.union(*(members[1:] for members in blocks.ties))
        self._returners = [sum(other > block for other in returners) for block in range(len(blocks))]
        self._layer = [count > 0 for count in blocks.layers]
        self._last_layer = max((block for block, layer in enumerate(self._layer) if layer), default=-1)

    def _firsts(self, highest: int, blocks: Blocks) -> list[int]:
        """Devices that may be visited next; none is skipped where the next one is like it in everything."""
        devices, named = blocks.problem.devices, {device for _, device in blocks.pins}
        ahead = range(highest + 1, self._devices if self._skip else min(highest + 2, self._devices))
        return [
            d for d in ahead if d == highest + 1 or devices[d] != devices[d - 1] or not named.isdisjoint((d - 1, d))
        ]

    def starts(self) -> Iterator[State]:
        for device in sorted(self._homes[0].intersection(self._next[-1])):
            for slot in range(self._last + 1):
                if self._plausible(slot, device, 0):
                    yield self._state(slot, device, device, 0, device if self._layer[0] else 0, 0)

    def may_end(self, state: State) -> bool:
        return state.slot == 0 and (self._skip or state.highest == self._devices - 1)

    def follow(self, state: State, block: int) -> Iterator[tuple[State, int]]:
        """The states in which the block may be after ``state``, each with the kind of arc."""
        slot, device, highest, wait, floor = state
        yield from self._enter(slot, device, highest, wait, floor, block, STAY)
        if slot == 0 or wait >= block:
            return
        for new in self._next[highest]:
            yield from self._enter(slot - 1, new, new, 0, floor, block, FIRST)
        for old in self._returns:
            if old <= highest and old != device and self._reasons[old][block] <= self._last:
                yield from self._enter(slot - 1, old, highest, self._reasons[old][block], floor, block, AGAIN)

    def _enter(
        self, slot: int, device: int, highest: int, wait: int, floor: int, block: int, kind: int
    ) -> Iterator[tuple[State, int]]:
        layer = self._layer[block]
        if device in self._homes[block] and not (layer and device < floor) and self._plausible(slot, highest, block):
            yield self._state(slot, device, highest, wait, max(floor, device if layer else 0), block), kind

    def _state(self, slot: int, device: int, highest: int, wait: int, floor: int, block: int) -> State:
        """States that differ in nothing that matters later are one."""
        matters = block < self._last_layer and (self._returners[block] or device < highest)
        blocked = [old for old in self._returns if old < floor] if matters else []
        return State(slot, device, highest, wait if wait > block else 0, blocked[-1] + 1 if blocked else 0)

    def _plausible(self, slot: int, highest: int, block: int) -> bool:
        """Whether the blocks that follow can make up so many stages."""
        ahead = self._devices - 1 - highest
        most = min(self._last - block, ahead + self._returners[block])
        return (0 if self._skip else ahead) <= slot <= most
