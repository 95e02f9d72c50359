"""A plan on the terminal: what was asked, what was decided, what each IPU holds, what was proved."""

from __future__ import annotations

import io
from itertools import groupby
from typing import IO, TYPE_CHECKING

from .mode import mode_parts
from .tables import facts, words
from .text import count, size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ..plan import MachineInfo, PartitionPlan

DEFAULT_WIDTH = 80


def render_plan(plan: PartitionPlan, width: int = DEFAULT_WIDTH) -> RenderableType:
    """The whole report, laid out for `width` characters."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_header(plan)]
    for name, mode in plan.modes().items():
        parts += [Text(), words(name.capitalize(), "bold underline"), *mode_parts(mode, width, place_of(plan))]
    parts += [words(f"Warning: {warning}", "yellow") for warning in plan.warnings]
    return Group(*parts)


def show(part: RenderableType, file: IO[str] | None = None) -> None:
    """Print to `file` (standard output): in colour on a terminal, plain anywhere else."""
    console_for(file, None).print(part)


def show_plan(plan: PartitionPlan, file: IO[str] | None = None) -> None:
    """Print the report of a plan at the width of the terminal."""
    console = console_for(file, None)
    console.print(render_plan(plan, console.width))


def to_text(part: RenderableType, width: int = DEFAULT_WIDTH) -> str:
    """`part` as plain text, no line longer than `width`, no trailing blanks."""
    out = io.StringIO()
    console_for(out, width).print(part)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def console_for(file: IO[str] | None, width: int | None = None) -> Console:
    """Where to print; `width` None: that of the terminal."""
    from rich.console import Console

    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def _header(plan: PartitionPlan) -> RenderableType:
    model, machine = plan.model, plan.machine
    hub = [f"{model.hub_id}" + (f" at {model.revision}" if model.revision else "")] if model.hub_id else []
    versions = [f"transformers {model.transformers_version}"] if model.transformers_version else []
    shapes = ", ".join(f"{name} {value}" for name, value in model.shapes.items())
    return facts(
        {
            "Model": f"{model.name}: {model.architecture}, task {model.task}, {count(model.parameters)} parameters",
            "Source": ", ".join([model.source, *hub, *versions]),
            "Shapes": shapes or "none",
            "Machine": machine.name + _hardware(machine),
            "Target": _target(plan),
            **_overruled(plan),
            "Result": "fits" if plan.fits else "DOES NOT FIT",
        }
    )


def place_of(plan: PartitionPlan) -> str:
    """What the plan calls that on which it puts stages."""
    return "device" if plan.target == "torch" else "IPU"


def _hardware(machine: MachineInfo) -> str:
    if machine.devices is None:
        return f", {machine.tiles_per_ipu} tiles, {size(machine.capacity_bytes)} per IPU"
    alike = groupby((device.kind, device.memory_bytes) for device in machine.devices)
    parts = [(kind, bytes_, len(list(some))) for (kind, bytes_), some in alike]
    return "".join(f", {count} x {kind} with {size(bytes_)}" for kind, bytes_, count in parts)


def _overruled(plan: PartitionPlan) -> dict[str, str]:
    """What the user decided, where it is anything."""
    asked = plan.overrides
    said = [] if asked.layers is None else [f"layers {','.join(map(str, asked.layers))}"]
    said += [f"{module} on IPU {ipu}" for module, ipu in sorted(asked.pins.items())]
    said += ["memory before time"] if asked.prefer == "memory" else []
    usual = "inline" if plan.target == "torch" else "chain"
    said += [f"planner {asked.planner}"] if asked.planner != usual else []
    return {"Overruled": ", ".join(said)} if said else {}


def _target(plan: PartitionPlan) -> str:
    if plan.target == "torch":
        return "torch; one stage on each device, in order"
    name = plan.optimum_class or "no optimum-graphcore class"
    if plan.expressible:
        return f"{plan.target}, {name}; layers_per_ipu says exactly this plan"
    passed = f"not by the rules of {name}" if plan.optimum_class else name
    return f"{plan.target}, {passed}; parallelize.py carries the cut"
