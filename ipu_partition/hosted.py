"""A prepared mode with its large tables in pieces, as the class on the host makes them for one workload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .cost.graph import CostGraph, ParameterCost
from .errors import UsageError
from .host.chains import Chained, chained_look_up, chained_product
from .host.pieces import in_pieces, padded, parts_of, tied
from .host.tables import Table, splits_name, tables
from .layout import BlockSpec, Layout
from .plan_parts import Adapter
from .prepare import Prepared
from .workload import Serialisation

NOTE = "Pieces of {table} are made by {name} alone, from ipu_config.json; parallelize.py leaves them whole."
CUT_NOTE = NOTE[:-1] + ", and refuses the plain model, where no blocks can begin at them."


def as_hosted(prepared: Prepared, wanted: Serialisation, ipus: int) -> Prepared:
    """`prepared` with the tables of `wanted` in pieces, whatever it had in pieces before.

    Raises :class:`UsageError` where the class cannot do it, or the pieces are counted for another number of IPUs.
    """
    whole = prepared.whole or prepared
    found = tables(whole.rule, whole.graph, wanted)
    if not found or whole.rule is None:
        return whole
    made = replace(whole, whole=whole)
    for table in found:
        made = _on_plain(_with(made, table, ipus), table, whole.rule.optimum_class)
    return made


def _on_plain(prepared: Prepared, table: Table, optimum_class: str) -> Prepared:
    """With the adapter that has the plain model do the same, or the note that it does not."""
    how, pieces = table.how, table.pieces
    cut = how.splits == "cut" and len(table.splits) > 0 and pieces > 1
    if pieces == 1:
        return prepared
    if how.kind == "linear" and not cut and table.parameter.rows % pieces == 0:
        adapter = Adapter(kind="serialised-linear", module=how.parameter.removesuffix(".weight"), value=pieces)
        return replace(prepared, adapters=(*prepared.adapters, adapter))
    note = (CUT_NOTE if cut else NOTE).format(name=optimum_class, table=how.parameter)
    return replace(prepared, warnings=(*prepared.warnings, note))


def _with(prepared: Prepared, table: Table, ipus: int) -> Prepared:
    graph, how, name = prepared.graph, table.how, table.parameter.name
    if how.ties_to and table.pieces > 1 and (to := _named(graph, how.ties_to)) != name:
        graph, name = tied(graph, name, to), to
    graph = padded(graph, name, table.pieces) if how.pads else graph
    homes = _homes(table, ipus)
    if homes and how.splits == "cut":
        return _cut(prepared, table, graph, homes) if table.pieces > 1 else prepared
    layout = _placed(prepared.layout, graph, name, homes[0][0]) if homes else prepared.layout
    if how.kind == "embedding":
        return replace(prepared, graph=in_pieces(graph, name, _parts(graph, table)), layout=layout)
    serialised = {**layout.serialised, name: table.pieces}
    return replace(prepared, graph=graph, layout=replace(layout, serialised=serialised))


def _homes(table: Table, ipus: int) -> list[tuple[int, int]]:
    """(IPU, pieces) for each IPU that has some."""
    if table.splits and len(table.splits) != ipus:
        raise UsageError(
            f"{splits_name(table.layer)} names {len(table.splits)} IPUs, but {ipus} are planned; give a number for "
            "each."
        )
    return [(ipu, count) for ipu, count in enumerate(table.splits) if count]


def _named(graph: CostGraph, alias: str) -> str:
    return next(p.name for p in graph.parameters.values() if alias in (p.name, *p.aliases))


def _parts(graph: CostGraph, table: Table) -> tuple[ParameterCost, ...]:
    names = [f"{table.how.piece_name(i)}.weight" for i in range(table.pieces)]
    return parts_of(graph.parameters[table.parameter.name], names)


def _cut(prepared: Prepared, table: Table, graph: CostGraph, homes: list[tuple[int, int]]) -> Prepared:
    parts, ends = _parts(graph, table), [sum(n for _, n in homes[: k + 1]) for k in range(len(homes))]
    shares = [parts[end - count : end] for end, (_, count) in zip(ends, homes, strict=True)]
    name = table.parameter.name
    if table.how.kind == "embedding":
        chained = chained_look_up(graph, name, shares, lead=homes[0][0] > 0)
    else:
        chained = chained_product(graph, name, shares)
    blocks = [
        BlockSpec(chained.graph.units[unit].name, (), _block_id(table, end - count, end - 1), ipu)
        for unit, end, (ipu, count) in zip(chained.units, ends, homes, strict=True)
    ]
    replaced = {graph.units[i].name for unit in chained.units for i in chained.origins[unit]}
    layout = replace(
        prepared.layout,
        blocks=tuple(_instead(prepared.layout.blocks, replaced, chained, blocks)),
        origins=_through(prepared.layout.origins, chained),
    )
    return replace(prepared, graph=chained.graph, layout=layout)


def _block_id(table: Table, first: int, last: int) -> str:
    """As `SerializedEmbedding.parallelize` and `SplitProjection.parallelize` name them."""
    return f"{table.how.block}-{first}" if first == last else f"{table.how.block}-{first}-{last}"


def _instead(
    old: Iterable[BlockSpec], replaced: set[str], chained: Chained, new: list[BlockSpec]
) -> Iterable[BlockSpec]:
    """`new` where the first of the replaced blocks was; a replaced block stays where its unit does."""
    left = {unit.name for unit in chained.graph.units}
    for spec in old:
        if spec.module not in replaced:
            yield spec
            continue
        if spec.module in left:
            yield spec
        yield from new
        new = []


def _through(origins: tuple[tuple[int, ...], ...], chained: Chained) -> tuple[tuple[int, ...], ...]:
    """Origins in the traced model of units cut twice."""
    if not origins:
        return chained.origins
    return tuple(tuple(i for j in unit for i in origins[j]) for unit in chained.origins)


def _placed(layout: Layout, graph: CostGraph, name: str, ipu: int) -> Layout:
    """The blocks that use the table begin on one IPU, but for those that follow another block."""
    users = {graph.units[i].name for i in graph.readers(name)}
    blocks = tuple(
        replace(b, ipu=ipu) if b.module in users and b.with_module is None else b for b in layout.blocks
    )  # fmt: skip
    return replace(layout, blocks=blocks)
