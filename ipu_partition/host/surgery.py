"""Units of a cost graph made one, or one made several, with the tensors between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..cost.graph import CostGraph, ParameterCost, TensorCost, UnitCost


def merged(graph: CostGraph, start: int, stop: int) -> CostGraph:
    """Units `start` to `stop` - 1 as one; their peaks as if each ran alone."""
    parts, gone = graph.units[start:stop], stop - start - 1
    first = parts[0]
    one = UnitCost(
        first.name,
        tuple(m for part in parts for m in part.modules),
        tuple(w for part in parts for w in part.work),
        tuple(dict.fromkeys(p for part in parts for p in part.parameters)),
        sum(part.saved_bytes for part in parts),
        sum(part.output_bytes for part in parts),
        max(part.forward_peak_bytes for part in parts),
        max(part.backward_peak_bytes for part in parts),
        max(part.largest_op_bytes for part in parts),
        sum(part.result_bytes for part in parts),
    )

    def moved(unit: int) -> int:
        return unit if unit < start else start if unit < stop else unit - gone

    tensors = (_between(t, moved) for t in graph.tensors)
    return replace(
        graph,
        units=(*graph.units[:start], one, *graph.units[stop:]),
        tensors=tuple(t for t in tensors if t.readers),
    )


def _between(tensor: TensorCost, moved: Callable[[int], int]) -> TensorCost:
    producer = None if tensor.producer is None else moved(tensor.producer)
    readers = sorted({moved(r) for r in tensor.readers} - {producer})
    return replace(tensor, producer=producer, readers=tuple(readers))


def replaced(
    graph: CostGraph,
    at: int,
    links: Sequence[UnitCost],
    tensors: Sequence[TensorCost],
    parameters: dict[str, ParameterCost],
    reads: Sequence[str] = (),
) -> CostGraph:
    """Unit `at` as the chain `links`: its last link makes and reads what it did; `reads` are read by all links."""
    more = len(links) - 1

    def moved(unit: int) -> int:
        return unit if unit < at else unit + more

    old = [_between(t, moved) for t in graph.tensors]
    all_links = range(at, at + len(links))
    old = [replace(t, readers=tuple(sorted({*t.readers, *all_links}))) if t.name in reads else t for t in old]
    found = sorted([*old, *tensors], key=lambda t: (-1 if t.producer is None else t.producer, t.name))
    units = (*graph.units[:at], *links, *graph.units[at + 1 :])
    return replace(graph, units=units, tensors=tuple(found), parameters=parameters)
