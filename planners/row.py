"""A problem as one row of blocks, to be cut into a run for each device: what the baselines decide.

A *block* is what moves together: layers that may not be parted, with the units that follow them. Units that follow no
layer are *fixed* to a device. Every device gets its fixed units and a run of blocks, which may be empty.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .layers import companies, layer_units, owners
from .problem import Problem


@dataclass(frozen=True, slots=True)
class Return:
    """Units of elsewhere just before block ``before``: that is on their device, or on one that was not visited yet."""

    before: int
    device: int | None
    """Where they are fixed; ``None`` where they follow the earlier block ``block``."""
    block: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """Blocks in order, and all that binds them."""

    problem: Problem
    blocks: tuple[tuple[int, ...], ...]
    """Units of each, ascending."""
    layers: tuple[int, ...]
    """How many layers each holds."""
    fixed: tuple[tuple[int, ...], ...]
    """Units of each device, wherever the cuts are; ascending."""
    pinned: tuple[tuple[int, int], ...]
    """(block, device) pairs."""
    returns: tuple[Return, ...]
    """Ascending by ``before``."""

    def assignment(self, cuts: Sequence[int]) -> tuple[int, ...]:
        """Device of every unit, where the run of device ``d`` ends before block ``cuts[d]``."""
        devices = [0] * len(self.problem.units)
        for device, (start, stop) in enumerate(zip((0, *cuts), cuts, strict=False)):
            for units in (self.fixed[device], *self.blocks[start:stop]):
                for unit in units:
                    devices[unit] = device
        return tuple(devices)


def row_of(problem: Problem) -> Row:
    """The blocks of a problem, in order of their layers."""
    root, pins = companies(problem), dict(problem.pins)
    layers = _free_layers(problem, root)
    number = _numbers(layers, root)
    homes = [number[owner] if owner in number else ~pins.get(owner, 0) for owner in owners(problem, layers)]
    blocks: list[list[int]] = [[] for _ in range(max(number.values(), default=-1) + 1)]
    fixed: list[list[int]] = [[] for _ in problem.devices]
    for unit, home in enumerate(homes):
        (blocks[home] if home >= 0 else fixed[~home]).append(unit)
    held = Counter(number.values())
    block_of = {root[layer]: block for layer, block in number.items()}
    return Row(
        problem,
        tuple(map(tuple, blocks)),
        tuple(held[block] for block in range(len(blocks))),
        tuple(map(tuple, fixed)),
        tuple(sorted({(block_of[root[unit]], device) for unit, device in problem.pins if root[unit] in block_of})),
        tuple(_returns(homes).values()),
    )


def _free_layers(problem: Problem, root: Sequence[int]) -> list[int]:
    """The layers, without those that are bound by what they may not be parted from; sequential ones remain."""
    layers = layer_units(problem)
    if problem.sequential:
        return layers
    bound = {root[unit] for unit in set(range(len(root))).difference(layers)}
    return [layer for layer in layers if root[layer] not in bound]


def _numbers(layers: Sequence[int], root: Sequence[int]) -> dict[int, int]:
    """The block of every layer: all from the first unit of a company to its last layer are one block."""
    last = {bisect_left(layers, root[layer]): i for i, layer in enumerate(layers)}
    number: dict[int, int] = {}
    block = reach = 0
    for i, layer in enumerate(layers):
        reach = max(reach, last.get(i, i))
        number[layer] = block
        if i == reach:
            block, reach = block + 1, i + 1
    return number


def _returns(homes: Sequence[int]) -> dict[int, Return]:
    """By ``before``; the last of several in one place. ``homes``: per unit its block, or ``~device``."""
    begun, found = -1, {}
    for home, _ in groupby(homes):
        if home < 0:
            found[begun + 1] = Return(begun + 1, ~home, None)
        elif home < begun:
            found[begun + 1] = Return(begun + 1, None, home)
        elif home == begun:
            found.pop(begun + 1, None)
        begun = max(begun, home)
    return found
