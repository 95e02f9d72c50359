"""The part of a report about training or about inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .levers import lever_parts
from .tables import chunks, facts, table, words
from .text import mebibytes, milliseconds, module_ranges, percent, ranges, size, yes

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..plan_parts import Baseline, Ipu, ModePlan

_COLUMN = 8
"""Characters of an IPU's column, separator included: `1,173.0` MiB."""
_CORNER = "MiB"
_DEVICE_COLUMN = 11
"""As above, of a device: `device 10`."""
_WIDE = 64
"""Characters from which baselines show how they cut."""


def mode_parts(mode: ModePlan, width: int, place: str = "IPU") -> list[RenderableType]:
    """`place`: what a stage is put on."""
    from rich.text import Text

    parts: list[RenderableType] = [asked(mode) if place == "IPU" else facts(_torch_rows(mode))]
    if mode.stages:
        parts += [Text(), _stages(mode, place)]
    for part in _ipus(mode, width, place):
        parts += [Text(), part]
    parts += [Text(), *_outcome(mode)]
    for part in _baselines(mode, width):
        parts += [Text(), part]
    parts += [*_lacking(mode, place), *lever_parts(mode)]
    return [*parts, *(words(f"Warning: {warning}", "yellow") for warning in mode.warnings)]


def asked(mode: ModePlan) -> RenderableType:
    """The workload and the layers."""
    layers = {} if mode.layers_per_ipu is None else {"layers_per_ipu": str(mode.layers_per_ipu)}
    return facts({**workload_rows(mode), **layers})


def workload_rows(mode: ModePlan) -> dict[str, str]:
    """What was asked, all but the cut."""
    work = mode.workload
    proportion = work.matmul_proportion
    shown = ", ".join(map(str, proportion)) if isinstance(proportion, list) else str(proportion)
    rows = {
        "Workload": f"{work.ipus} IPUs x {work.replicas} replicas, micro-batch {work.micro_batch_size}, "
        f"precision {work.precision}, {work.schedule}",
        "Memory": f"matmul proportion {shown}",
    }
    if work.mode == "training":
        rows["Memory"] += f", recompute checkpoint every layer: {yes(work.recompute_checkpoint_every_layer)}"
        rows["Update"] = (
            f"{work.optimizer}, gradient accumulation {work.gradient_accumulation} "
            f"(at least {mode.minimum_accumulation}), optimizer state off chip: {yes(work.optimizer_state_offchip)}, "
            f"sharded over replicas: {yes(work.replicated_tensor_sharding)}"
        )
    if pieces := _pieces(mode):
        rows["Serialised"] = pieces
    return rows


def _torch_rows(mode: ModePlan) -> dict[str, str]:
    """What was asked of other devices than IPUs."""
    work = mode.workload
    rows = {
        "Workload": f"{work.ipus} devices, micro-batch {work.micro_batch_size}, precision {work.precision}, "
        f"{work.schedule}"
    }
    if work.mode == "training":
        rows["Update"] = (
            f"{work.optimizer}, {work.gradient_accumulation} micro-batches (at least {mode.minimum_accumulation})"
        )
    return rows


def _pieces(mode: ModePlan) -> str:
    """Tables that are worked on in pieces."""
    work = mode.workload
    shown = []
    for layer, factor, splits in (
        ("embedding", work.embedding_serialization_factor, work.serialized_embedding_splits_per_ipu),
        ("projection", work.projection_serialization_factor, work.serialized_projection_splits_per_ipu),
    ):
        where = f", {splits} of them on each IPU" if splits else ""
        shown += [f"{layer} in {factor} pieces{where}"] if factor > 1 else []
    return "; ".join(shown)


def _stages(mode: ModePlan, place: str) -> RenderableType:
    rows = [(str(s.index), str(s.ipu), ranges(s.units), module_ranges(s.modules)) for s in mode.stages]
    return table(("Stage", place, "Units", "Modules"), rows, wrap=("Units", "Modules"))


def _ipus(mode: ModePlan, width: int, place: str) -> list[RenderableType]:
    """A column for each IPU, a row for each term that is not 0, the largest first; split where the width asks it."""
    largest: dict[str, int] = {}
    for ipu in mode.ipus:
        for name, bytes_ in ipu.memory.terms.items():
            largest[name] = max(bytes_, largest.get(name, 0))
    names = sorted((name for name in largest if largest[name]), key=lambda name: (-largest[name], name))
    label = max(len(name) for name in (*names, _CORNER))
    column = _COLUMN if place == "IPU" else _DEVICE_COLUMN
    return [_ipu_table(group, names, place) for group in chunks(mode.ipus, column, width - label - 1)]


