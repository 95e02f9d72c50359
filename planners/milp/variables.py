"""The columns that say where blocks are: a path through the network, one unit of flow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from .model import Expression, Model
from .network import AGAIN, FIRST, STAY, Ints, Network


class Places:
    """Nodes and arcs are the binary columns of the model; questions about places are expressions over them."""

    def __init__(self, model: Model, network: Network) -> None:
        self.model, self.network = model, network
        self.slots: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        """Per block and device: slots that it may have there, ascending."""
        self.returnable: set[int] = set()
        """Devices that may hold several stages."""
        self._on: defaultdict[tuple[int, int], Expression] = defaultdict(dict)
        self._in: defaultdict[tuple[int, int, int], Expression] = defaultdict(dict)
        self._entering: defaultdict[tuple[int, int, int], Expression] = defaultdict(dict)
        self._arriving: defaultdict[tuple[int, int], Expression] = defaultdict(dict)
        self._leaving: defaultdict[tuple[int, int], Expression] = defaultdict(dict)
        self._first: defaultdict[int, Expression] = defaultdict(dict)
        self._again: defaultdict[tuple[int, int], Expression] = defaultdict(dict)
        self._node, self._arc, model.binaries = _merged(network)
        for _ in range(model.binaries):
            model.column(upper=1.0)
        self._nodes()
        self._arcs()
        self._flow()

    def on(self, block: int, device: int) -> Expression:
        """1 where the block is on the device."""
        return self._on.get((block, device), {})

    def within(self, block: int, slot: int, device: int) -> Expression:
        """1 where the block is in that slot on that device."""
        return self._in.get((block, slot, device), {})

    def fresh(self, block: int, slot: int, device: int) -> Expression:
        """1 where a stage begins with the block, in that slot on that device."""
        return self._entering.get((block, slot, device), {})

    def arrives(self, block: int, device: int) -> Expression:
        """1 where the block is on the device and the block before is not."""
        return self._arriving.get((block, device), {})

    def leaves(self, block: int, device: int) -> Expression:
        """1 where the block is not on the device and the block before is."""
        return self._leaving.get((block, device), {})

    def used(self, device: int) -> Expression:
        """1 where the device holds a block."""
        return self._first[device]

    def returns(self) -> dict[tuple[int, int], Expression]:
        """Per (slot, device): 1 where that stage returns to the device."""
        return self._again

    def columns(self, path: Sequence[int]) -> list[int]:
        """Those that are 1 on a path, from its nodes."""
        on = np.zeros(len(self.network.block), bool)
        on[list(path)] = True
        arcs = np.flatnonzero(on[self.network.tail] & on[self.network.head])
        return sorted({*self._node[path].tolist(), *self._arc[arcs].tolist()})

    def path(self, columns: Sequence[int]) -> Ints:
        """The nodes of the path on which these columns are 1."""
        return np.flatnonzero(np.isin(self._node, columns))

    def _nodes(self) -> None:
        network = self.network
        places = zip(network.block.tolist(), network.slot.tolist(), network.device.tolist(), strict=True)
        for node, (block, slot, device) in zip(self._node.tolist(), places, strict=True):
            self._on[block, device][node] = 1.0
            self._in[block, slot, device][node] = 1.0
            if not block:
                self._first[device][node] = 1.0
        for block, slot, device in sorted(self._in):
            self.slots[block, device].append(slot)

    def _arcs(self) -> None:
        network = self.network
        arcs = zip(network.tail.tolist(), network.head.tolist(), network.kind.tolist(), strict=True)
        for column, (tail, head, kind) in zip(self._arc.tolist(), arcs, strict=True):
            if kind != STAY:
                self._move(column, tail, head, kind)

    def _flow(self) -> None:
        """As much leaves every node as enters it, and one path begins."""
        network = self.network
        self.model.row(dict.fromkeys(self._node[network.block == 0].tolist(), 1.0), 1.0, 1.0)
        for ends, rim in ((network.head, 0), (network.tail, len(network.blocks) - 1)):
            order = np.argsort(ends, kind="stable")
            edges = np.searchsorted(ends[order], np.arange(len(network.block) + 1)).tolist()
            columns = self._arc[order].tolist()
            free = (network.block == rim).tolist()
            for node, ends_here, start, stop in zip(self._node.tolist(), free, edges[:-1], edges[1:], strict=True):
                if stop - start != 1 and not ends_here:
                    self.model.row({node: -1.0, **dict.fromkeys(columns[start:stop], 1.0)}, 0.0, 0.0)

    def _move(self, arc: int, tail: int, head: int, kind: int) -> None:
        block, slot, device = (int(of[head]) for of in (self.network.block, self.network.slot, self.network.device))
        self._entering[block, slot, device][arc] = 1.0
        self._arriving[block, device][arc] = 1.0
        self._leaving[block, int(self.network.device[tail])][arc] = 1.0
        if kind == FIRST:
            self._first[device][arc] = 1.0
        if kind == AGAIN:
            self._again[slot, device][arc] = 1.0
            self.returnable.add(device)


def _merged(network: Network) -> tuple[Ints, Ints, int]:
    """Column of every node and of every arc, and their number: a node and its only way in, or out, are one."""
    nodes, arcs = len(network.block), len(network.tail)
    parent = list(range(nodes + arcs))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    for ends in (network.head, network.tail):
        only = np.flatnonzero(np.bincount(ends, minlength=nodes)[ends] == 1)
        for arc, node in zip((only + nodes).tolist(), ends[only].tolist(), strict=True):
            parent[root(arc)] = root(node)
    roots = np.array([root(item) for item in range(nodes + arcs)])
    kept, columns = np.unique(roots, return_inverse=True)
    return columns[:nodes], columns[nodes:], len(kept)
