"""Two cuts of one workload side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Protocol

from .checked import WIDE, finding_line, header, rate, share
from .mode import workload_rows
from .tables import facts, table, words
from .terminal import DEFAULT_WIDTH, console_for
from .text import module_ranges, percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..plan import PartitionPlan
    from ..plan_parts import ModeName, ModePlan


class Compared(Protocol):
    """What a comparison says of itself."""

    @property
    def ours(self) -> PartitionPlan: ...

    @property
    def theirs(self) -> PartitionPlan: ...

    def modes(self) -> dict[ModeName, tuple[ModePlan, ModePlan | None]]: ...

    def verdict(self, mode: ModeName) -> str: ...

    def gain(self, mode: ModeName) -> float: ...


def show_comparison(comparison: Compared, file: IO[str] | None = None) -> None:
    """Print both plans side by side."""
    console = console_for(file)
    console.print(render_comparison(comparison, console.width))


def render_comparison(comparison: Compared, width: int = DEFAULT_WIDTH) -> RenderableType:
    """The verdicts, what is wrong with theirs, then each mode: stage by stage and IPU by IPU."""
    from rich.console import Group
    from rich.text import Text

    verdicts = [_verdict(comparison, name) for name in comparison.modes()]
    parts: list[RenderableType] = [*verdicts, header(comparison.theirs)]
    if comparison.theirs.findings:
        parts += [Text(), *(finding_line(finding) for finding in comparison.theirs.findings)]
    for name, (ours, theirs) in comparison.modes().items():
        parts += [Text(), words(name.capitalize(), "bold underline"), *_mode({"theirs": theirs, "ours": ours}, width)]
    parts += [words(f"Warning: {warning}", "yellow") for warning in comparison.ours.warnings]
    return Group(*parts)


def _verdict(comparison: Compared, name: ModeName) -> RenderableType:
    ours, theirs = comparison.modes()[name]
    verdict = comparison.verdict(name)
    goal = "cycle" if ours.pipelined else "latency"
    if theirs is not None and verdict == "ours is better":
        verdict += f": the {goal} of theirs is {percent(comparison.gain(name))} longer"
    proof = {"optimal": f"ours is proved to have the shortest {goal}", "feasible": "ours is not proved to be optimal"}
    said = [f"{name}: {verdict}", *([proof[ours.status]] if ours.status in proof else [])]
    return words("; ".join(said), "bold green" if ours.fits else "bold red")


Both = Mapping[str, "ModePlan | None"]
"""`theirs` and `ours`."""


def _mode(both: Both, width: int) -> list[RenderableType]:
    """What was asked, what came of it, stage by stage, IPU by IPU; in a narrow place, one plan after the other."""
    from rich.text import Text

    plans = {name: plan for name, plan in both.items() if plan is not None}
    groups = [plans] if width >= WIDE else [{name: plan} for name, plan in plans.items()]
    parts: list[RenderableType] = [facts(workload_rows(next(iter(plans.values()))))]
    parts += [facts({name.capitalize(): _figures(plan) for name, plan in plans.items()})]
    for make in (_stages, _ipus):
        for group in groups:
            parts += [Text(), make(group)]
    return parts


def _figures(plan: ModePlan) -> str:
    fullest = percent(max((share(ipu.memory) for ipu in plan.ipus), default=0.0))
    fits = "fits" if plan.fits else "does not fit"
    layers = "" if plan.layers_per_ipu is None else f"{plan.layers_per_ipu}, "
    return f"{layers}{fits}, the fullest IPU at {fullest}; {rate(plan)}"


def _stages(plans: Mapping[str, ModePlan]) -> RenderableType:
    """Stage by stage: its IPU and its modules."""
    columns = [column for name in plans for column in (f"IPU, {name}", f"Modules, {name}")]
    cells = [[(str(s.ipu), module_ranges(s.modules)) for s in plan.stages] for plan in plans.values()]
    rows = _numbered(zip_longest(*cells, fillvalue=("", "")))
    return table(("Stage", *columns), rows, wrap=columns[1::2])


def _ipus(plans: Mapping[str, ModePlan]) -> RenderableType:
    """IPU by IPU: how full, and how long it is busy with one micro-batch."""
    columns = [column for name in plans for column in (f"Full, {name}", f"Busy, ms, {name}")]
    cells = [[(percent(share(i.memory)), f"{i.cycle_us / 1000:,.3f}") for i in plan.ipus] for plan in plans.values()]
    return table(("IPU", *columns), _numbered(zip_longest(*cells, fillvalue=("-", "-"))))


def _numbered(rows: Iterable[tuple[tuple[str, str], ...]]) -> list[tuple[str, ...]]:
    return [(str(index), *(cell for pair in pairs for cell in pair)) for index, pairs in enumerate(rows)]
