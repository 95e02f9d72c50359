"""What the sweep does once per ideal. Compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .jit import compiled, entry
from .words import (
    AFTER,
    BARRED,
    BEFORE,
    CAPACITY,
    CROSS,
    CUTOFF,
    DEPTH,
    GROUPS,
    LATE,
    LENGTH,
    MOVES,
    NEVER,
    PAYS,
    POOL,
    POSITION,
    PRICE,
    ROW,
    ROWS,
    SIZE,
    STEP,
    TENSORS,
    TOUCHED,
    VALUE,
    Graph,
    Table,
    Walk,
)  # fmt: skip

if TYPE_CHECKING:
    from .words import Ints, Small

ONE = np.uint64(1)


@compiled
def next_row(table: Table, walk: Walk) -> bool:
    """Take up the next ideal, none with fewer blocks is left; false where there is none."""
    registers, first = walk.registers, walk.first
    while first[registers[SIZE]] < 0:
        registers[SIZE] += 1
        if registers[SIZE] >= len(first):
            return False
    registers[ROW] = first[registers[SIZE]]
    first[registers[SIZE]] = table.next[registers[ROW]]
    return True


@compiled
def begin(graph: Graph, table: Table, walk: Walk, needs: Ints) -> None:
    """Ready to extend the row; depth stays -1 where that cannot lead to anything better."""
    load(graph, table, walk)
    find_moves(graph, table, walk, needs)
    if not walk.registers[MOVES]:
        return
    length = 0
    for block in range(len(graph.early)):
        inside = (walk.bits[block >> 6] >> np.uint64(block & 63)) & ONE
        if not inside and not walk.waiting[block]:
            walk.queue[length] = block
            length += 1
    walk.registers[DEPTH] = 0
    walk.frames[0, POSITION], walk.frames[0, LENGTH] = 0, length


@compiled
def load(graph: Graph, table: Table, walk: Walk) -> None:
    """Sums and counters of the ideal from its bits."""
    row, shared = walk.registers[ROW], len(graph.prices)
    starts, tensors, groups, late = graph.starts, graph.tensors, graph.groups, graph.late
    bits, base, below, waiting = walk.bits, walk.base, walk.below, walk.waiting
    for word in range(len(bits)):
        bits[word] = table.bits[row, word]
    for column in range(len(base)):
        base[column] = 0
    for column in range(walk.sums.shape[1]):
        walk.sums[0, column] = 0
    for i in range(len(below)):
        below[i] = 0
        walk.held[i] = 0
    for bound in range(len(graph.crosses)):
        walk.frames[0, BARRED + bound] = 0
    walk.names[0] = table.name[row]
    for block in range(len(waiting)):
        waiting[block] = graph.early[block]
    for block in range(len(waiting)):
        if (bits[block >> 6] >> np.uint64(block & 63)) & ONE:
            for column in range(len(base)):
                base[column] += graph.columns[block, column]
            for i in range(starts[block, LATE], starts[block + 1, LATE]):
                waiting[late[i]] -= 1
            for i in range(starts[block, TENSORS], starts[block + 1, TENSORS]):
                below[tensors[i]] += 1
            for i in range(starts[block, GROUPS], starts[block + 1, GROUPS]):
                below[shared + groups[i]] += 1
    cross = 0
    for tensor in range(shared):
        if 0 < below[tensor] < graph.prices[tensor, TOUCHED]:
            cross += graph.prices[tensor, PRICE]
    walk.sums[0, CROSS] = cross


@compiled
def find_moves(graph: Graph, table: Table, walk: Walk, needs: Ints) -> None:
    """The stages that could follow, of every state that no other is as good as; and the plans that end here."""
    registers, moves, least, left = walk.registers, walk.moves, walk.least, graph.left
    kinds, bounds = len(graph.pools), len(graph.crosses)
    registers[MOVES] = 0
    for i in range(len(least)):
        least[i] = NEVER if i < bounds else 0
    row = registers[ROW]
    for state in range(len(left)):
        value = table.value[row, state]
        if value >= registers[CUTOFF] or dominated(table.value, left, row, state):
            continue
        for pool in range(kinds):
            if left[state, pool]:
                finish(graph, walk, state, -1, pool, value)
        if left[state, kinds] < 2 or not enough(graph, walk, needs, state):
            continue
        for pool in range(kinds):
            if left[state, pool]:
                after = state + graph.pools[pool, STEP]
                move = registers[MOVES]
                moves[move, POOL], moves[move, VALUE] = pool, value
                moves[move, BEFORE], moves[move, AFTER] = state, after
                registers[MOVES] += 1
                least[bounds + pool] = registers[CUTOFF]
                for bound in range(bounds):
                    least[bound] = min(least[bound], needs[after, bound])


@compiled
def dominated(value: Ints, left: Small, row: int, state: int) -> bool:
    """Whether a plan with no more devices of any pool is as good."""
    for other in range(state):
        if value[row, other] <= value[row, state]:
            fewer = True
            for pool in range(left.shape[1]):
                fewer = fewer and left[other, pool] >= left[state, pool]
            if fewer:
                return True
    return False


@compiled
def enough(graph: Graph, walk: Walk, needs: Ints, state: int) -> bool:
    """Whether the devices that are left could take the rest, as far as the bounds know."""
    for bound in range(needs.shape[1]):
        if walk.base[len(graph.pools) + bound] - graph.crosses[bound] * walk.sums[0, CROSS] < needs[state, bound]:
            return False
    return True


@compiled
def finish(graph: Graph, walk: Walk, state: int, last: int, pool: int, value: int) -> None:
    """Keep the plan whose last stage, on the pool, holds all that is not in yet, where it fits and is better."""
    registers, base, total = walk.registers, walk.base, graph.total
    depth = max(0, registers[DEPTH])
    sums = walk.sums[depth]
    rest = total[pool] - base[pool] - sums[pool] + graph.pools[pool, PAYS] * sums[CROSS]
    value = max(value, rest)
    if value >= registers[CUTOFF]:
        return
    if not fits(graph, walk, pool):
        return
    registers[CUTOFF] = value
    plan = walk.plan
    plan[0], plan[1], plan[2], plan[3], plan[4] = registers[ROW], state, last, pool, value
    for word in range(len(walk.bits)):
        walk.plan_bits[word] = walk.bits[word]


@compiled
def fits(graph: Graph, walk: Walk, pool: int) -> bool:
    """Whether a device of the pool holds all that is not in yet."""
    size, shared = 0, len(graph.prices)
    for block in range(len(graph.early)):
        if not (walk.bits[block >> 6] >> np.uint64(block & 63)) & ONE:
            size += graph.columns[block, len(graph.total) - 1]
    for group in range(len(graph.shares)):
        if walk.below[shared + group] + walk.held[shared + group] < graph.shares[group, TOUCHED]:
            size += graph.shares[group, PRICE]
    return bool(size <= graph.pools[pool, CAPACITY])


@compiled
def row_of(table: Table, walk: Walk) -> int:
    """Row of the ideal just reached, a new one where it is met for the first time."""
    registers, slots, bits = walk.registers, walk.slots, walk.bits
    name = walk.names[registers[DEPTH]]
    mask = len(slots) - 1
    slot = np.int64(name >> ONE) & mask
    while slots[slot]:
        row = int(slots[slot] - 1)
        if table.name[row] == name:
            same = True
            for word in range(len(bits)):
                same = same and table.bits[row, word] == bits[word]
            if same:
                return row
        slot = (slot + 1) & mask
    row = int(registers[ROWS])
    registers[ROWS] += 1
    slots[slot] = row + 1
    table.name[row] = name
    for word in range(len(bits)):
        table.bits[row, word] = bits[word]
    for state in range(table.value.shape[1]):
        table.value[row, state] = NEVER
    size = registers[SIZE] + registers[DEPTH]
    table.next[row] = walk.first[size]
    walk.first[size] = row
    return row


@entry
def refill(table: Table, walk: Walk) -> None:
    """Note the rows of all ideals in empty slots."""
    slots = walk.slots
    mask = len(slots) - 1
    for row in range(walk.registers[ROWS]):
        slot = np.int64(table.name[row] >> ONE) & mask
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = row + 1
