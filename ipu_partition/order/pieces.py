"""The nodes of a trace as pieces of work that can change places, and what must come before what among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ..cost.segments import Segment
from ..cost.tensors import Dataflow
from ..errors import UsageError
from .legal import Legal

if TYPE_CHECKING:
    from torch import fx


@dataclass(frozen=True, slots=True)
class Moved:
    """Pieces in another order than the program's."""

    parts: tuple[Segment, ...]
    origins: tuple[tuple[int, ...], ...]
    """Of each part: the piece that it is, and beside it those that became empty."""


@dataclass(frozen=True)
class Pieces:
    """Pieces in the order of the program; each holds its nodes in that order."""

    legal: Legal
    parts: tuple[Segment, ...]

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(early, late): pieces, ``early < late``, that keep this order, each pair once."""
        floating, sources = self.legal.floating, self.legal.sources
        home = {n: i for i, part in enumerate(self.parts) for n in part.nodes if n not in floating}
        found = {(home[source], piece) for node, piece in home.items() for source in sources[node]}
        return tuple(sorted((early, late) for early, late in found if early != late))

    def moved(self, order: Sequence[int]) -> Moved:
        """As :meth:`ordered`, without pieces that are empty."""
        parts = self.ordered(order)
        kept = [i for i, part in enumerate(parts) if part.nodes]
        ends = [*kept[1:], len(order)]
        origins = tuple(tuple(order[a:b]) for a, b in zip([0, *kept[1:]], ends, strict=True))
        return Moved(tuple(parts[i] for i in kept), origins)

    def ordered(self, order: Sequence[int]) -> tuple[Segment, ...]:
        """The pieces in another order, which holds each once. What has no place of its own goes along with the first
        that reads it, where it could not stay; so a piece may be empty. UsageError where the order is not legal."""
        if sorted(order) != list(range(len(self.parts))):
            raise UsageError(f"An order of {len(self.parts)} units holds each once; found {list(order)[:9]} ...")
        place = {piece: i for i, piece in enumerate(order)}
        for early, late in self.pairs:
            if place[early] > place[late]:
                raise UsageError(
                    f"Unit {late} cannot run before unit {early}, whose results it needs. Make the plan again."
                )
        return tuple(_Moving(self).parts(order))


class _Moving:
    """Nodes put down one after the other."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces, self.legal = pieces, pieces.legal
        self.nodes: list[fx.Node] = []
        self.done: set[fx.Node] = set()
        self.waiting: list[fx.Node] = []

    def parts(self, order: Sequence[int]) -> Iterator[Segment]:
        for piece in order:
            before, part = len(self.nodes), self.pieces.parts[piece]
            for node in part.nodes:
                if node not in self.done:
                    self._take(node)
            for node in self.waiting:
                if node not in self.done and self._ready(node):
                    self._put(node)
            self.waiting = [node for node in self.waiting if node not in self.done]
            yield Segment(part.module, tuple(self.nodes[before:]))

    def _take(self, node: fx.Node) -> None:
        if node in self.legal.floating and not self._ready(node):
            self.waiting.append(node)
        else:
            self._put(node)

    def _ready(self, node: fx.Node) -> bool:
        return self.legal.sources[node] <= self.done

    def _put(self, node: fx.Node) -> None:
        """Behind all it needs, which floats where it is not there yet."""
        pending = [node]
        while pending:
            missing = [n for n in self.legal.before[pending[-1]] if n not in self.done]
            pending += missing
            if not missing and (last := pending.pop()) not in self.done:
                self.done.add(last)
                self.nodes.append(last)


def modules(flow: Dataflow, parts: Sequence[Segment]) -> Pieces:
    """The units of a cost graph, in the order of the program."""
    return Pieces(Legal(flow), tuple(parts))


def operations(flow: Dataflow) -> Pieces:
    """One piece for each op that costs something. What costs nothing goes along with the last that it needs, or where
    that is none of them with the next."""
    legal = Legal(flow)
    found: list[list[fx.Node]] = []
    home: dict[fx.Node, int] = {}
    alone: list[fx.Node] = []
    for node in flow.traced.nodes:
        if node not in legal.floating and not flow.ignored(node):
            home |= dict.fromkeys((*alone, node), len(found))
            found.append([*alone, node])
            alone = []
            continue
        needed = legal.sources[node]
        if needed and all(n in home for n in needed):
            home[node] = max(home[n] for n in needed)
            found[home[node]].append(node)
        else:
            alone.append(node)
    if alone:
        found = [*found[:-1], [*found[-1], *alone]] if found else [alone]
    return Pieces(legal, tuple(Segment("", tuple(nodes)) for nodes in found))
