"""Weights that work in several places reads: all of it must be on the IPU of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..trace.model import TracedModel
from .graph import CostGraph, ParameterCost


@dataclass(frozen=True, slots=True)
class SharedWeights:
    """One set of weights and all that reads it."""

    name: str
    """Of the module that is called several times, or of the parameter that several modules read."""
    times: int
    """Calls of the module, or units that read the parameter."""
    called: bool
    """Whether it is a module that is called several times: no block can begin at one of its calls."""
    elements: int
    bytes: int
    units: tuple[int, ...]
    """Those that read the weights."""


def shared_weights(traced: TracedModel, graph: CostGraph, many: int) -> tuple[SharedWeights, ...]:
    """Modules called several times, outermost first, then parameters that more than `many` units read."""
    found: list[SharedWeights] = []
    seen: set[str] = set()
    for module in _repeated(traced):
        inside = [p for p in _inside(graph, module) if p.name not in seen and graph.readers(p.name)]
        if inside:
            seen |= {p.name for p in inside}
            found.append(_of(graph, module, traced.call_counts[module], True, inside))
    for parameter in graph.parameters.values():
        readers = graph.readers(parameter.name)
        if parameter.name not in seen and not parameter.buffer and len(readers) > many:
            alike = [p for p in graph.parameters.values() if graph.readers(p.name) == readers and not p.buffer]
            seen |= {p.name for p in alike}
            found.append(_of(graph, parameter.name, len(readers), False, alike))
    return tuple(found)


def _of(graph: CostGraph, name: str, times: int, called: bool, inside: list[ParameterCost]) -> SharedWeights:
    units = sorted({unit for p in inside for unit in graph.readers(p.name)})
    return SharedWeights(
        name, times, called, sum(p.elements for p in inside), sum(p.bytes for p in inside), tuple(units)
    )  # fmt: skip


def _repeated(traced: TracedModel) -> Iterator[str]:
    """Modules called several times and in none that is, in order of their depth."""
    several = {name for name, count in traced.call_counts.items() if count > 1 and name}
    for name in sorted(several, key=lambda n: (n.count("."), n)):
        parts = name.split(".")
        if not any(".".join(parts[:i]) in several for i in range(1, len(parts))):
            yield name


def _inside(graph: CostGraph, module: str) -> list[ParameterCost]:
    prefix = f"{module}."
    return [
        p for p in graph.parameters.values()
        if not p.buffer and any(name.startswith(prefix) for name in (p.name, *p.aliases))
    ]  # fmt: skip
