"""Where blocks may be, as pins, ties and numbers of layers say before any search."""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate

from .blocks import Blocks


class ContradictionError(Exception):
    """No assignment obeys the constraints."""


Homes = list[set[int]]
"""Per block: the devices it may be on."""


def homes_of(blocks: Blocks) -> Homes:
    """Raises :class:`ContradictionError` where a block has no device left."""
    homes: Homes = [set(range(len(blocks.problem.devices))) for _ in range(len(blocks))]
    for block, device in blocks.pins:
        homes[block] &= {device}
    _layers(blocks, homes)
    if not blocks.problem.allow_empty:
        homes[0] &= {0}
    unite(blocks, homes)
    return homes


def unite(blocks: Blocks, homes: Homes) -> None:
    """Tied blocks may only be where all of them may be. Raises :class:`ContradictionError`."""
    before = -1
    while before != (before := sum(map(len, homes))):
        for members in blocks.ties:
            common = set.intersection(*(homes[block] for block in members))
            for block in members:
                homes[block] &= common
    for block, devices in enumerate(homes):
        if not devices:
            name = blocks.units(block)[0].name
            raise ContradictionError(f"no device is left for unit {name!r} and those it may not be parted from")


def _layers(blocks: Blocks, homes: Homes) -> None:
    """Layers stay in order, so the layers before one and after one say on which devices it may be."""
    asked = [device.layers for device in blocks.problem.devices]
    units = sorted(blocks.problem.sequential)
    most = [len(units) if n is None else n for n in asked]
    until = list(accumulate(most))
    since = [len(units) - behind for behind in accumulate(reversed(most))][::-1]
    for number, unit in enumerate(units):
        homes[blocks.of[unit]] &= {d for d in range(len(asked)) if since[d] <= number < until[d] and most[d]}


def reasons(blocks: Blocks, homes: Homes) -> dict[int, list[int]]:
    """Per device that may be returned to, per block: where a stage that returns with that block finds its reason.

    That is the first block, from that one on, pinned to the device or tied to a block before. ``len(blocks)``: never.
    """
    since: dict[int, dict[int, int]] = defaultdict(dict)
    for members in blocks.ties:
        for device in homes[members[0]]:
            for member in members[1:]:
                since[device][member] = min(members[0] + 1, since[device].get(member, member))
    for pinned, device in blocks.pins:
        since[device][pinned] = 0
    found = {device: [len(blocks)] * len(blocks) for device in since}
    for device, earliest in since.items():
        for member, start in sorted(earliest.items(), reverse=True):
            found[device][start : member + 1] = [member] * (member + 1 - start)
    return found
