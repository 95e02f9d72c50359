"""Tables in pieces on several neighbouring IPUs: units of their own, one on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..cost.graph import CostGraph, ParameterCost, TensorCost, UnitCost, Work
from ..errors import UsageError
from .pieces import counted, instead, is_product, kept_bytes, look_ups, result_bytes, result_of, row_count
from .surgery import merged, replaced


@dataclass(frozen=True, slots=True)
class Chained:
    """The graph with one unit of the table on each IPU that has pieces of it."""

    graph: CostGraph
    units: tuple[int, ...]
    """Those of the table, in order; the last does all else that the unit of the whole table did."""
    origins: tuple[tuple[int, ...], ...]
    """Of every unit: the units of the graph before that do its work; none for those that only hold pieces."""


Shares = Sequence[Sequence[ParameterCost]]
"""The pieces on each IPU that has some."""


def chained_look_up(graph: CostGraph, name: str, shares: Shares, *, lead: bool = False) -> Chained:
    """All look-ups of the table are one, of the row numbers of all of them, as in `SharedEmbedding`; the running sum
    goes from IPU to IPU. `lead`: a unit before them joins the row numbers, where the first piece is not on the IPU on
    which a program begins.

    Source: huggingface/optimum-graphcore:optimum/graphcore/modeling_utils.py (v0.7.1), `SerializedEmbedding` and
    `SharedEmbedding`.
    """
    start, stop = _neighbours(graph, name)
    whole = merged(graph, start, stop)
    table, unit = whole.parameters[name], whole.units[start]
    found = [w for w in unit.work if w.table == name]
    links = [_link(found, table, held, first=k == 0) for k, held in enumerate(map(_names, shares))]
    tensors = [*_row_numbers(found, table, start, len(links), lead), *_sums(links, start + lead)]
    rest = replace(unit, work=tuple(w for w in unit.work if w.table != name), parameters=_without(unit, name))
    links[-1] = _joined(rest, links[-1])
    if lead:
        links.insert(0, _lead(unit.name, found, table))
    made = replaced(whole, start, links, tensors, _parameters(whole, name, shares))
    origins = _origins(len(graph.units), start, stop, len(links))
    return Chained(made, tuple(range(start + lead, start + len(links))), origins)


def _neighbours(graph: CostGraph, name: str) -> tuple[int, int]:
    """First unit that reads the table, and the one after the last."""
    readers = graph.readers(name)
    if readers != tuple(range(readers[0], readers[-1] + 1)):
        raise UsageError(f"{name!r} is looked up in units {readers}, which do not follow each other; leave it whole.")
    return readers[0], readers[-1] + 1


def _link(found: Sequence[Work], table: ParameterCost, held: tuple[str, ...], *, first: bool) -> UnitCost:
    """The pieces of one IPU. It holds the sum, the rows of one piece, and both added."""
    made = result_bytes(found)
    gradient = _gradient(found)
    kept = kept_bytes(found, table, len(held)) if gradient else 0
    works = tuple(counted(look_ups(found, table, held, first=first)))
    return UnitCost(_unit_name(held), (), works, held, kept, made, 3 * made, 2 * gradient, 0)


def _gradient(found: Sequence[Work]) -> int:
    """Bytes of the gradient of the rows that are looked up."""
    return result_bytes(found) if any(w.backward_bytes for w in found) else 0


def _row_numbers(found: Sequence[Work], table: ParameterCost, start: int, links: int, lead: bool) -> list[TensorCost]:
    """Inputs that links read; the last reads what its unit read before."""
    numbers, first = 4 * row_count(found, table), start + lead
    name = f"row numbers of {table.name}"
    if lead:
        return [
            TensorCost(name, None, (start,), numbers, 0),
            TensorCost(f"joined {name}", start, tuple(range(first, first + links)), numbers, 0),
        ]
    return [TensorCost(name, None, tuple(range(first, first + links - 1)), numbers, 0)] if links > 1 else []


def _sums(links: Sequence[UnitCost], start: int) -> list[TensorCost]:
    """From each link to the next."""
    return [
        TensorCost(f"rows from {a.name}", start + k, (start + k + 1,), a.output_bytes, a.backward_peak_bytes // 2)
        for k, a in enumerate(links[:-1])
    ]


def _lead(name: str, found: Sequence[Work], table: ParameterCost) -> UnitCost:
    numbers = 4 * row_count(found, table)
    return UnitCost(name, (), (Work("move", "cat", 1, 0, 0, 2 * numbers, 0),), (), 0, numbers, 2 * numbers, 0, 0)


def chained_product(graph: CostGraph, name: str, shares: Shares) -> Chained:
    """The product with the table is cut over its rows, the output channels; the parts of the logits are joined on the
    last IPU, where everything else runs.

    Source: huggingface/optimum-graphcore:optimum/graphcore/modeling_utils.py (v0.7.1), `SplitProjection`.
    """
    (at,) = graph.readers(name)
    table, unit = graph.parameters[name], graph.units[at]
    product = next(w for w in unit.work if is_product(w, table))
    logits, pieces = result_of(product, table), sum(map(len, shares))
    gradient = logits if product.backward_bytes else 0
    inputs = product.forward_bytes - product.weight_bytes - logits
    links, last = [], at + len(shares) - 1
    tensors = []
    for k, held in enumerate(map(_names, shares)):
        part = logits * len(held) // pieces
        grown = gradient * len(held) // pieces + (inputs if gradient else 0)
        work = replace(
            _piece(product, logits, pieces),
            count=len(held) * product.count,
            forward_live_bytes=product.forward_live_bytes if at + k == last else inputs + part,
            backward_live_bytes=product.backward_live_bytes if at + k == last else grown,
        )
        links.append(UnitCost(_unit_name(held), (), (work,), held, 0, part, inputs + part, grown, inputs + part))
        if k < len(shares) - 1:
            tensors.append(TensorCost(f"logits of {links[k].name}", at + k, (last,), part, part if gradient else 0))
    joining = Work("move", "cat", 1, 0, 0, 2 * logits, 2 * gradient, 0, 2 * logits, 2 * gradient)
    others = (joining, *(w for w in unit.work if w != product))
    rest = replace(unit, work=others, parameters=_without(unit, name), largest_op_bytes=0)
    links[-1] = _joined(rest, links[-1])
    origins = _origins(len(graph.units), at, at + 1, len(shares))
    hidden = [t.name for t in graph.tensors if at in t.readers and t.producer is not None]
    made = replaced(graph, at, links, tensors, _parameters(graph, name, shares), hidden)
    return Chained(made, tuple(range(at, at + len(links))), origins)


def _parameters(graph: CostGraph, name: str, shares: Shares) -> dict[str, ParameterCost]:
    return instead(graph, name, [part for share in shares for part in share])


def _names(share: Sequence[ParameterCost]) -> tuple[str, ...]:
    return tuple(part.name for part in share)


def _unit_name(held: Sequence[str]) -> str:
    """The module of the first piece."""
    return held[0].removesuffix(".weight")


def _piece(product: Work, logits: int, pieces: int) -> Work:
    inputs = product.forward_bytes - product.weight_bytes - logits
    products = round(product.backward_flops / product.forward_flops) if product.forward_flops else 0
    traffic = inputs + (product.weight_bytes + logits) // pieces
    return replace(
        product,
        forward_flops=product.forward_flops // pieces,
        backward_flops=product.backward_flops // pieces,
        forward_bytes=traffic,
        backward_bytes=products * traffic,
        weight_bytes=product.weight_bytes // pieces,
    )


def _joined(rest: UnitCost, link: UnitCost) -> UnitCost:
    """All of both, under the name of the link."""
    return replace(
        rest,
        name=link.name,
        work=(*link.work, *rest.work),
        parameters=(*link.parameters, *rest.parameters),
        saved_bytes=rest.saved_bytes + link.saved_bytes,
        forward_peak_bytes=max(rest.forward_peak_bytes, link.forward_peak_bytes),
        backward_peak_bytes=max(rest.backward_peak_bytes, link.backward_peak_bytes),
        largest_op_bytes=max(rest.largest_op_bytes, link.largest_op_bytes),
    )


def _without(unit: UnitCost, name: str) -> tuple[str, ...]:
    return tuple(p for p in unit.parameters if p != name)


def _origins(units: int, at: int, stop: int, links: int) -> tuple[tuple[int, ...], ...]:
    before = [(i,) for i in range(at)]
    return (*before, *[()] * (links - 1), tuple(range(at, stop)), *((i,) for i in range(stop, units)))
