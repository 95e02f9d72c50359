"""A run on the terminal: what each process held, what was planned again, and the loss of every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tables import facts, table, words
from .text import count, milliseconds, module_ranges

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..emit.torch_pipelining import Change, Cut
    from ..engine import Ran, Step


def render_run(ran: Ran) -> RenderableType:
    """Everything about a run."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_header(ran), Text()]
    if ran.change is not None:
        parts += [*_change(ran.change), Text()]
    return Group(*parts, _stages(ran), Text(), _steps(ran), Text(), _verdict(ran))


def _header(ran: Ran) -> RenderableType:
    where = "GPUs, nccl" if ran.device == "cuda" else "the CPU, one thread each, gloo"
    return facts(
        {
            "Model": f"{ran.model}, plan {ran.plan}",
            "Engine": f"torch {ran.torch}, {len(ran.stages)} processes on {where}",
            "Step": f"{ran.schedule}, {ran.micro_batches} micro-batches, AdamW, learning rate {ran.learning_rate:g}, "
            f"seed {ran.seed}",
        }
    )


def _change(change: Change) -> list[RenderableType]:
    """The plan, and what was made of it."""
    copies = (
        f"{len(change.copied)} tied weights copied, {change.copied_bytes:,} bytes" if change.copied else "no copies"
    )
    cycles = f"predicted cycle {milliseconds(change.before.cycle_us)}, now {milliseconds(change.after.cycle_us)}"
    lines = [f"Planned again, one stage on each process: {change.reason}. {copies}; {cycles}."]
    if not change.fits:
        lines.append("The new cut would not fit the memory of the plan's devices.")
    shown = [words(line, "yellow") for line in lines]
    return [*shown, _cut("Plan", change.before), _cut("Now", change.after)]


def _cut(name: str, cut: Cut) -> RenderableType:
    rows = [(str(n), str(device), module_ranges(modules)) for n, (device, modules) in enumerate(cut.stages)]
    return table((f"{name}: stage", "Device", "Modules"), rows, wrap=("Modules",))


def _stages(ran: Ran) -> RenderableType:
    rows = [
        (str(rank), count(stage.parameters), f"{stage.sent_bytes:,}", module_ranges(stage.modules))
        for rank, stage in enumerate(ran.stages)
    ]
    return table(("Rank", "Parameters", "Sends bytes", "Modules"), rows, wrap=("Modules",))


def _steps(ran: Ran) -> RenderableType:
    more = ("In one process", "Difference", "Seconds", "In one") if ran.compared else ("Seconds",)
    return table(("Step", "Loss", *more), (_step(step) for step in ran.steps))


def _step(step: Step) -> tuple[str, ...]:
    first = (str(step.step), f"{step.loss:.6f}")
    if step.alone_loss is None:
        return (*first, f"{step.seconds:.3f}")
    return (
        *first,
        f"{step.alone_loss:.6f}",
        f"{step.difference:.1e}",
        f"{step.seconds:.3f}",
        f"{step.alone_seconds:.3f}",
    )


def _verdict(ran: Ran) -> RenderableType:
    typical = f"A step takes {ran.step_seconds:.3f} s"
    typical += "" if ran.predicted_step_seconds is None else f", {ran.predicted_step_seconds:.3f} s by the plan"
    if not ran.compared:
        return words(f"{typical}.")
    typical += f", {ran.alone_step_seconds:.3f} s in one process"
    different = ran.first_difference
    if different is not None:
        return words(
            f"FAILED: the loss of step {different.step} differs by {different.difference:.1e}. {typical}.", "bold red"
        )
    by = ran.gradient_difference
    if not ran.passed:
        name = f"the gradient of {ran.gradient!r} in the first step"
        return words(f"FAILED: {name} differs by {by:.1e} of its size. {typical}.", "bold red")
    largest = max(step.difference or 0.0 for step in ran.steps)
    gradients = "" if by is None else f", and the gradients of the first step (by {by:.1e} of their size at most)"
    return words(
        f"The losses are those of one process (largest difference {largest:.1e}){gradients}. {typical}.", "bold green"
    )
