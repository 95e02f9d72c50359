"""A configuration on the terminal: whether it runs, what is wrong with it, what each IPU holds, the fullest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from .levers import lever_parts
from .mode import asked
from .tables import facts, table, words
from .terminal import DEFAULT_WIDTH, console_for
from .text import count, mebibytes, milliseconds, percent, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..plan import PartitionPlan
    from ..plan_parts import Finding, Ipu, Memory, ModePlan

WIDE = 72
"""Characters from which everything is shown side by side."""
_TERMS = 3
"""Of each IPU, the largest."""


def show_checked(plan: PartitionPlan, file: IO[str] | None = None) -> None:
    """Print the report on a configuration that was checked."""
    console = console_for(file)
    console.print(render_checked(plan, console.width))


def render_checked(plan: PartitionPlan, width: int = DEFAULT_WIDTH) -> RenderableType:
    """The verdict, what was found, then each mode."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_verdict(plan), header(plan)]
    if plan.findings:
        parts += [Text(), *(finding_line(finding) for finding in plan.findings)]
    for name, mode in plan.modes().items():
        parts += [Text(), words(name.capitalize(), "bold underline"), *_mode(mode, width)]
    parts += [words(f"Warning: {warning}", "yellow") for warning in plan.warnings]
    return Group(*parts)


def header(plan: PartitionPlan) -> RenderableType:
    model, machine = plan.model, plan.machine
    shapes = ", ".join(f"{name} {value}" for name, value in model.shapes.items())
    return facts(
        {
            "File": plan.checked or "-",
            "Model": f"{model.name}: {plan.optimum_class}, task {model.task}, {count(model.parameters)} parameters",
            "Shapes": shapes or "none",
            "Machine": f"{machine.name}, {size(machine.capacity_bytes)} per IPU",
        }
    )


def finding_line(finding: Finding) -> RenderableType:
    where = f"{finding.mode}: " if finding.mode else ""
    label, style = ("Wrong", "bold red") if finding.fatal else ("Note", "yellow")
    return words(f"{label}: {where}{finding.text}", style)


def _verdict(plan: PartitionPlan) -> RenderableType:
    said = [_mode_verdict(name, mode) for name, mode in plan.modes().items()] or ["nothing in it can be predicted"]
    if not plan.sound:
        said.append("the file cannot run as it is")
    lacks = any(not mode.fits for mode in plan.modes().values())
    verdict = "DOES NOT FIT" if lacks else "FITS" if plan.sound else "WRONG"
    return words(f"{verdict}: {'; '.join(said)}", "bold green" if verdict == "FITS" else "bold red")


def _mode_verdict(name: str, mode: ModePlan) -> str:
    if mode.shortfall is not None:
        where = "an IPU" if mode.shortfall.ipu is None else f"IPU {mode.shortfall.ipu}"
        return f"{name} lacks {size(mode.shortfall.bytes)} on {where}"
    return f"{name} fits, the fullest IPU at {percent(max(share(ipu.memory) for ipu in mode.ipus))}"


def _mode(mode: ModePlan, width: int) -> list[RenderableType]:
    from rich.text import Text

    parts = [asked(mode), Text(), _memory(mode, width), Text(), words(rate(mode), "bold")]
    if helps := lever_parts(mode):
        parts += [Text(), *helps]
    return [*parts, *(words(f"Warning: {warning}", "yellow") for warning in mode.warnings)]


def rate(mode: ModePlan) -> str:
    """How fast it is predicted to run, whether or not it fits."""
    times, goal = mode.predicted, "cycle" if mode.pipelined else "latency"
    if times is None:
        return "no prediction"
    update = "" if times.update_us is None else f", a weight update every {milliseconds(times.update_us)}"
    found = f"{goal} {milliseconds(mode.solution.objective_us)}, {times.samples_per_second:,.1f} samples/s{update}"
    return f"predicted: {found}" if mode.fits else f"predicted, if it did fit: {found}"


def _memory(mode: ModePlan, width: int) -> RenderableType:
    """A line for each IPU, the fullest first; where there is room, how long it is busy and its largest terms."""
    columns = ("MiB", "Total", "Used", "Free", "Full", "Busy, ms", "Largest")
    shown = len(columns) if width >= WIDE else len(columns) - 2
    ipus = sorted(mode.ipus, key=lambda ipu: (-ipu.memory.needed_bytes, ipu.ipu))
    return table(columns[:shown], [_row(ipu)[:shown] for ipu in ipus], left=columns[:1], wrap=columns[-1:])


def _row(ipu: Ipu) -> Sequence[str]:
    memory = ipu.memory
    free = memory.capacity_bytes - memory.needed_bytes
    return (
        f"IPU {ipu.ipu}",
        mebibytes(memory.capacity_bytes),
        mebibytes(memory.needed_bytes),
        mebibytes(free),
        percent(share(memory)),
        f"{ipu.cycle_us / 1000:,.3f}",
        _largest(memory),
    )


def share(memory: Memory) -> float:
    """How full an IPU is."""
    return memory.needed_bytes / memory.capacity_bytes


def _largest(memory: Memory) -> str:
    terms = memory.terms
    ranked = sorted((name for name in terms if terms[name]), key=lambda name: (-terms[name], name))
    return ", ".join(f"{name} {mebibytes(terms[name])}" for name in ranked[:_TERMS])
