"""The integer program of a graph in order form.

A plan has positions, as many as devices (or blocks, if those are fewer), and a stage at each, which may be empty. The
program says of every block and position whether the block is there or later (``places``), of every position which pool
its stage is of (``kinds``), and of every tensor and position whether it is paid for there (``cuts``).

A load is of one class of pools at one position; products of "the block is here" and "the stage is of that class" are
columns, except for the class of most devices, which has what the others leave. So no row depends on a condition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..graph.blocks import Blocks
from ..graph.race import Stages
from .cuts import Cuts
from .kinds import Kinds
from .loads import add_memory, add_times
from .numbers import Numbers
from .places import Places
from .program import ALWAYS, NEVER, OBJECTIVE, Program


def positions_of(blocks: Blocks) -> int:
    return min(sum(len(pool.devices) for pool in blocks.pools), len(blocks.members))


class Model:
    """Of plans that take no longer than ``most_us``, those with this ``sequence`` of pools if given."""

    def __init__(
        self,
        blocks: Blocks,
        numbers: Numbers,
        most_us: float,
        sequence: Sequence[int] | None = None,
        below: int = 0,
    ) -> None:
        """``below``: by how much the objective must be below what ``numbers`` allow."""
        self.blocks, self.numbers = blocks, numbers
        self.program = program = Program(min(numbers.least, numbers.most - below), numbers.most - below)
        self.places = Places(program, blocks, positions_of(blocks), most_us)
        self.kinds = Kinds(program, blocks, numbers, self.places, sequence)
        self.cuts = Cuts(program, self.places, self.kinds)
        add_times(program, self.places, self.kinds, self.cuts)
        self.some = add_memory(program, self.places, self.kinds)

    def stages(self, value: Callable[[int], bool]) -> Stages:
        """The plan in which the columns have these values."""

        def is_one(column: int) -> bool:
            return column == ALWAYS or (column != NEVER and value(column))

        held: list[list[int]] = [[] for _ in range(self.places.positions)]
        for block, reached in enumerate(self.places.reached):
            held[sum(map(is_one, reached[1:]))].append(block)
        pools = (self._pool(position, is_one) for position in range(self.places.positions))
        return tuple((pool, tuple(found)) for pool, found in zip(pools, held, strict=True) if found)

    def values(self, stages: Stages) -> dict[int, int]:
        """Columns and their values in a plan, all of them."""
        free = [len(pool.devices) for pool in self.blocks.pools]
        for pool, _ in stages:
            free[pool] -= 1
        spare = [pool for pool, count in enumerate(free) for _ in range(count)]
        pools = [*(pool for pool, _ in stages), *spare][: self.places.positions]
        home = {block: position for position, (_, found) in enumerate(stages) for block in found}
        return {column: int(value) for column, value in self._values(pools, home) if column > OBJECTIVE}

    def _pool(self, position: int, value: Callable[[int], bool]) -> int:
        return next((pool for pool, kind in self.kinds.kind.items() if value(kind[position])), self.kinds.base)

    def _values(self, pools: Sequence[int], home: dict[int, int]) -> Iterator[tuple[int, bool]]:
        kinds, blocks = self.kinds, self.blocks
        for block, reached in enumerate(self.places.reached):
            yield from ((column, home[block] >= position) for position, column in enumerate(reached))
        for touched, every, columns in self.cuts.extremes:
            last = (min if every else max)(home[block] for block in touched)
            yield from ((column, last >= position) for position, column in enumerate(columns))
        for position, pool in enumerate(pools):
            yield from ((kind[position], pool == of) for of, kind in kinds.kind.items())
            for number, apart in kinds.apart.items():
                here = kinds.class_of[pool] == number
                yield from ((row[position], here and home[block] == position) for block, row in enumerate(apart))
            for (touched, _), paid in zip(blocks.tensors, self.cuts.paid, strict=True):
                held = {home[block] for block in touched}
                yield paid[position], position in held and len(held) > 1 and blocks.pools[pool].pays
            for (touched, _), some in zip(blocks.groups, self.some, strict=False):
                yield some[position], any(home[block] == position for block in touched)
