"""The rules that a path alone does not keep; ``stages.violations`` says them all."""

from __future__ import annotations

from .model import total
from .variables import Places


def constrain(places: Places) -> None:
    """Add the rows for ties, visits, and numbers of units and layers."""
    _ties(places)
    _visits(places)
    _counts(places)


def _ties(places: Places) -> None:
    """Members are on the device of the first."""
    for first, *others in places.network.blocks.ties:
        for device in range(len(places.network.blocks.problem.devices)):
            for member in others:
                parts = [(places.on(first, device), 1.0), (places.on(member, device), -1.0)]
                places.model.row(total(parts), 0.0, 0.0)


def _visits(places: Places) -> None:
    """A device is returned to only where it was visited, which is a question only if devices may be skipped."""
    if places.network.blocks.problem.allow_empty:
        for (_, device), returns in sorted(places.returns().items()):
            places.model.at_least(places.used(device), returns)


def _counts(places: Places) -> None:
    blocks = places.network.blocks
    sizes = [len(blocks.units(block)) for block in range(len(blocks))]
    for index, device in enumerate(blocks.problem.devices):
        if device.min_units > 1:
            units = total((places.on(block, index), float(size)) for block, size in enumerate(sizes))
            places.model.row(total([(units, 1.0), (places.used(index), -float(device.min_units))]), lower=0.0)
        if device.layers is not None:
            layers = total((places.on(block, index), float(n)) for block, n in enumerate(blocks.layers) if n)
            places.model.row(layers, float(device.layers), float(device.layers))
