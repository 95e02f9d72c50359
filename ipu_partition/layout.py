"""Where blocks may begin in one model, and what binds each to an IPU: the family table, or the graph alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .cost.graph import CostGraph
from .cost.segments import Start, free_starts
from .machine import Placement

if TYPE_CHECKING:
    from .families import ResolvedBlock, ResolvedFamily
    from .families.table import Adapter, Ipu
    from .trace import TracedModel


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A place where a block begins, before the planner has chosen its IPU."""

    module: str
    alternatives: tuple[str, ...] = ()
    user_id: str = ""
    """'' where the graph alone says where blocks may begin."""
    ipu: Ipu = "layer"
    with_module: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    blocks: tuple[BlockSpec, ...]
    """In call order."""
    starts: tuple[Start, ...]
    checkpoints: tuple[str, ...]
    """Modules whose output is a recomputation checkpoint."""
    adapters: tuple[Adapter, ...] = ()
    free: bool = False
    """True: any unit may go anywhere the planner's search space allows."""
    layers: tuple[str, ...] = ()
    """Modules of the blocks that `layers_per_ipu` counts, in call order; empty where it counts nothing."""
    serialised: Mapping[str, int] = field(default_factory=dict)
    """Parameter -> pieces in which it is multiplied."""
    origins: tuple[tuple[int, ...], ...] = ()
    """Of each unit of the graph: the units of the traced model that it runs; empty: unit by unit."""


def family_layout(traced: TracedModel, family: ResolvedFamily, adapters: Sequence[Adapter]) -> Layout:
    """The layout that the optimum-graphcore class of `family` prescribes."""
    blocks = _in_call_order(traced, (*family.layers, *family.blocks))
    return Layout(blocks, tuple(_starts(blocks)), family.checkpoints, tuple(adapters), layers=_layers(blocks, family))


def free_layout(traced: TracedModel, family: ResolvedFamily | None = None, adapters: Sequence[Adapter] = ()) -> Layout:
    """A layout that binds nothing to an IPU.

    Where `family` is known, blocks begin where its table lets them, so that their paths hold on the IPU host; else at
    every call the planner can afford, with checkpoints on repeated layers.
    """
    if family is not None:
        blocks = _in_call_order(traced, (*family.layers, *family.blocks))
        loose = tuple(replace(block, ipu="layer", with_module=None) for block in blocks)
        starts, layers = tuple(_starts(blocks)), _layers(blocks, family)
        return Layout(loose, starts, family.checkpoints, tuple(adapters), free=True, layers=layers)
    starts = free_starts(traced)
    names = tuple(BlockSpec(start.module) for start in starts)
    return Layout(names, starts, _repeated_layers(call.module for call in traced.calls), free=True)


def finest_layout(traced: TracedModel, family: ResolvedFamily | None = None) -> Layout:
    """The free layout with more places, of what the graph alone says and what the table of `family` does.

    The model runs as it is: nothing is adapted, and no unit is moved behind another.
    """
    layouts = [free_layout(traced), *([free_layout(traced, family)] if family else [])]
    finest = max(layouts, key=lambda layout: len(layout.starts))
    starts = tuple(replace(start, joins=None) for start in finest.starts)
    return replace(finest, starts=starts, checkpoints=(), layers=())


def _in_call_order(traced: TracedModel, blocks: Iterable[ResolvedBlock]) -> tuple[BlockSpec, ...]:
    """Blocks whose hook fires once, in the order it fires."""
    positions = {call.module: i for i, call in enumerate(traced.calls)}
    found = [
        BlockSpec(b.module, b.alternatives, b.user_id, b.ipu, b.with_module) for b in blocks if b.module in positions
    ]
    return tuple(sorted(found, key=lambda block: positions[block.module]))


def _layers(blocks: Iterable[BlockSpec], family: ResolvedFamily) -> tuple[str, ...]:
    counted = {layer.module for layer in family.layers}
    return tuple(block.module for block in blocks if block.module in counted)


