"""The price of program order in words and a small table."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from .tables import facts, words
from .text import milliseconds, module_ranges, percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..order.document import ModeOrder, OrderExplanation

LISTED = 8
"""Modules of a stage that are named; a stage in another order jumps between many."""


def render_order(explanation: OrderExplanation) -> RenderableType:
    """All modes, one after the other."""
    from rich.console import Group
    from rich.text import Text

    head = f"{explanation.model} ({explanation.architecture}) on {explanation.machine}, target {explanation.target}"
    parts: list[RenderableType] = [words(f"{head}: the order of {_units(explanation)}", "bold")]
    for name, mode in explanation.modes().items():
        parts += [Text(), words(name.capitalize(), "bold underline"), *_mode(mode)]
    parts += [Text()] * bool(explanation.notes)
    return Group(*parts, *(words(note) for note in explanation.notes))


def show_order(explanation: OrderExplanation, file: IO[str] | None = None) -> None:
    """Print to `file` (standard output)."""
    from .terminal import show

    show(render_order(explanation), file)


def _units(explanation: OrderExplanation) -> str:
    return "modules" if explanation.granularity == "module" else "operations"


def _mode(mode: ModeOrder) -> list[RenderableType]:
    devices = "1 device" if mode.devices == 1 else f"{mode.devices} devices"
    parts: list[RenderableType] = [
        words(f"{mode.words[0].upper()}{mode.words[1:]}.", "bold" if mode.fits else "bold red"),
        facts({**_times(mode), "searched": f"{mode.units:,} units, {mode.pairs:,} pairs in order, {devices}"}),
    ]
    if not mode.program_is_best:
        parts += [words("Best order found:"), *(words(_stage(s.device, s.modules)) for s in mode.stages)]
    return [*parts, *(words(note) for note in mode.notes)]


def _times(mode: ModeOrder) -> dict[str, str]:
    gap = "" if mode.gap is None else f", {percent(mode.gap)} below it"
    bound = "nothing is proved" if mode.lower_bound_us is None else f"{milliseconds(mode.lower_bound_us)}{gap}"
    if mode.proved and not mode.fits:
        bound = "no plan fits, proven"
    plan = {} if mode.plan_us in (None, mode.program_us) else {"plan, by all rules": _time(mode.plan_us)}
    return plan | {
        "program order": _time(mode.program_us),
        "best order": "program order" if mode.program_is_best and mode.fits else _time(mode.best_us),
        "bound": f"{bound} ({mode.planner}, {mode.seconds:.0f} s)",
    }


def _time(us: float | None) -> str:
    return "does not fit" if us is None else f"cycle {milliseconds(us)}"


def _stage(device: int, modules: list[str]) -> str:
    named = module_ranges(modules).split(", ")
    more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
    return f"  device {device}: {', '.join(named[:LISTED])}{more}"
