"""The baseline that optimum-graphcore users have today: equal shares of layers, the remainder to the last device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .layers import FIRST_DEVICE, judged, layer_units, owners
from .problem import Problem
from .solution import Infeasible, Solution
from .validation import validate

__all__ = ["Uniform", "layer_counts", "layer_units"]


@dataclass(frozen=True, slots=True)
class Uniform:
    """Places layers by ``layers_per_ipu``; -1 is a wildcard. Never searches, so what it finds is never called optimal.

    Layers are the sequential units or, where there are none, the units that are neither pinned nor tied. Of the
    others, pinned units go to their pins, tied ones to their group, the rest to the unit before them; units that may
    not be parted stay together. Where the option is left alone and the devices ask for ``layers``, those count.
    """

    layers: tuple[int, ...] = (-1,)

    def __call__(self, problem: Problem) -> Solution:
        validate(problem)
        units = layer_units(problem)
        try:
            counts = layer_counts(self._asked(problem), len(problem.devices), len(units))
        except ValueError as error:
            return Infeasible("uniform", str(error))
        devices = [device for device, count in enumerate(counts) for _ in range(count)]
        home = {FIRST_DEVICE: 0, **dict(zip(units, devices, strict=True)), **dict(problem.pins)}
        assignment = tuple(home[owner] for owner in owners(problem, units))
        return judged(problem, "uniform", f"layers {counts}: the uniform split", assignment)

    def _asked(self, problem: Problem) -> list[int]:
        if self.layers != (-1,) or not problem.sequential:
            return list(self.layers)
        return [-1 if device.layers is None else device.layers for device in problem.devices]


def layer_counts(layers: Sequence[int], devices: int, count: int) -> list[int]:
    """Layers per device, as optimum-graphcore expands its wildcards.

    One device takes all, whatever is asked. ``[-1]`` and all wildcards: equal shares, the remainder to the last device.
    Mixed: the wildcards share what is left, the remainder to the last of them.
    ValueError where the list does not match. In one case the original does not object: where the counts beside
    wildcards exceed the layers, it makes the wildcards negative, and devices get other counts than were asked.
    Source: optimum/graphcore/modeling_utils.py (0.7.1), `_expand_layers_per_ipu_wildcard`.
    """
    asked = list(layers)
    if any(n < -1 for n in asked):
        raise ValueError(f"layers are {asked}, expected counts of at least 0, or -1 for an equal share")
    if devices == 1:
        return [count]
    if asked == [-1]:
        asked = [-1] * devices
    if len(asked) != devices:
        raise ValueError(f"layers {asked} are for {len(asked)} devices, but there are {devices}")
    wild = [device for device, n in enumerate(asked) if n == -1]
    left = count - sum(n for n in asked if n != -1)
    if left < 0 or (left and not wild):
        raise ValueError(f"layers {asked} add up to {count - left} without wildcards, but there are {count}")
    for device in wild:
        asked[device] = left // len(wild)
    if wild:
        asked[wild[-1]] += left % len(wild)
    return asked
