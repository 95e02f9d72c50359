"""The baseline that optimum-graphcore users have today: equal shares of layers, the remainder to the last device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .evaluate import evaluate
from .problem import Problem
from .solution import Feasible, Infeasible, Solution
from .validation import validate


@dataclass(frozen=True, slots=True)
class Uniform:
    """Places layers by ``layers_per_ipu``; -1 is a wildcard. Never searches, so what it finds is never called optimal.

    Layers are the sequential units or, where there are none, the units that are neither pinned nor tied. Of the
    others, pinned units go to their pins, tied ones to their group, the rest to the unit before them; units that may
    not be parted stay together.
    """

    layers: tuple[int, ...] = (-1,)

    def __call__(self, problem: Problem) -> Solution:
        validate(problem)
        units = layer_units(problem)
        try:
            counts = layer_counts(self.layers, len(problem.devices), len(units))
        except ValueError as error:
            return Infeasible("uniform", str(error))
        devices = [device for device, count in enumerate(counts) for _ in range(count)]
        assignment = _place(problem, dict(zip(units, devices, strict=True)))
        evaluation = evaluate(problem, assignment)
        if evaluation.valid and evaluation.fits:
            return Feasible(assignment, evaluation, "uniform")
        lack = evaluation.shortfall_bytes
        reason = "; ".join(evaluation.violations) or f"the uniform split lacks {lack} bytes on one device"
        return Infeasible("uniform", f"layers {counts}: {reason}", lack, False, assignment, evaluation)


def layer_counts(layers: Sequence[int], devices: int, count: int) -> list[int]:
    """Layers per device, as optimum-graphcore expands its wildcards.

    One device takes all. ``[-1]`` and all wildcards: equal shares, the remainder to the last device. Mixed: the
    wildcards share what is left, the remainder to the last of them. ValueError where the list does not match.
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


def layer_units(problem: Problem) -> list[int]:
    """The units that ``layers`` counts."""
    if problem.sequential:
        return sorted(problem.sequential)
    pinned = {unit for unit, _ in problem.pins}
    tied = {unit for group in problem.groups if group.colocate for unit in group.members}
    return [unit for unit in range(len(problem.units)) if unit not in pinned | tied]


def _place(problem: Problem, devices: dict[int, int]) -> tuple[int, ...]:
    """Pins win, then layers; then ties and forbidden cuts spread until nothing moves; then the unit before."""
    devices = {**devices, **dict(problem.pins)}
    _spread(problem, devices)
    for unit in range(len(problem.units)):
        if unit not in devices:
            devices[unit] = devices[unit - 1] if unit else 0
            _spread(problem, devices)
    return tuple(devices[unit] for unit in range(len(problem.units)))


def _spread(problem: Problem, devices: dict[int, int]) -> None:
    together: list[tuple[int, ...]] = [(unit, unit + 1) for unit in sorted(problem.forbidden_cuts)]
    together += [group.members for group in problem.groups if group.colocate]
    known = -1
    while known != len(devices):
        known = len(devices)
        for members in together:
            placed = [devices[unit] for unit in members if unit in devices]
            for unit in members if placed else ():
                devices.setdefault(unit, placed[0])
