"""What would save memory, and what was changed to make a plan fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .tables import words
from .text import percent, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..plan_parts import Applied, Fitting, Lever, ModePlan


def lever_parts(mode: ModePlan) -> list[RenderableType]:
    """What was tried to make it fit, then what each change would do."""
    parts: list[RenderableType] = [] if mode.fitting is None else _fitting(mode.fitting, mode.applied)
    return [*parts, *(_levers(mode.levers, mode.fits) if mode.levers else [])]


def _fitting(fitting: Fitting, applied: Sequence[Applied]) -> list[RenderableType]:
    tried = f"{fitting.plans_tried} plans tried"
    if fitting.nearest_lacks_bytes:
        nearest = " ".join(fitting.nearest) or "no change"
        lack = f"Nothing makes it fit ({tried}). Nearest: {nearest}, which lacks {size(fitting.nearest_lacks_bytes)}."
        return [words(lack, "bold red")]
    lost = "" if fitting.time_lost is None else f", {change(fitting.time_lost)}"
    line = f"Changed to make it fit, for it lacked {size(fitting.lacked_bytes)} ({tried}{lost}):"
    return [words(line, "bold"), *(words(f"  {x.name}: {x.description}") for x in applied)]


def _levers(levers: Sequence[Lever], fits: bool) -> list[RenderableType]:
    """Two lines each, so that an option can be copied whole."""
    parts: list[RenderableType] = [words("Would save memory:" if fits else "Would help:", "bold")]
    for lever in levers:
        verdict = "" if fits else " (fits then)" if lever.fits else " (does not fit yet)"
        parts.append(words(f"  {lever.name}{verdict}: saves {size(lever.bytes_saved)}{_rate(lever)}"))
        parts.append(words(f"    {lever.description}"))
    return parts


def _rate(lever: Lever) -> str:
    if lever.samples_per_second is None:
        return ""
    lost = "" if lever.time_lost is None else f" ({-100 * lever.time_lost + 0.0:+.1f} %)"
    return f", {lever.samples_per_second:,.1f} samples/s{lost}"


def change(time_lost: float) -> str:
    """`0.05` is `5.0 % slower`."""
    return f"{percent(abs(time_lost))} {'slower' if time_lost >= 0 else 'faster'}"
