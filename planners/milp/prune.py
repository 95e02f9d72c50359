"""What of a network is left when no stage may take longer, or hold more, than is allowed: bounds before any solver.

The least value of a load up to a node and from it on says whether anything within the limit passes there; the least
limit that leaves a path is a bound on every assignment.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .homes import ContradictionError, Homes, unite
from .loads import MARGIN, Floats, Load
from .network import NO_WAY, STAY, Network


def prune(network: Network, load: Load, mask: NDArray[np.bool_] | None = None) -> Network | None:
    """The part that may lie on paths within all limits, each load taken for itself; None where nothing does."""
    alive = np.ones(len(network.block), bool) if mask is None else mask
    into, onward = _sweep(network, load, alive, forward=True), _sweep(network, load, alive, forward=False)
    alive = alive & _all(into + onward - load.node <= load.limit)
    tail, head, stays = network.tail, network.head, (network.kind == STAY) | load.through
    left = into[:, tail] + load.leave + np.where(stays, load.enter + onward[:, head], 0.0)
    entered = load.enter + onward[:, head]
    arcs = _all((left <= load.limit[:, tail]) & (entered <= load.limit[:, head]))
    everywhere = np.bincount(network.block[alive], minlength=len(network.blocks)).all()
    return network.only(alive, arcs) if everywhere else None


def settle(network: Network, homes: Homes) -> Network:
    """Without nodes that contradict ties. Raises ContradictionError."""
    while True:
        for block, devices in enumerate(homes):
            devices &= set(network.device[network.block == block].tolist())
        unite(network.blocks, homes)
        allowed = np.array([d in homes[b] for b, d in zip(network.block, network.device, strict=True)])
        left = prune(network, _free(network), allowed)
        if left is None:
            raise ContradictionError(NO_WAY)
        if len(left.block) == len(network.block):
            return left
        network = left


def least(possible: Callable[[float], bool], low: float, high: float, step: float, go_on: Callable[[], bool]) -> float:
    """By bisection, the least limit that is possible within ``step``, or ``high``; none below the answer is."""
    while high - low > max(step, MARGIN * high) and go_on():
        middle = (low + high) / 2
        low, high = (low, middle) if possible(middle) else (middle, high)
    return low


def greedy_path(network: Network, load: Load) -> list[int] | None:
    """One path, staying as long as the rest of the stage allows; None where there is none."""
    rest = _sweep(network, load, np.ones(len(network.block), bool), forward=False)
    if not np.isfinite(rest[0][network.block == 0]).any():
        return None
    nodes = [int(np.argmin(rest[0][network.block == 0]))]
    held = load.node[:, nodes[0]] + load.start[:, nodes[0]]
    edges = np.searchsorted(network.tail, np.arange(len(network.block) + 1))
    while edges[nodes[-1]] < edges[nodes[-1] + 1]:
        arcs = slice(edges[nodes[-1]], edges[nodes[-1] + 1])
        heads, moves = network.head[arcs], network.kind[arcs] != STAY
        after = np.where(moves & ~load.through, 0.0, held[:, None]) + load.enter[:, arcs] + load.node[:, heads]
        excess = _excess(after + rest[:, heads] - load.node[:, heads], load.limit[:, heads])
        best = min(range(len(heads)), key=lambda arc: (excess[arc], moves[arc]))
        nodes.append(int(heads[best]))
        held = after[:, best]
    return nodes


def _excess(total: Floats, limit: Floats) -> list[float]:
    """How far beyond a limit each option leads, at best; 1 where it does not."""
    beyond = np.where(total > limit, total / np.maximum(limit, 1e-9), 1.0)
    return [float(most) for most in np.maximum(beyond, 1.0).max(axis=0)]


def _all(holds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For every load."""
    return np.asarray(holds.all(axis=0))


def _free(network: Network) -> Load:
    nodes, arcs = np.zeros((1, len(network.block))), np.zeros((1, len(network.tail)))
    return Load(nodes, arcs, arcs, nodes, nodes, np.zeros((1, 1), bool))


def _sweep(network: Network, load: Load, alive: NDArray[np.bool_], forward: bool) -> Floats:
    """The least of the stage up to and with each node (forward), or from it on; infinite where none is."""
    blocks, size = len(network.blocks), len(network.block)
    edges = np.searchsorted(network.block[network.tail], np.arange(blocks))
    origins, goals = (network.tail, network.head) if forward else (network.head, network.tail)
    before, after = (load.leave, load.enter) if forward else (load.enter, load.leave)
    step = np.where(load.through, before + after, after) + load.node[:, goals]
    keeps = (network.kind == STAY) | load.through
    rows = np.arange(len(load.node))[:, None] * size
    total = load.node + load.start if forward else load.node.copy()
    total[:, ~alive | (network.block != (0 if forward else blocks - 1))] = np.inf
    flat = total.reshape(-1)
    for block in range(blocks - 1) if forward else reversed(range(blocks - 1)):
        part = slice(edges[block], edges[block + 1])
        origin, goal = origins[part], goals[part]
        held = total[:, origin]
        usable = _all(held + before[:, part] <= load.limit[:, origin]) & alive[goal]
        reached = np.where(keeps[:, part], held, 0.0) + step[:, part]
        usable &= _all(reached <= load.limit[:, goal])
        reached[:, ~usable] = np.inf
        np.minimum.at(flat, (rows + goal).reshape(-1), reached.reshape(-1))
    return total
