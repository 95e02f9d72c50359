"""Which pool the stage at each position is of, where there are several."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.blocks import Blocks
from .numbers import Numbers
from .places import Places
from .program import ALWAYS, NEVER, Program, Term


class Kinds:
    """Pools that differ in memory alone are one *class*; class 0 is that of the base, the pool with most devices.

    ``kind[pool][position]``, for all pools but the base: the stage there is of that pool.
    ``apart[class][block][position]``, for all classes but 0: the block is there, and the stage is of that class.
    """

    def __init__(
        self, program: Program, blocks: Blocks, numbers: Numbers, places: Places, sequence: Sequence[int] | None
    ) -> None:
        self.program, self.blocks, self.numbers, self.places = program, blocks, numbers, places
        pools = range(len(blocks.pools))
        self.base = max(pools, key=lambda pool: (len(blocks.pools[pool].devices), blocks.pools[pool].pays))
        classes: dict[tuple[bool, tuple[int, ...]], int] = {}
        self.class_of = [0] * len(pools)
        for pool in sorted(pools, key=lambda pool: pool != self.base):
            alike = blocks.pools[pool].pays, numbers.work[pool]
            self.class_of[pool] = classes.setdefault(alike, len(classes))
        self.classes = tuple(classes)
        """Of each class: whether its devices pay, and work per block."""
        self.kind = self._kind(sequence)
        self.apart: dict[int, list[list[int]]] = {}
        for number in range(1, len(self.classes)):
            self._part(number)
        self._base_alone()

    def devices(self, number: int) -> int:
        """Of a class."""
        return sum(len(pool.devices) for pool, of in zip(self.blocks.pools, self.class_of, strict=True) if of == number)

    def of_class(self, number: int, position: int) -> list[Term]:
        """1 where the stage is of that class, which is not 0."""
        return [(1, self.kind[pool][position]) for pool in self.kind if self.class_of[pool] == number]

    def idle(self, position: int) -> list[Term]:
        """1 where nothing of what class 0 may take there is taken: neither its work nor, if it pays, copies."""
        pays = self.classes[0][0]
        others = [pool for pool in self.kind if self.class_of[pool] and not (pays and self.blocks.pools[pool].pays)]
        return [(1, self.kind[pool][position]) for pool in others]

    def relief(self, position: int) -> tuple[list[Term], int]:
        """Terms and a constant: the terms fall below it by 1 where the stage is of a pool that does not pay."""
        if self.classes[0][0]:
            return [(-1, self.kind[pool][position]) for pool in self.kind if not self.blocks.pools[pool].pays], 0
        return [(1, self.kind[pool][position]) for pool in self.kind if self.blocks.pools[pool].pays], 1

    def free_at(self, block: int, positions: Sequence[int]) -> list[Term]:
        """-1 where the block is on a device that does not pay, at one of the positions; where class 0 pays."""
        classes = [number for number in self.apart if not self.classes[number][0]]
        return [(-1, self.apart[number][block][position]) for number in classes for position in positions]

    def _kind(self, sequence: Sequence[int] | None) -> dict[int, list[int]]:
        pools, positions = self.blocks.pools, range(self.places.positions)
        others = [pool for pool in range(len(pools)) if pool != self.base]
        if sequence is not None:
            return {pool: [ALWAYS if used == pool else NEVER for used in sequence] for pool in others}
        found = {pool: [self.program.binary() for _ in positions] for pool in others}
        for pool in others:
            self.program.row([(1, column) for column in found[pool]], len(pools[pool].devices))
        if len(others) > 1:
            for position in positions:
                self.program.row([(1, found[pool][position]) for pool in others], 1)
        spare = len(pools[self.base].devices) - len(positions)
        self.program.row([(-1, column) for pool in others for column in found[pool]], spare)
        return found

    def _part(self, number: int) -> None:
        """What follows of a product: it is 1 where both factors are."""
        work, places, row = self.classes[number][1], self.places, self.program.row
        self.apart[number] = found = []
        for block, time in enumerate(work):
            found.append([NEVER] * places.positions)
            for position in range(places.positions):
                stage = self.of_class(number, position)
                if not places.possible(block, position) or all(column == NEVER for _, column in stage):
                    continue
                if time <= self.numbers.most:
                    found[block][position] = self.program.binary()
                column, here = found[block][position], places.here(block, position)
                row([(1, column), *((-value, of) for value, of in stage)], 0)
                row([(1, column), *((-value, of) for value, of in here)], 0)
                row([*here, *stage, (-1, column)], 1)

    def _base_alone(self) -> None:
        """Blocks that cannot run in class 0 are in another."""
        for block, time in enumerate(self.classes[0][1]):
            for position in range(self.places.positions if time > self.numbers.most else 0):
                elsewhere = [(-1, found[block][position]) for found in self.apart.values()]
                self.program.row([*self.places.here(block, position), *elsewhere], 0)
