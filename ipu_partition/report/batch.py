"""A batch: progress while it runs, and a table of what came of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Protocol

from .tables import table, words
from .terminal import DEFAULT_WIDTH, console_for
from .text import clean, percent, size

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 110
"""Characters from which tasks and layers are shown too."""


_VERDICTS = {"fits": "fits", "does not fit": "LACKS", "failed": "failed"}


class ModeDone(Protocol):
    """What a result says of one mode."""

    @property
    def ipus(self) -> int: ...

    @property
    def replicas(self) -> int: ...

    @property
    def layers_per_ipu(self) -> list[int] | None: ...

    @property
    def fits(self) -> bool: ...

    @property
    def fullest(self) -> float: ...

    @property
    def lacks_bytes(self) -> int: ...

    @property
    def lever(self) -> str | None: ...

    @property
    def lever_fits(self) -> bool: ...

    @property
    def applied(self) -> list[str]: ...

    @property
    def samples_per_second(self) -> Mapping[str, float | None]: ...


class Done(Protocol):
    """One model on one pod."""

    @property
    def model(self) -> str: ...

    @property
    def folder(self) -> str: ...

    @property
    def pod(self) -> int: ...

    @property
    def status(self) -> str: ...

    @property
    def task(self) -> str | None: ...

    @property
    def reason(self) -> str | None: ...

    @property
    def notes(self) -> list[str]: ...

    @property
    def machines(self) -> list[str]: ...

    def modes(self) -> Mapping[str, ModeDone]: ...


@contextlib.contextmanager
def counted() -> Iterator[Callable[[int, int, str], None]]:
    """A function that shows how many models are done, on stderr; silent where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, models: int, last: str) -> None:
            bar.update(task, completed=done, total=models, description=escape(clean(last)))

        yield show


def show_batch(results: Sequence[Done], asked: int, kept: int, file: IO[str] | None = None) -> None:
    """Print the table at the width of the terminal."""
    console = console_for(file)
    console.print(render_batch(results, asked, kept, console.width))


def render_batch(results: Sequence[Done], asked: int, kept: int, width: int = DEFAULT_WIDTH) -> RenderableType:
    """A line for each mode of each result, then why anything failed, then the sum."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if results:
        parts = [_table(results, width), Text()]
    parts += _remarks(results)
    return Group(*parts, words(_sum(results, asked, kept), "bold"))


def _table(results: Sequence[Done], width: int) -> RenderableType:
    machines = list(dict.fromkeys(machine for result in results for machine in result.machines))
    wide = width >= WIDE
    columns = [
        "Model", *(["Task"] if wide else []), "Pod", "Mode", "IPUs", *(["Layers"] if wide else []), "Full",
        *(f"{machine}/s" for machine in machines), "Verdict",
    ]  # fmt: skip
    rows = [row for result in results for row in _rows(result, machines, wide)]
    return table(columns, rows, left=("Mode", "IPUs", "Verdict"), wrap=("Model", "Task", "Layers"))


def _rows(result: Done, machines: Sequence[str], wide: bool) -> list[list[str]]:
    """What is the same for both modes is said once."""
    name = [result.model, *([result.task or "-"] if wide else []), str(result.pod)]
    modes = result.modes()
    if not modes:
        return [[*name, "-", "-", *(["-"] if wide else []), "-", *("-" for _ in machines), _VERDICTS[result.status]]]
    rows: list[list[str]] = []
    for mode, found in modes.items():
        layers = "-" if found.layers_per_ipu is None else ",".join(map(str, found.layers_per_ipu))
        rates = [_rate(found.samples_per_second.get(machine)) for machine in machines]
        verdict = "failed" if result.status == "failed" else "fits" if found.fits else "LACKS"
        first = name if not rows else [""] * len(name)
        ipus = f"{found.ipus} x {found.replicas}"
        shown = mode if wide else mode[:5]
        rows.append([*first, shown, ipus, *([layers] if wide else []), percent(found.fullest), *rates, verdict])
    return rows


def _rate(samples_per_second: float | None) -> str:
    """With four digits or more."""
    if samples_per_second is None:
        return "-"
    return f"{samples_per_second:,.0f}" if samples_per_second >= 1000 else f"{samples_per_second:.1f}"


def _remarks(results: Sequence[Done]) -> list[RenderableType]:
    """Why it failed, what is missing, what is to be known: each once for all pods of a model that it holds for."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for result in results:
        for text, style in _said(result):
            found.setdefault((result.model, text, style), []).append(result.pod)
    return [
        words(f"{model}, pod {', '.join(str(pod) for pod in dict.fromkeys(pods))}: {text}", style)
        for (model, text, style), pods in found.items()
    ]


def _said(result: Done) -> Iterator[tuple[str, str]]:
    """(text, style)"""
    if result.reason is not None:
        yield result.reason, "bold red"
    for name, mode in result.modes().items():
        if not mode.fits and mode.lacks_bytes:
            yield f"{name} lacks {size(mode.lacks_bytes)} on an IPU{_help(mode)}", "red"
        if mode.applied:
            yield f"{name} fits with {' '.join(mode.applied)}", "yellow"
    for note in result.notes:
        yield note, "yellow"


def _help(mode: ModeDone) -> str:
    if mode.lever is None:
        return "; no option is known to help"
    return f"; it fits with {mode.lever}" if mode.lever_fits else f"; {mode.lever} saves most"


def _sum(results: Sequence[Done], asked: int, kept: int) -> str:
    number = {status: sum(result.status == status for result in results) for status in ("does not fit", "failed")}
    fits = len(results) - sum(number.values())
    said = [f"{fits} fit", f"{number['does not fit']} do not fit", f"{number['failed']} failed"]
    if asked > len(results):
        said.append(f"{asked - len(results)} were not begun or not finished")
    return f"{asked} configurations: {', '.join(said)}. {kept} of them were there already."