def _ipu_table(ipus: Sequence[Ipu], names: list[str], place: str) -> RenderableType:
    rows = [(name, *(mebibytes(ipu.memory.terms.get(name, 0)) for ipu in ipus)) for name in names]
    rows += [
        ("total", *(mebibytes(ipu.memory.total_bytes) for ipu in ipus)),
        *([("gaps", *(mebibytes(ipu.memory.gaps_bytes) for ipu in ipus))] if place == "IPU" else []),
        ("capacity", *(mebibytes(ipu.memory.capacity_bytes) for ipu in ipus)),
        ("full", *(percent(ipu.memory.needed_bytes / ipu.memory.capacity_bytes) for ipu in ipus)),
        ("busy, ms", *(f"{ipu.cycle_us / 1000:,.3f}" for ipu in ipus)),
    ]
    return table((_CORNER, *(f"{place} {ipu.ipu}" for ipu in ipus)), rows, left=(_CORNER,))


def _outcome(mode: ModePlan) -> list[RenderableType]:
    found, times = mode.solution, mode.predicted
    goal, value, bound = _first(mode)
    gap = "unknown" if found.gap is None else percent(found.gap)
    line = f"{mode.status}: {goal} {value}, bound {bound}, gap {gap}, planner {found.planner}"
    style = "bold green" if mode.fits else "bold red"
    parts: list[RenderableType] = [words(f"{line}, {_duration(found.seconds)}", style)]
    if found.refined is False:
        parts.append(
            words(f"proved for the {goal} alone: of the cuts with that {goal}, this is the best that was found")
        )
    if found.proved is False:
        parts.append(words("not proved: another planner, or more time, may find a cut that fits"))
    if times is not None:
        cycle = "" if found.prefer == "time" else f"{_goal(mode)} {milliseconds(found.objective_us)}, "
        update = "" if times.update_us is None else f", a weight update every {milliseconds(times.update_us)}"
        parts.append(words(f"predicted: {cycle}{times.samples_per_second:,.1f} samples/s{update}"))
    return parts


def _first(mode: ModePlan) -> tuple[str, str, str]:
    """The criterion that comes first, its value, and what was proved about it."""
    found = mode.solution
    if found.prefer == "time":
        return _goal(mode), milliseconds(found.objective_us), milliseconds(found.lower_bound_us)
    return "peak", size(found.peak_bytes), size(found.lower_bound_bytes)


def _duration(seconds: float) -> str:
    """The document keeps whole seconds."""
    return f"{seconds:.0f} s" if seconds >= 1 else "under 1 s"


def _goal(mode: ModePlan) -> str:
    return "cycle" if mode.pipelined else "latency"


def _baselines(mode: ModePlan, width: int) -> list[RenderableType]:
    """A line for each; where there is room, its layers or why it is no plan."""
    if not mode.baselines:
        return []
    columns = ("Instead", f"{_goal(mode).capitalize()}, ms", "Peak, MiB", "Fits", "layers_per_ipu")
    rows = [_baseline(baseline) for baseline in mode.baselines]
    shown = len(columns) if width >= _WIDE and any(row[-1] for row in rows) else len(columns) - 1
    return [table(columns[:shown], [row[:shown] for row in rows], left=("Instead", "Fits"), wrap=columns[-1:])]


def _baseline(baseline: Baseline) -> tuple[str, ...]:
    if baseline.violations:
        return (baseline.name, "-", "-", "no plan", baseline.violations[0])
    cycle = "-" if baseline.cycle_us is None else f"{baseline.cycle_us / 1000:,.3f}"
    layers = "" if baseline.layers_per_ipu is None else str(baseline.layers_per_ipu)
    return (baseline.name, cycle, mebibytes(baseline.peak_bytes), yes(baseline.fits), layers)


def _lacking(mode: ModePlan, place: str) -> list[RenderableType]:
    """By how much, where, and made of what."""
    parts: list[RenderableType] = []
    if mode.shortfall is not None:
        where = "an IPU" if mode.shortfall.ipu is None else f"{place} {mode.shortfall.ipu}"
        terms = sorted(mode.shortfall.terms.items(), key=lambda term: (-term[1], term[0]))
        made_of = ", ".join(f"{name} {mebibytes(bytes_)}" for name, bytes_ in terms if bytes_)
        lack = f"{where} lacks {size(mode.shortfall.bytes)} ({mode.shortfall.bytes:,} bytes). MiB it needs: {made_of}"
        parts.append(words(lack, "bold red"))
    return parts
