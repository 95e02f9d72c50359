"""Demands that exclude each other, in the user's words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from planners import Problem

from .demands import Demands
from .errors import UsageError

_TOGETHER = "the model's class begins both on one IPU"


def check(problem: Problem, decided: Mapping[int, str], demands: Demands) -> None:
    """UsageError where pins contradict a tied weight or the layers asked for. `decided`: pinned unit -> who says so."""
    pins = dict(problem.pins)
    for group in problem.groups if demands.pins else ():
        homes = {pins[unit]: unit for unit in group.members if group.colocate and unit in pins}
        if len(homes) > 1:
            one, other = (decided[unit] for unit in sorted(homes.values())[:2])
            weight = group.name.startswith("weight ")
            why = f"{group.name} is held by both, and in a pipeline that is one IPU's" if weight else _TOGETHER
            raise UsageError(f"{one} contradicts {other}: {why}. Pin both to one IPU, or only one of them.")
    if demands.pins and demands.layers:
        _check_layers(problem, pins, decided, demands)


def _check_layers(problem: Problem, pins: Mapping[int, int], decided: Mapping[int, str], demands: Demands) -> None:
    counts = [device.layers for device in problem.devices]
    layers = sorted(problem.sequential)
    for number, unit in enumerate(layers):
        if unit in pins:
            possible = _numbers(counts, len(layers), pins[unit])
            if number not in possible:
                verb = "puts" if None not in counts else "leaves at most"
                raise UsageError(
                    f"{decided[unit]} contradicts {demands.layers_option}, which {verb} {_span(possible)} on IPU "
                    f"{pins[unit]}: {problem.units[unit].name!r} is layer {number}, counted from 0."
                )


def _numbers(counts: Sequence[int | None], total: int, ipu: int) -> range:
    """The layers that may be on an IPU, given how many each IPU holds."""
    own, before, after = counts[ipu], counts[:ipu], counts[ipu + 1 :]
    first, stop = _sum(before), total - _sum(after)
    if own == 0:
        return range(0)
    if own is not None and None not in after:
        first = max(first, stop - own)
    if own is not None and None not in before:
        stop = min(stop, first + own)
    return range(first, stop)


def _span(layers: range) -> str:
    if len(layers) < 2:
        return f"layer {layers[0]}" if layers else "no layer"
    return f"layers {layers[0]} to {layers[-1]}"


def _sum(counts: Sequence[int | None]) -> int:
    return sum(count for count in counts if count is not None)


def in_words(reason: str, problem: Problem, decided: Mapping[int, str], demands: Demands) -> str:
    """A planner's reason without units, devices and groups where the user has a word for them."""
    names = {unit.name: index for index, unit in enumerate(problem.units)}

    def pinned(match: re.Match[str]) -> str:
        return decided.get(names.get(match["name"], -1), match[0])

    reason = re.sub(r"unit '(?P<name>[^']*)' is pinned to device \d+", pinned, reason)
    if demands.layers:
        asked = f"\\g<0> ({demands.layers_option})"
        reason = re.sub(r"devices? \d+ (must )?holds? (exactly )?\d+ sequential units?", asked, reason)
    for pattern, word in _WORDS:
        reason = re.sub(pattern, word, reason)
    return reason


_WORDS = (
    (r"\bgroup '(weight [^']*)'", r"\1"),
    (r"\bgroup '(units [^']*)'", r"the pair of \1"),
    (r"\bsequential unit", "layer"),
    (r"\ba device", "an IPU"),
    (r"\bdevice", "IPU"),
)
