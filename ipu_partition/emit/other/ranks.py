"""What pipelines of other tools share: every device runs one stage, in order."""

from __future__ import annotations

from ...errors import UsageError
from ...plan_parts import ModePlan

SHOWN = 3
"""Modules of a stage in an error."""
WIDER = "`device_map` can say it; a plan for a machine file (`--machine FILE`) has one stage on each device."


def one_stage_each(part: ModePlan, tool: str, nearest: str = "") -> None:
    """UsageError, with the nearest that `tool` can be told, unless stage i is on device i."""
    devices = [stage.ipu for stage in part.stages]
    if devices == list(range(len(devices))):
        return
    raise UsageError(
        f"{tool} runs one stage on each device, in order, but {_otherwise(part)}. {nearest}{' ' * bool(nearest)}{WIDER}"
    )


def _otherwise(part: ModePlan) -> str:
    """What is not so, in words."""
    seen: dict[int, int] = {}
    for stage in part.stages:
        if stage.ipu in seen:
            return (
                f"device {stage.ipu} runs stage {seen[stage.ipu]} and stage {stage.index} ({named(stage.modules)}) of "
                "this plan"
            )
        seen[stage.ipu] = stage.index
    return f"the {len(seen)} stages of this plan are on the devices {', '.join(map(str, seen))}"


def named(modules: list[str]) -> str:
    """The first modules of a list, quoted."""
    more = len(modules) - SHOWN
    return ", ".join(map(repr, modules[:SHOWN])) + (f" and {more} more" if more > 0 else "")