def layer_units(layout: Layout, graph: CostGraph) -> frozenset[int]:
    """The units that `layers_per_ipu` counts: one for each layer."""
    return frozenset(i for i, unit in enumerate(graph.units) if unit.name in layout.layers)


def placement(layout: Layout, graph: CostGraph, ipus: int) -> Placement:
    """What binds the units of `graph` (made from `layout.starts`) to a replica of `ipus` IPUs."""
    names = [unit.name for unit in graph.units]
    index = {name: i for i, name in enumerate(names)}
    specs = {block.module: block for block in layout.blocks if block.module in index}
    joined = {start.module for start in layout.starts if start.joins}
    pins = tuple(
        (index[m], b.ipu if isinstance(b.ipu, int) else ipus - 1)
        for m, b in specs.items()
        if b.ipu == "last" or isinstance(b.ipu, int)
    )
    return Placement(
        ipus=ipus,
        pins=tuple(sorted(pins)),
        forbidden_cuts=frozenset(
            [index[m] for m, b in specs.items() if b.ipu == "next"]
            + [i - 1 for i, name in enumerate(names) if i and (name not in specs or name in joined)]
            + [cut for first, last in _kept_whole(layout, graph) for cut in range(first, last)]
        ),
        sequential=frozenset() if layout.free else layer_units(layout, graph),
        together=tuple((index[b.with_module], index[m]) for m, b in specs.items() if b.with_module in index),
        activation_parameters=activation_parameters(layout, graph),
        checkpoints=frozenset(_checkpoint_units(layout.checkpoints, graph)),
        serialised=layout.serialised,
    )


MANY_READERS = 3
"""A weight that more units read than these is not parted in a free plan: its readers stay one stage."""


def _kept_whole(layout: Layout, graph: CostGraph) -> Iterable[tuple[int, int]]:
    """First and last reader of every weight that many units read. All must be on one IPU; letting stages return to it
    around each of them would search an exponential number of plans that no one would run."""
    activations = {a.parameter for a in layout.adapters}
    if layout.free:
        for parameter in graph.parameters.values():
            readers = graph.readers(parameter.name)
            if len(readers) > MANY_READERS and activations.isdisjoint((parameter.name, *parameter.aliases)):
                yield readers[0], readers[-1]


def _starts(blocks: Iterable[BlockSpec]) -> Iterable[Start]:
    """A block whose id was begun before continues that stage."""
    first: dict[str, str] = {}
    for block in blocks:
        joins = first.get(block.user_id)
        first.setdefault(block.user_id, block.module)
        yield Start(block.module, joins)


def activation_parameters(layout: Layout, graph: CostGraph) -> dict[str, int]:
    """Weights that an adapter turns into an activation -> the unit that makes it."""
    index = {unit.name: i for i, unit in enumerate(graph.units)}
    names = {alias: p.name for p in graph.parameters.values() for alias in (p.name, *p.aliases)}
    return {names[a.parameter]: index.get(a.module, 0) for a in layout.adapters if a.parameter in names}


def _checkpoint_units(modules: Sequence[str], graph: CostGraph) -> Iterable[int]:
    """The last unit of each module: the one whose output is the module's."""
    for module in modules:
        inside = [
            i for i, unit in enumerate(graph.units)
            if unit.name == module or any(m == module or m.startswith(module + ".") for m in unit.modules)
        ]  # fmt: skip
        if inside:
            yield inside[-1]


def _repeated_layers(paths: Iterable[str]) -> tuple[str, ...]:
    """Outermost modules that are called and items of a list of at least two: `h.0`, `encoder.layer.3`."""
    called = list(dict.fromkeys(paths))
    rows: dict[str, list[str]] = {}
    for path in called:
        items = (path[: match.end()] for match in re.finditer(r"(?:^|(?<=\.))\d+(?=\.|$)", path))
        item = next((item for item in items if item in called), None)
        if item is not None and item not in rows.setdefault(item.rpartition(".")[0], []):
            rows[item.rpartition(".")[0]].append(item)
    return tuple(item for row in rows.values() if len(row) > 1 for item in row)
