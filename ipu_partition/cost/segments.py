"""Cutting a trace into units: the operations between one block start and the next, in call order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import TraceError
from ..trace.model import TracedModel

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True, slots=True)
class Start:
    """A module whose call begins a unit."""

    module: str
    joins: str | None = None
    """Module of an earlier start whose stage this unit continues (a block id that is repeated): the unit is
    ordered right behind it, as the pipeline runs it, however late the call is."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The nodes of one unit; `module` is '' where no start precedes them."""

    module: str
    nodes: tuple[fx.Node, ...]


def segments(traced: TracedModel, starts: Sequence[Start]) -> tuple[Segment, ...]:
    """Units of `traced` in pipeline order. What runs before the first start belongs to it (PopTorch puts it on
    IPU 0, stage 0). A start that no operation follows before the next one makes no unit.

    Raises :class:`TraceError` for a start whose module is not called exactly once.
    """
    positions = {call.module: call.position for call in traced.calls}
    if missing := [s.module for s in starts if s.module not in positions]:
        raise TraceError(
            f"A block cannot begin at {missing[0]!r}: it is called {traced.call_counts.get(missing[0], 0)} times in a "
            "forward pass (expected exactly once, with operations of its own). Choose another module."
        )
    ordered = sorted(starts, key=lambda s: positions[s.module])
    begins = [positions[s.module] for s in ordered]
    if begins:
        begins[0] = 0
    parts: list[Segment] = []
    joins: list[str | None] = []
    for i, start in enumerate(ordered):
        nodes = traced.nodes[begins[i] : begins[i + 1] if i + 1 < len(begins) else None]
        if nodes:
            parts.append(Segment(start.module, nodes))
            joins.append(start.joins)
    if not parts:
        return (Segment("", traced.nodes),)
    return tuple(parts[i] for i in _pipeline_order(parts, joins))


def _pipeline_order(parts: Sequence[Segment], joins: Sequence[str | None]) -> list[int]:
    """Indices of `parts` with every joining part right behind the last part of the stage it joins."""
    order: list[int] = []
    stage_end: dict[str, int] = {}
    for i, (part, joined) in enumerate(zip(parts, joins, strict=True)):
        if joined is not None and joined in stage_end:
            order.insert(order.index(stage_end[joined]) + 1, i)
            stage_end[joined] = i
        else:
            order.append(i)
            stage_end[part.module] = i
    return order


def contained_modules(traced: TracedModel, parts: Sequence[Segment]) -> tuple[tuple[str, ...], ...]:
    """Per segment, the outermost modules all of whose operations are in it, in call order."""
    home: dict[str, set[int]] = {}
    for index, part in enumerate(parts):
        for node in part.nodes:
            for path in traced.owner(node):
                home.setdefault(path, set()).add(index)
    found: list[dict[str, None]] = [{} for _ in parts]
    for index, part in enumerate(parts):
        for node in part.nodes:
            whole = next((p for p in traced.owner(node) if len(home[p]) == 1), None)
            if whole is not None:
                found[index][whole] = None
    return tuple(tuple(paths) for paths in found)


def free_starts(traced: TracedModel, limit: int = 100) -> tuple[Start, ...]:
    """Starts for a model without rules of its own: all modules called once down to the deepest nesting level that
    gives at most `limit` units (at least the outermost level), the outermost module where several begin together."""
    depths = sorted({_depth(call.module) for call in traced.calls})
    chosen: tuple[Start, ...] = ()
    for depth in depths:
        level = _distinct((c.module, c.position) for c in traced.calls if _depth(c.module) <= depth)
        if chosen and len(level) > limit:
            break
        chosen = tuple(Start(module) for module in level)
    return chosen


def _distinct(calls: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    first: dict[int, str] = {}
    for module, position in calls:
        first.setdefault(position, module)
    return {module: position for position, module in first.items()}


def _depth(path: str) -> int:
    return path.count(".")
