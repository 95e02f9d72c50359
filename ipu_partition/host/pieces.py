"""Tables that change on one IPU: padded, tied, or looked up in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..cost.graph import CostGraph, ParameterCost, UnitCost, Work


def padded(graph: CostGraph, name: str, multiple: int) -> CostGraph:
    """The table has more rows, so that `multiple` divides them. Logits made with them are masked (a product and a sum);
    what else is computed with the few more rows is left out.

    Source: huggingface/optimum-graphcore:optimum/graphcore/models/gpt2/modeling_gpt2.py (v0.7.1).
    """
    old = graph.parameters[name]
    rows = -(-old.rows // multiple) * multiple
    if rows == old.rows:
        return graph
    units = tuple(_masked(unit, old) if name in unit.parameters else unit for unit in graph.units)
    return replace(graph, units=units, parameters={**graph.parameters, name: _with_rows(old, old.name, rows)})


def _masked(unit: UnitCost, table: ParameterCost) -> UnitCost:
    """With the masking of the logits that the unit makes with the table, if any."""
    made = [result_of(w, table) for w in unit.work if is_product(w, table)]
    masks = [
        Work("elementwise", op, 1, 0, 0, 2 * size, 2 * size if op == "mul" else 0)
        for size in made
        for op in ("mul", "add")
    ]
    return replace(unit, work=(*unit.work, *masks))


def is_product(work: Work, table: ParameterCost) -> bool:
    """Whether it multiplies with all of the table: nothing else in a unit reads as many bytes of weights."""
    return work.kind == "matmul" and work.weight_bytes >= table.bytes


def result_of(work: Work, table: ParameterCost) -> int:
    """Bytes of the product of activations with all rows of the table: 2 FLOPs a token and element."""
    tokens = work.forward_flops // (2 * table.elements)
    return tokens * table.rows * (table.bytes // table.elements)


def tied(graph: CostGraph, name: str, to: str) -> CostGraph:
    """The two parameters are one."""
    kept = graph.parameters[to]
    merged = replace(kept, aliases=(*kept.aliases, name, *graph.parameters[name].aliases))
    parameters = {key: merged if key == to else value for key, value in graph.parameters.items() if key != name}
    units = tuple(_reading(unit, name, (to,)) for unit in graph.units)
    return replace(graph, units=units, parameters=parameters)


def in_pieces(graph: CostGraph, name: str, parts: tuple[ParameterCost, ...]) -> CostGraph:
    """Each look-up in the table is one in each of its `parts`, summed: those of rows elsewhere give zeros.

    Source: huggingface/optimum-graphcore:optimum/graphcore/modeling_utils.py (v0.7.1), `SerializedEmbedding`.
    """
    names = tuple(part.name for part in parts)
    units = tuple(_reading(_looked_up(unit, graph.parameters[name], names), name, names) for unit in graph.units)
    return replace(graph, units=units, parameters=instead(graph, name, parts))


def instead(graph: CostGraph, name: str, parts: Iterable[ParameterCost]) -> dict[str, ParameterCost]:
    """The parameters with `parts` in the place of one."""
    return {
        held.name: held
        for key, old in graph.parameters.items()
        for held in (parts if key == name else (old,))
    }  # fmt: skip


def parts_of(table: ParameterCost, names: Sequence[str]) -> tuple[ParameterCost, ...]:
    """The table as parameters of these names with equal numbers of rows."""
    rows = table.rows // len(names)
    return tuple(replace(_with_rows(table, name, rows), aliases=()) for name in names)


def look_ups(works: Sequence[Work], table: ParameterCost, parts: Iterable[str], *, first: bool = True) -> list[Work]:
    """What one look-up of all rows that `works` look up in `table` is, made in `parts` of it.

    For each part: where the rows are in it (integers), the look-up, a product with that mask, and the sum with what
    the parts before it gave; `first`: there is none before.
    """
    forward = sum(w.count * w.forward_bytes for w in works)
    backward = sum(w.count * w.backward_bytes for w in works)
    made, ids = result_bytes(works), 4 * row_count(works, table)
    live = made + max(w.forward_live_bytes for w in works)
    back = max(w.backward_live_bytes for w in works)
    masked = 2 * made + ids // 4
    result = []
    for i, part in enumerate(parts):
        result += [
            Work("elementwise", "sub", 1, 0, 0, 2 * ids, 0, 0, live, back),
            Work("elementwise", "ge", 2, 0, 0, ids + ids // 4, 0, 0, live, back),
            Work("elementwise", "mul", 1, 0, 0, 2 * ids + ids // 4, 0, 0, live, back),
            Work("embedding", works[0].op, 1, 0, 0, forward, backward, made, live, back, part),
            Work("elementwise", "mul", 1, 0, 0, masked, masked if backward else 0, 0, live, back),
        ]
        if i or not first:
            result.append(Work("elementwise", "add", 1, 0, 0, 3 * made, 0, 0, live, back))
    return result


def kept_bytes(works: Iterable[Work], table: ParameterCost, pieces: int) -> int:
    """Row numbers and mask of each look-up, which its backward pass needs."""
    return 5 * pieces * row_count(works, table)


def result_bytes(works: Iterable[Work]) -> int:
    """Bytes of all rows that `works` look up: each reads rows and row numbers, and writes the rows."""
    return sum(w.count * w.weight_bytes for w in works)


def row_count(works: Iterable[Work], table: ParameterCost) -> int:
    """Rows that `works` look up in the table."""
    return result_bytes(works) * table.rows // table.bytes


def _looked_up(unit: UnitCost, table: ParameterCost, parts: tuple[str, ...]) -> UnitCost:
    """Equal works are counted together, as everywhere."""
    found = [w for w in unit.work if w.table == table.name]
    if not found:
        return unit
    others = [w for w in unit.work if w.table != table.name]
    kept = kept_bytes(found, table, len(parts)) if any(w.backward_bytes for w in found) else 0
    made = tuple(counted(look_ups(found, table, parts) + others))
    return replace(unit, work=made, saved_bytes=unit.saved_bytes + kept)


def counted(works: Iterable[Work]) -> list[Work]:
    """Equal works once, with their number."""
    counts: dict[Work, int] = {}
    for work in works:
        one = replace(work, count=1)
        counts[one] = counts.get(one, 0) + work.count
    return [replace(work, count=count) for work, count in counts.items()]


def _reading(unit: UnitCost, name: str, others: tuple[str, ...]) -> UnitCost:
    if name not in unit.parameters:
        return unit
    names = [other for p in unit.parameters for other in (others if p == name else (p,))]
    return replace(unit, parameters=tuple(dict.fromkeys(names)))


def _with_rows(table: ParameterCost, name: str, rows: int) -> ParameterCost:
    return replace(
        table,
        name=name,
        elements=table.elements // table.rows * rows,
        bytes=table.bytes // table.rows * rows,
        rows=rows,
        shape=(rows, *table.shape[1:]),
    )
