"""What the stage at each position takes, in time and in memory. All rows always hold."""

from __future__ import annotations

from collections.abc import Sequence

from .cuts import Cuts
from .kinds import Kinds
from .places import Places
from .program import NEVER, OBJECTIVE, Program, Term


def add_times(program: Program, places: Places, kinds: Kinds, cuts: Cuts) -> None:
    """The objective is at least the time of each position, and of the devices of each class on average."""
    paying = [number for number, (pays, _) in enumerate(kinds.classes) if pays]
    for number, (pays, work) in enumerate(kinds.classes):
        total: dict[int, int] = {}
        for position in range(places.positions):
            worked = _work(places, kinds, number, work, position)
            paid = [(p, cut[position]) for p, cut in zip(kinds.numbers.prices, cuts.paid, strict=True) if pays]
            # The objective is `least` or more: where class 0 is idle, that much is free.
            idle = [(program.least, column) for _, column in kinds.idle(position)] if not number else []
            program.row([*worked, *paid, *idle, (-1, OBJECTIVE)], 0)
            for value, column in [*worked, *(paid if paying == [number] else [])]:
                total[column] = total.get(column, 0) + value
        if len(kinds.classes) > 1:
            everything = [(value, column) for column, value in total.items()]
            program.row([*everything, (-kinds.devices(number), OBJECTIVE)], 0)


def add_memory(program: Program, places: Places, kinds: Kinds) -> list[list[int]]:
    """Per group of blocks and position: some block of it is there. Empty where all would fit on any device."""
    blocks, positions = kinds.blocks, range(places.positions)
    sizes = blocks.bytes.tolist()
    everything = sum(sizes) + sum(size for _, size in blocks.groups)
    rooms = [everything if pool.capacity is None else min(everything, pool.capacity) for pool in blocks.pools]
    if min(rooms) >= everything:
        return []
    some = [[_some(program, places, touched, position) for position in positions] for touched, _ in blocks.groups]
    for position in positions:
        held = [(size * v, c) for block, size in enumerate(sizes) for v, c in places.here(block, position)]
        shared = [(size, found[position]) for (_, size), found in zip(blocks.groups, some, strict=True)]
        less = [(rooms[kinds.base] - rooms[pool], kind[position]) for pool, kind in kinds.kind.items()]
        program.row([*held, *shared, *less], rooms[kinds.base])
    return some


def _work(places: Places, kinds: Kinds, number: int, work: tuple[int, ...], position: int) -> list[Term]:
    found: list[Term] = []
    for block, time in enumerate(work):
        if time > kinds.numbers.most:
            continue
        if number:
            found.append((time, kinds.apart[number][block][position]))
            continue
        found += [(time * value, column) for value, column in places.here(block, position)]
        found += [(-time, apart[block][position]) for apart in kinds.apart.values()]
    return found


def _some(program: Program, places: Places, touched: Sequence[int], position: int) -> int:
    possible = [block for block in touched if places.possible(block, position)]
    if not possible:
        return NEVER
    column = program.binary()
    for block in possible:
        program.row([*places.here(block, position), (-1, column)], 0)
    return column
