"""Which position pays for which tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .kinds import Kinds
from .places import Places
from .program import ALWAYS, NEVER, Program, Term

MOST_ENDS = 16
"""Pairs of blocks of a tensor for which the rows of :meth:`Cuts._crossing` are written."""


class Cuts:
    """``paid[tensor][position]``: a device that pays is there and holds some blocks of it, but not all."""

    def __init__(self, program: Program, places: Places, kinds: Kinds) -> None:
        self.program, self.places, self.kinds = program, places, kinds
        self.extremes: list[tuple[Sequence[int], bool, list[int]]] = []
        """(blocks, whether all or any, per position: they are there or later)."""
        self.pays = any(pays for pays, _ in kinds.classes)
        self.relief = [kinds.relief(position) for position in range(places.positions)]
        self.paid = [self._paid(touched, price) for touched, price in self._priced()]

    def _priced(self) -> Iterator[tuple[Sequence[int], int]]:
        tensors = self.kinds.blocks.tensors
        for (touched, _), price in zip(tensors, self.kinds.numbers.prices, strict=True):
            yield touched, price if self.pays else 0

    def _paid(self, touched: Sequence[int], price: int) -> list[int]:
        places, row = self.places, self.program.row
        if not price:
            return [NEVER] * places.positions
        first, last = places.first_of(touched), places.last_of(touched)
        all_reached = places.reached[first] if first is not None else self._reached(touched, True)
        any_reached = places.reached[last] if last is not None else self._reached(touched, False)
        paid = []
        for position in range(places.positions):
            inside = all_reached[position] == ALWAYS and any_reached[position + 1] == NEVER
            touching = any(places.possible(block, position) for block in touched)
            paid.append(self.program.binary() if touching and not inside else NEVER)
            relief, spare = self.relief[position]
            for block in touched if touching and not inside else ():
                here, less = places.here(block, position), [(-1, paid[position]), *relief]
                if block != first:
                    row([*here, (-1, all_reached[position]), *less], spare)
                if first is None or block == first:
                    row([*here, (1, any_reached[position + 1]), *less], 1 + spare)
        self._crossing(touched, first, last, paid)
        return paid

    def _crossing(self, touched: Sequence[int], first: int | None, last: int | None, paid: list[int]) -> None:
        """Where it is made before a position and read there or later, some position before pays and some other does
        not earlier. Implied, but not of the program without integers."""
        makers = [block for block in touched if block != last] if first is None else [first]
        readers = [block for block in touched if block != first] if last is None else [last]
        if len(makers) * len(readers) > MOST_ENDS or not self.kinds.classes[0][0]:
            return
        reached, positions = self.places.reached, self.places.positions
        for maker, reader in ((m, r) for m in makers for r in readers if m != r):
            for position in range(1, positions):
                crosses: list[Term] = [(1, reached[reader][position]), (-1, reached[maker][position])]
                for block, side in ((maker, range(position)), (reader, range(position, positions))):
                    free = self.kinds.free_at(block, side)
                    self.program.row([*crosses, *((-1, paid[at]) for at in side), *free], 0)

    def _reached(self, touched: Sequence[int], every: bool) -> list[int]:
        """At each position: whether all of the blocks, or any, are there or later; at most or at least that."""
        found = []
        known, other = (NEVER, ALWAYS) if every else (ALWAYS, NEVER)
        for position in range(self.places.positions + 1):
            columns = {self.places.reached[block][position] for block in touched}
            open_ = sorted(columns - {NEVER, ALWAYS})
            if known in columns or not open_:
                found.append(known if known in columns else other)
                continue
            found.append(self.program.binary() if len(open_) > 1 else open_[0])
            for column in open_ if len(open_) > 1 else ():
                self.program.row([(1, found[-1]), (-1, column)] if every else [(1, column), (-1, found[-1])], 0)
        self.extremes.append((touched, every, found))
        return found
