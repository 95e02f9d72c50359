"""The inner loop: extends every ideal by every set of blocks that could be a stage. Compiled.

A stage is built one block at a time. Candidates, blocks whose neighbours before are all in, are decided on in the order
of a queue, in or out; so each set is met once. Columns and prices are kept per depth and never subtracted.

A set is given up where what its stage can only add to (work, bytes, prices of tensors that the ideal before holds in
part) is too much on each pool. A block that stays out is the end where the rest, without it and what needs it, could
not be enough: too little weight in the ideal for the devices that would be left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .jit import compiled, entry
from .rows import begin, finish, next_row, row_of
from .words import (
    AFTER,
    BARRED,
    BEFORE,
    BLOCK,
    CAPACITY,
    CROSS,
    CUTOFF,
    DEPTH,
    DONE,
    FIXED,
    FULL,
    GROUPS,
    LATE,
    LENGTH,
    MOVES,
    PAUSED,
    PAY,
    PAYS,
    POOL,
    POSITION,
    PRICE,
    ROW,
    ROWS,
    STEPS,
    TENSORS,
    TOUCHED,
    VALUE,
    Graph,
    Table,
    Walk,
)  # fmt: skip

if TYPE_CHECKING:
    from .words import Ints

ONE = np.uint64(1)
BEGIN = 32
"""Blocks, or pairs of states, that take as long as a step."""


@entry
def sweep(graph: Graph, table: Table, walk: Walk, needs: Ints, steps: int) -> int:
    """Go on for so many steps: DONE, PAUSED or FULL (the table has no free row, or the slots are half full)."""
    registers = walk.registers
    until = registers[STEPS] + steps
    while registers[STEPS] < until:
        if registers[DEPTH] < 0:
            if not next_row(table, walk):
                return DONE
            begin(graph, table, walk, needs)
            registers[STEPS] += 1 + (len(graph.early) + len(graph.left) ** 2) // BEGIN
        else:
            extend(graph, table, walk, needs, until)
            if registers[DEPTH] >= 0 and registers[STEPS] < until:
                return FULL
    return PAUSED


@compiled
def extend(graph: Graph, table: Table, walk: Walk, needs: Ints, until: int) -> None:
    """Go on with the ideal at hand until its depth is -1, as many steps are done, or there is no room for a row.

    One function, because a step takes some 50 ns, as long as handing these arrays on.
    """
    columns, above, total, names = graph.columns, graph.above, graph.total, graph.names
    starts, late, tensors, groups = graph.starts, graph.late, graph.tensors, graph.groups
    prices, shares, pools, left, crosses = graph.prices, graph.shares, graph.pools, graph.left, graph.crosses
    registers, base, frames, queue, sums = walk.registers, walk.base, walk.frames, walk.queue, walk.sums
    below, held, waiting, least, moves, bits = walk.below, walk.held, walk.waiting, walk.least, walk.moves, walk.bits
    value_of, parent, numbers = table.value, table.parent, walk.names
    count, kinds, bounds, shared = len(total), len(pools), len(crosses), len(prices)
    room = min(len(table.name), len(walk.slots) // 2)
    depth, step = registers[DEPTH], registers[STEPS]
    while depth >= 0 and step < until and registers[ROWS] < room:
        step += 1
        out = -1
        if frames[depth, POSITION] >= frames[depth, LENGTH]:
            out = frames[depth, BLOCK]
            depth -= 1
            if depth < 0:
                break
            for i in range(starts[out, LATE], starts[out + 1, LATE]):
                waiting[late[i]] += 1
            for i in range(starts[out, TENSORS], starts[out + 1, TENSORS]):
                held[tensors[i]] -= 1
            for i in range(starts[out, GROUPS], starts[out + 1, GROUPS]):
                held[shared + groups[i]] -= 1
            bits[out >> 6] ^= ONE << np.uint64(out & 63)
        else:
            block = queue[frames[depth, POSITION]]
            frames[depth, POSITION] += 1
            for column in range(count):
                sums[depth + 1, column] = sums[depth, column] + columns[block, column]
            for i in range(starts[block, GROUPS], starts[block + 1, GROUPS]):
                if held[shared + groups[i]] == 0:
                    sums[depth + 1, count - 1] += shares[groups[i], PRICE]
            pay, fixed, cross = sums[depth, PAY], sums[depth, FIXED], sums[depth, CROSS]
            for i in range(starts[block, TENSORS], starts[block + 1, TENSORS]):
                tensor = tensors[i]
                price = prices[tensor, PRICE]
                if held[tensor] == 0:
                    pay += price
                    if below[tensor]:
                        fixed += price
                    else:
                        cross += price
                if below[tensor] + held[tensor] + 1 == prices[tensor, TOUCHED]:
                    cross -= price
                    if below[tensor] == 0:
                        pay -= price
            size = sums[depth + 1, count - 1]
            possible = False
            for pool in range(kinds):
                load = sums[depth + 1, pool] + pools[pool, PAYS] * fixed
                if load < least[bounds + pool] and size <= pools[pool, CAPACITY]:
                    possible = True
            if not possible:
                out = block
            else:
                sums[depth + 1, PAY], sums[depth + 1, FIXED], sums[depth + 1, CROSS] = pay, fixed, cross
                length = frames[depth, LENGTH]
                for i in range(starts[block, LATE], starts[block + 1, LATE]):
                    waiting[late[i]] -= 1
                    if waiting[late[i]] == 0:
                        queue[length] = late[i]
                        length += 1
                for i in range(starts[block, TENSORS], starts[block + 1, TENSORS]):
                    held[tensors[i]] += 1
                for i in range(starts[block, GROUPS], starts[block + 1, GROUPS]):
                    held[shared + groups[i]] += 1
                bits[block >> 6] |= ONE << np.uint64(block & 63)
                numbers[depth + 1] = numbers[depth] ^ names[block]
                frames[depth + 1, BLOCK] = block
                frames[depth + 1, POSITION] = frames[depth, POSITION]
                frames[depth + 1, LENGTH] = length
                for bound in range(bounds):
                    frames[depth + 1, BARRED + bound] = frames[depth, BARRED + bound]
                depth += 1
                target = -1
                for move in range(registers[MOVES]):
                    pool, after = moves[move, POOL], moves[move, AFTER]
                    value = max(moves[move, VALUE], sums[depth, pool] + pools[pool, PAYS] * pay)
                    if value >= registers[CUTOFF] or size > pools[pool, CAPACITY]:
                        continue
                    enough = True
                    for bound in range(bounds):
                        weight = base[kinds + bound] + sums[depth, kinds + bound] - crosses[bound] * cross
                        enough = enough and weight >= needs[after, bound]
                    if not enough:
                        continue
                    if left[after, kinds] == 1:
                        registers[DEPTH] = depth
                        for last in range(kinds):
                            if left[after, last]:
                                finish(graph, walk, moves[move, BEFORE], pool, last, value)
                        continue
                    if target < 0:
                        registers[DEPTH] = depth
                        target = row_of(table, walk)
                    if value < value_of[target, after]:
                        value_of[target, after] = value
                        parent[target, after] = registers[ROW] * kinds + pool
        if out >= 0:
            for bound in range(bounds):
                barred = max(frames[depth, BARRED + bound], above[out, bound])
                frames[depth, BARRED + bound] = barred
                if total[kinds + bound] - barred < least[bound]:
                    frames[depth, POSITION] = frames[depth, LENGTH]
    registers[DEPTH], registers[STEPS] = depth, step
