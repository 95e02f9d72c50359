"""Empty tables of the right size."""

from __future__ import annotations

import numpy as np

from .words import CUTOFF, DEPTH, NEVER, ROWS, Graph, Table, Walk

SLOTS = 2**12
SLOT_BYTES = 4 * 8
"""Per row; a quarter of the slots is in use after they have grown, and the old ones are still there while they do."""


def table_of(graph: Graph, memory_bytes: int) -> Table:
    """Of at most so many bytes, which are only taken as it fills; the empty ideal is in."""
    words, states = _words(graph), len(graph.left)
    rows = max(2, memory_bytes // (8 * words + 12 * states + 12 + SLOT_BYTES))
    table = Table(
        bits=np.empty((rows, words), np.uint64),
        value=np.empty((rows, states), np.int64),
        parent=np.empty((rows, states), np.int32),
        name=np.empty(rows, np.uint64),
        next=np.empty(rows, np.int32),
    )
    table.bits[0], table.name[0], table.next[0] = 0, 0, -1
    table.value[0] = NEVER
    table.value[0, 0] = 0
    return table


def walk_of(graph: Graph, cutoff: int) -> Walk:
    """At the empty ideal."""
    count, columns = graph.columns.shape
    bounds, pools, words = len(graph.crosses), len(graph.pools), _words(graph)
    registers = np.zeros(7, np.int64)
    registers[DEPTH], registers[CUTOFF], registers[ROWS] = -1, cutoff, 1
    first = np.full(count + 1, -1, np.int32)
    first[0] = 0
    plan = np.zeros(5, np.int64)
    plan[4] = NEVER
    walk = Walk(
        registers=registers,
        slots=np.zeros(SLOTS, np.int32),
        first=first,
        base=np.zeros(columns, np.int64),
        sums=np.zeros((count + 2, columns + 3), np.int64),
        names=np.zeros(count + 2, np.uint64),
        frames=np.zeros((count + 2, 3 + bounds), np.int64),
        queue=np.zeros(count, np.int32),
        below=np.zeros(len(graph.prices) + len(graph.shares), np.int32),
        held=np.zeros(len(graph.prices) + len(graph.shares), np.int32),
        waiting=np.zeros(count, np.int32),
        moves=np.zeros((len(graph.left) * pools, 4), np.int64),
        least=np.zeros(bounds + pools, np.int64),
        bits=np.zeros(words, np.uint64),
        plan=plan,
        plan_bits=np.zeros(words, np.uint64),
    )
    walk.slots[0] = 1
    return walk


def with_slots(walk: Walk, count: int) -> Walk:
    return walk._replace(slots=np.zeros(count, np.int32))


def _words(graph: Graph) -> int:
    return len(graph.early) // 64 + 1
