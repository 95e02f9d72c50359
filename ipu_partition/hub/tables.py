"""The tables of a model card, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..report.text import mebibytes, milliseconds, module_ranges, percent, size
from .escape import escaped

if TYPE_CHECKING:
    from ..plan import PartitionPlan
    from ..plan_parts import Ipu, ModePlan

_LARGEST = 3
_MODULES = 300
"""Characters."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """`columns` and cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def verdicts(plans: Sequence[PartitionPlan]) -> str:
    """Whether each mode fits on each machine, or by how much it does not."""
    rows = [
        (name, _machine(plan), str(mode.workload.ipus), str(mode.workload.replicas), _verdict(mode))
        for plan in plans
        for name, mode in plan.modes().items()
    ]
    return table(("mode", "machine", "IPUs per replica", "replicas", "verdict"), rows)


def rates(plans: Sequence[PartitionPlan]) -> str:
    """What each machine is predicted to do."""
    rows = [
        (name, _machine(plan), str(mode.workload.replicas), *_rate(mode))
        for plan in plans
        for name, mode in plan.modes().items()
    ]
    columns = ("mode", "machine", "replicas", "samples per second", "cycle", "latency", "weight update")
    return table(columns, rows)


def stages(mode: ModePlan) -> str:
    """Which modules run where."""
    rows = [(str(s.index), str(s.ipu), escaped(module_ranges(s.modules), _MODULES)) for s in mode.stages]
    return table(("stage", "IPU", "modules"), rows)


def memory(mode: ModePlan) -> str:
    """What each IPU holds."""
    return table(("IPU", "needs", "of", "full", "largest parts, MiB"), [_ipu(ipu) for ipu in mode.ipus])


def _machine(plan: PartitionPlan) -> str:
    return escaped(plan.machine.name)


def _verdict(mode: ModePlan) -> str:
    if mode.fits:
        fullest = max(mode.ipus, key=lambda ipu: ipu.memory.needed_bytes)
        return f"fits; the fullest is IPU {fullest.ipu} with {percent(_share(fullest))}"
    lacking = mode.shortfall
    if lacking is None:
        return "**does not fit**"
    where = "an IPU" if lacking.ipu is None else f"IPU {lacking.ipu}"
    return f"**does not fit**: {where} lacks {lacking.bytes:,} bytes ({size(lacking.bytes)})"


def _rate(mode: ModePlan) -> tuple[str, str, str, str]:
    found = mode.predicted
    if found is None or not mode.fits:
        return "-", "-", "-", "-"
    cycle, latency, update = map(milliseconds, (found.cycle_us, found.latency_us, found.update_us))
    return f"{found.samples_per_second:,.1f}", cycle, latency, update


def _ipu(ipu: Ipu) -> tuple[str, str, str, str, str]:
    held = ipu.memory
    largest = sorted(held.terms.items(), key=lambda term: (-term[1], term[0]))[:_LARGEST]
    parts = ", ".join(f"{escaped(name)} {mebibytes(bytes_)}" for name, bytes_ in largest if bytes_)
    return str(ipu.ipu), size(held.needed_bytes), size(held.capacity_bytes), percent(_share(ipu)), parts or "-"


def _share(ipu: Ipu) -> float:
    return ipu.memory.needed_bytes / ipu.memory.capacity_bytes
