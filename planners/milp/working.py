"""The most that a device needs at one moment beyond what it keeps: a recompute segment, or a weight update."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Expression, Part, Units, total
from .variables import Places


def working(places: Places, device: int, units: Units) -> Iterator[Part]:
    """One column, at least as large as every candidate."""
    blocks = places.network.blocks
    peak = places.model.variable()
    for block, size in enumerate(blocks.alone_bytes):
        if size and places.on(block, device):
            places.model.at_least(peak, total([(places.on(block, device), size / units.bytes)]))
    for run in blocks.runs:
        if len(run) > 1:
            for where in _stages(places, run, device):
                _segment(places, peak, run, where, units)
    yield peak, units.bytes


def _stages(places: Places, run: list[tuple[int, int, int]], device: int) -> Iterator[dict[int, Expression]]:
    """Where the run's blocks are in one stage here: by slot, unless the device has one stage at most."""
    if device not in places.returnable:
        yield {block: places.on(block, device) for block, _, _ in run}
        return
    for slot in sorted({slot for block, _, _ in run for slot in places.slots.get((block, device), [])}):
        yield {block: places.within(block, slot, device) for block, _, _ in run}


def _segment(
    places: Places, peak: Expression, run: list[tuple[int, int, int]], where: dict[int, Expression], units: Units
) -> None:
    """``peak >= sum of live + largest transient`` of the run's blocks in that stage."""
    here = [part for part in run if where[part[0]]]
    if len(here) < 2:
        return
    live = total((where[block], size / units.bytes) for block, size, _ in here)
    transient = [total([(where[block], size / units.bytes)]) for block, _, size in here if size]
    largest = places.model.variable() if transient else {}
    for candidate in transient:
        places.model.at_least(largest, candidate)
    places.model.at_least(peak, total([(live, 1.0), (largest, 1.0)]))
