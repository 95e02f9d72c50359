"""What a plan does not say of its model, traced again: where its units begin, and which devices read a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .emitted import Opening

if TYPE_CHECKING:
    from torch import nn

    from ...cost import CostGraph
    from ...layout import Layout
    from ...plan import PartitionPlan
    from ...plan_parts import ModePlan
    from ...trace import TracedModel


@dataclass(frozen=True, slots=True)
class Trace:
    units: tuple[str, ...]
    """The module at whose call each begins."""
    calls: Mapping[str, int]
    """Module that is called once -> its place among all operations."""
    readers: Mapping[str, tuple[int, ...]]
    """Parameter or buffer, under all its names -> the devices that read it, in the order in which they do."""
    model: nn.Module
    """As its user has it, on the meta device."""
    traced: TracedModel

    @classmethod
    def of(cls, plan: PartitionPlan, part: ModePlan, opening: Opening) -> Trace:
        """Raises :class:`UsageError` and :class:`TraceError`."""
        from ...host.tables import tables
        from ...hosted import as_hosted
        from ...models import build
        from ...reopen import reopen
        from ...workload import Mode

        opened, mode = reopen(plan, **opening), Mode(part.workload.mode)
        prepared, work = opened.prepared(mode), opened.workload(mode)
        hosted = as_hosted(prepared, work.serialisation, work.ipus)
        pieces = {
            table.parameter.name: [ipu for ipu, count in enumerate(table.splits) if count]
            for table in tables(prepared.rule, prepared.graph, work.serialisation)
        }
        return cls(
            units=tuple(unit.name for unit in hosted.graph.units),
            calls={call.module: call.position for call in prepared.traced.calls},
            readers=_readers(prepared.graph, hosted.layout, opened.assignment(mode, prepared), pieces),
            model=build(opened.spec, training=False)[0],
            traced=prepared.traced,
        )


def _readers(
    graph: CostGraph, hosted: Layout, assignment: Sequence[int], pieces: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """`graph` is of the model with its tables whole; `assignment` of its units in pieces; `pieces` of a table are on
    those devices."""
    origins = hosted.origins or [(unit,) for unit in range(len(assignment))]
    homes: dict[int, list[int]] = {}
    for device, origin in zip(assignment, origins, strict=True):
        for unit in origin:
            homes.setdefault(unit, []).append(device)
    found: dict[str, tuple[int, ...]] = {}
    for parameter in graph.parameters.values():
        units = graph.readers(parameter.name)
        devices = [*pieces.get(parameter.name, ()), *(device for unit in units for device in homes.get(unit, ()))]
        found |= dict.fromkeys((parameter.name, *parameter.aliases), tuple(dict.fromkeys(devices)))
    return found
