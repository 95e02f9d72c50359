"""The arrays that the sweep works in. Times are integers (:mod:`.scale`), so sums have no rounding in any order.

*Columns* of a block are what simply adds up over a set of blocks: its work in every pool, then its weight in every
bound (:mod:`.needs`), then its bytes. Compiled code takes few arrays fast and many slowly, so those of one length share
an array, with named columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Small = NDArray[np.int32]
    Words = NDArray[np.uint64]

NEVER = 2**62
"""More than any sum."""


class Graph(NamedTuple):
    """What does not change."""

    columns: Ints
    """Per block."""
    above: Ints
    """Per block and bound the weight of the block and of all that needs it."""
    total: Ints
    """Columns of all blocks."""
    names: Words
    """Per block a random number; an ideal's name is their exclusive or."""
    starts: Small
    """Per block where its entries in ``late``, ``tensors`` and ``groups`` begin; after the last, where they end."""
    late: Small
    """Neighbours that need a block."""
    tensors: Small
    """Of a block."""
    groups: Small
    """Of a block."""
    early: Small
    """Per block how many neighbours it needs."""
    prices: Ints
    """Per tensor PRICE and TOUCHED."""
    shares: Ints
    """Per group PRICE (bytes) and TOUCHED."""
    pools: Ints
    """Per pool PAYS, CAPACITY and STEP."""
    left: Small
    """Per state and pool how many devices are unused; in the last column, of all pools."""
    crosses: Ints
    """Per bound 1 where prices of tensors that leave an ideal count, else 0."""


LATE, TENSORS, GROUPS = range(3)
PRICE, TOUCHED = range(2)
"""What it costs, and how many blocks share it."""
PAYS, CAPACITY, STEP = range(3)
"""1 or 0; bytes; what another device in use adds to the number of the state."""


class Table(NamedTuple):
    """The ideals met so far, one a row. Row 0 is the empty one."""

    bits: Words
    value: Ints
    """Per state the least largest load of a plan for the ideal; :data:`NEVER` where none is known."""
    parent: Small
    """Per state: row of the ideal before the last stage, times pools, plus the pool of the last stage."""
    name: Words
    next: Small
    """Row with as many blocks that comes next, or -1."""


class Walk(NamedTuple):
    """Where the sweep is: it can stop at any step and go on later. Depth is how many blocks were added to an ideal."""

    registers: Ints
    slots: Small
    """Open addressing by name: row + 1, or 0."""
    first: Small
    """Per number of blocks the first row not yet swept, or -1."""
    base: Ints
    """Columns of the ideal that is being extended."""
    sums: Ints
    """Per depth the columns of what was added, then PAY, FIXED and CROSS, counted from the end."""
    names: Words
    """Per depth."""
    frames: Ints
    """Per depth BLOCK, POSITION and LENGTH, then per bound a weight that can no longer be added."""
    queue: Small
    """Blocks that could be added, in the order in which they are decided on."""
    below: Small
    """Per tensor, then per group, how many of its blocks are in the ideal that is being extended."""
    held: Small
    """Per tensor, then per group, how many of its blocks were added."""
    waiting: Small
    """Per block how many neighbours that it needs are in neither."""
    moves: Ints
    """POOL, BEFORE, AFTER and VALUE of the stages that could be added."""
    least: Ints
    """Per bound the least weight that any of the moves needs in the ideal that it reaches; then, per pool, what loads
    must be less than: 0 where no move uses it."""
    bits: Words
    """Of both sets together."""
    plan: Ints
    """Best plan: row, state, pool (-1: none) of the last stage but one, pool of the last, value."""
    plan_bits: Words
    """All but its last stage."""


DEPTH, ROW, SIZE, MOVES, CUTOFF, ROWS, STEPS = range(7)
"""Registers: depth or -1, the row that is being extended, its number of blocks, moves, what loads must be less than,
rows in use, steps so far."""
PAY, FIXED, CROSS = -3, -2, -1
"""Prices that a paying device has with what was added; those of them that no further block saves; those of all tensors
that the reached ideal holds in part."""
BLOCK, POSITION, LENGTH, BARRED = range(4)
"""What was added last, the next candidate in the queue, the length of the queue."""
POOL, BEFORE, AFTER, VALUE = range(4)
"""Pool of the stage, states, largest load before it."""

DONE, PAUSED, FULL = range(3)
"""How the sweep stopped."""
