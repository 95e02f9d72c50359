"""What differs between two plans, on the terminal: the request, the cut, memory and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

from .tables import table, words
from .text import milliseconds, module_ranges, size

if TYPE_CHECKING:
    from rich.console import RenderableType

MODES = ("training", "inference")
_LEFT_OUT = frozenset({"audit", "levers", "baselines", "stages", "user_id", "alternatives", "units"})
"""What follows from something that is shown, or fills pages."""
_LONGEST = 60


class Changed(Protocol):
    """A value of two documents; None where there is none."""

    @property
    def path(self) -> tuple[str, ...]: ...

    @property
    def before(self) -> Any: ...

    @property
    def after(self) -> Any: ...


def render_changes(found: Sequence[Changed]) -> RenderableType:
    """A line for each value that differs; modules that moved alike share one."""
    if not found:
        return words("No difference.")
    rows = list(_rows([change for change in found if not _LEFT_OUT.intersection(change.path)]))
    if not rows:
        return words(f"{len(found)} values differ in what follows from the cut; --json lists them.")
    return table(("What", "A", "B"), rows, wrap=("What", "A", "B"))


def _rows(found: Sequence[Changed]) -> Iterator[tuple[str, str, str]]:
    for mode in (None, *MODES):
        here = [c for c in found if (c.path[0] if c.path[0] in MODES else None) == mode]
        if _only_one_has(here, {("status",), ("workload", "ipus")}, below=1):
            yield mode or "", *_side(here[0], "planned")
            continue
        yield from _moves(mode, [c for c in here if c.path[1:2] == ("blocks",)])
        for (part, row), group in _groups(c for c in here if c.path[1:2] != ("blocks",)):
            if part == "ipus" and _only_one_has(group, {("cycle_us",), ("memory", "total_bytes")}, below=3):
                yield f"{mode} IPU {row}", *_side(group[0], "in use")
                continue
            for change in group:
                yield (" ".join(change.path), *_both(change))


def _groups(found: Iterable[Changed]) -> Iterator[tuple[tuple[str, str], list[Changed]]]:
    """Neighbours in one row of a list, or in one part of a mode."""
    for key, group in groupby(found, key=lambda c: (*c.path[1:3], "", "")[:2]):
        yield (key[0], key[1]), list(group)


def _only_one_has(found: Sequence[Changed], always: set[tuple[str, ...]], below: int) -> bool:
    """Whether one document lacks the whole: all it has is missing, what is `always` there too."""
    alone = all(c.before is None for c in found) or all(c.after is None for c in found)
    return alone and always <= {c.path[below:] for c in found}


def _side(change: Changed, text: str) -> tuple[str, str]:
    return ("-", text) if change.before is None else (text, "-")


def _moves(mode: str | None, blocks: Sequence[Changed]) -> Iterator[tuple[str, str, str]]:
    groups: dict[tuple[Any, Any], list[str]] = {}
    for change in blocks:
        if change.path[-1] == "ipu":
            groups.setdefault((change.before, change.after), []).append(change.path[2])
    for (before, after), modules in groups.items():
        yield f"{mode} {module_ranges(modules)}", _ipu(before), _ipu(after)


def _ipu(ipu: int | None) -> str:
    return "no block" if ipu is None else f"IPU {ipu}"


def _both(change: Changed) -> tuple[str, str]:
    """In the unit of the value; as it is written where the two would look alike."""
    shown = tuple(_shown(change.path, value) for value in (change.before, change.after))
    if shown[0] == shown[1]:
        shown = tuple(str(value) for value in (change.before, change.after))
    return shown[0], shown[1]


def _shown(path: tuple[str, ...], value: Any) -> str:
    if value is None:
        return "-"
    if type(value) is int and (path[-1].endswith("bytes") or "terms" in path):
        return size(value)
    if isinstance(value, float) and path[-1].endswith("_us"):
        return milliseconds(value)
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
