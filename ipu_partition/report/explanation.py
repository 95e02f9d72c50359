"""An explanation in words and small tables."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from .tables import words
from .text import mebibytes, milliseconds, module_ranges, percent, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..explanation import Explanation, ModeExplanation
    from ..explanation.document import Fullest, MoreLayer, OtherCut, Room, Slowest, Worker


def render_explanation(explanation: Explanation) -> RenderableType:
    """All modes, one after the other."""
    from rich.console import Group
    from rich.text import Text

    head = f"{explanation.model} ({explanation.architecture}) on {explanation.machine}, target {explanation.target}: "
    parts: list[RenderableType] = [words(head + ("fits" if explanation.fits else "DOES NOT FIT"), "bold")]
    for name, mode in explanation.modes().items():
        parts += [Text(), words(name.capitalize(), "bold underline"), *_mode(mode)]
    return Group(*parts)


def show_explanation(explanation: Explanation, file: IO[str] | None = None) -> None:
    """Print to `file` (standard output)."""
    from .terminal import show

    show(render_explanation(explanation), file)


def _mode(mode: ModeExplanation) -> list[RenderableType]:
    from rich.text import Text

    layers = "" if mode.layers_per_ipu is None else f", layers_per_ipu {mode.layers_per_ipu}"
    fits = "" if mode.fits else "; does not fit, the nearest cut is explained"
    parts: list[RenderableType] = [
        words(f"{mode.ipus} IPUs{layers}: {mode.goal} {milliseconds(mode.objective_us)}{fits}")
    ]
    parts += [words(f"What keeps it from fitting: {text}", "bold red") for text in mode.obstacles]
    parts += [Text(), *_slowest(mode.slowest, mode.goal), Text(), *_fullest(mode.fullest)]
    parts += [Text(), *_others(mode)]
    parts += _one_more(mode) if mode.one_more else []
    return [*parts, *(words(_room(room)) for room in mode.room)]


def _slowest(slowest: Slowest, goal: str) -> list[RenderableType]:
    role = "sets the cycle" if goal == "cycle" else "takes the greatest part of the latency"
    made_of = ", ".join(f"{part.name} {milliseconds(part.us)}" for part in slowest.parts)
    line = f"IPU {slowest.ipu} {role}: {milliseconds(slowest.us)} = {made_of}"
    return [words(line, "bold"), *(words(_worker(worker, slowest.us)) for worker in slowest.workers)]


def _worker(worker: Worker, total_us: float) -> str:
    share = percent(worker.us / total_us) if total_us else "-"
    kinds = ", ".join(f"{kind} {milliseconds(us)}" for kind, us in worker.kinds.items())
    return f"  {module_ranges(worker.modules) or 'what runs first'}: {milliseconds(worker.us)}, {share} ({kinds})"


def _fullest(fullest: Fullest) -> list[RenderableType]:
    free = fullest.free_bytes
    left = f"{size(free)} free" if free >= 0 else f"{size(-free)} too much"
    line = f"IPU {fullest.ipu} is the fullest: {size(fullest.used_bytes)} in use, {left}"
    found = [
        f"  {term.name} {size(term.bytes)}" + (f": {term.source}" if term.source else "") for term in fullest.terms
    ]
    return [words(line, "bold"), *map(words, found)]


def _others(mode: ModeExplanation) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if mode.unlimited is not None:
        found = mode.unlimited
        parts.append(words(f"Memory decides: without its limit, {_cut(found)} would take {_time(found)}."))
    elif mode.memory_decides is False:
        parts.append(words(f"Memory decides nothing: no cut has a shorter {mode.goal}, whatever IPUs hold."))
    if mode.runner_up is None:
        return [*parts, words(f"No other cut: {mode.no_runner_up}")]
    other = mode.runner_up
    known = "Next best" if other.proved else "Best of the cuts a step away"
    memory = f"{_signed(other.more_bytes)} MiB on the fullest IPU" + _WORSE.get(other.worse_in, "")
    memory += "" if other.fits else ": does not fit"
    return [*parts, words(f"{known}: {_cut(other)}, {_time(other)}, {memory}")]


_WORSE = {"copies": ", but more is copied", "evenness": ", but the load is less even"}


def _cut(cut: OtherCut) -> str:
    moves = "; ".join(f"{module_ranges(m.modules)} from IPU {m.from_ipu} to IPU {m.to_ipu}" for m in cut.moves)
    return str(cut.layers_per_ipu) + (f" ({moves})" if len(cut.moves) < 4 else "") if cut.layers_per_ipu else moves


def _time(cut: OtherCut) -> str:
    return f"{milliseconds(cut.objective_us)} ({cut.slower_us / 1000:+,.3f} ms)"


def _signed(bytes_: int) -> str:
    return f"{'+' if bytes_ >= 0 else '-'}{mebibytes(abs(bytes_))}"


def _one_more(mode: ModeExplanation) -> list[RenderableType]:
    return [words("One more layer, all else where it is:"), *(words(_more(x, mode.goal)) for x in mode.one_more)]


def _more(more: MoreLayer, goal: str) -> str:
    time = f"{goal} {milliseconds(more.objective_us)} ({more.slower_us / 1000:+,.3f} ms)"
    fits = "" if more.fits else ": does not fit"
    memory = f"{size(more.used_bytes)} there ({_signed(more.more_bytes)} MiB){fits}"
    return f"  on IPU {more.ipu}, like {more.like}: {time}, {memory}"


def _room(room: Room) -> str:
    count = f"at least {room.more}" if room.at_least else str(room.more)
    return f"{room.like}: {count} more layers would fit on these IPUs, cut anew."
