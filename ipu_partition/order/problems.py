"""The problems whose answers are compared: the model in one order, exactly, and in all orders at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from planners.problem import Preference, Problem, Tensor

from ..cost.build import costed_parts
from ..cost.graph import CostGraph
from ..cost.segments import Segment, segments
from ..cost.tensors import Dataflow
from ..declared import LOSS_UNIT
from ..devices import TorchMachine
from ..devices import problem as devices
from ..errors import UsageError
from ..layout import placement
from ..machine import Machine, Placement, make_problem
from ..prepare import Prepared
from ..workload import Workload
from .pieces import Moved, Pieces, modules, operations
from .relays import with_relays

if TYPE_CHECKING:
    from torch import fx

    from planners.graph import GraphProblem

GRANULARITIES = ("module", "op")


@dataclass(frozen=True)
class Subject:
    """A traced model in pieces, on a machine. A declared loss is one more unit behind the pieces, always the last."""

    prepared: Prepared
    work: Workload
    machine: Machine | TorchMachine
    granularity: str = "module"

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            raise UsageError(f"granularity is {self.granularity!r}, expected {' or '.join(GRANULARITIES)}.")

    @cached_property
    def pieces(self) -> Pieces:
        """Of the trace in the order of the program, blocks that join others taken apart."""
        prepared = self.prepared
        if self.granularity == "op":
            return operations(prepared.flow)
        starts = [replace(start, joins=None) for start in prepared.layout.starts]
        return modules(prepared.flow, segments(prepared.traced, starts))

    @property
    def declared(self) -> bool:
        return self.prepared.graph.units[-1].name == LOSS_UNIT

    @property
    def count(self) -> int:
        return len(self.pieces.parts) + self.declared

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(early, late) of all units that keep this order."""
        if not self.declared:
            return self.pieces.pairs
        loss = len(self.pieces.parts)
        ends = sorted(set(range(loss)).difference(early for early, _ in self.pieces.pairs))
        return (*self.pieces.pairs, *((end, loss) for end in ends))

    def chain(self, order: Sequence[int] | None = None) -> Problem:
        """One stage on each device in this order of the units (None: the program's). UsageError where it is not
        legal."""
        return self._problem(self.costed(range(self.count) if order is None else order))

    def costed(self, order: Sequence[int]) -> CostGraph:
        """The units in this order. UsageError where it is not legal."""
        moved = self._moved(order)
        logits = next(i for i, origin in enumerate(moved.origins) if len(self.pieces.parts) - 1 in origin)
        return self._costed(moved.parts, logits)

    def origins(self, order: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Of each unit of :meth:`costed`, the units that it is in the order of the program."""
        last = ((self.count - 1,),) if self.declared else ()
        return (*self._moved(order).origins, *last)

    def placed(self, unit: int) -> Iterator[fx.Node]:
        """The nodes of a unit that no other order takes from it; a declared loss has none."""
        if unit < len(self.pieces.parts):
            floating = self.pieces.legal.floating
            yield from (node for node in self.pieces.parts[unit].nodes if node not in floating)

    def _moved(self, order: Sequence[int]) -> Moved:
        if self.declared and order[-1] != len(self.pieces.parts):
            raise UsageError("The loss that is declared for this model is the last unit of every order.")
        return self.pieces.moved([unit for unit in order if unit < len(self.pieces.parts)])

    def graph(self) -> GraphProblem:
        """All orders at once. Constants go along with whatever reads them, so their bytes are left out."""
        from planners.graph.chain import as_graph

        graph = self._costed(self.pieces.parts, len(self.pieces.parts) - 1)
        free = {name: replace(p, bytes=0) if p.buffer else p for name, p in graph.parameters.items()}
        chain = self._problem(replace(graph, parameters=free))
        trains = chain.schedule.trains
        read = (
            Tensor(t.name, t.producer, t.readers, t.bytes, t.gradient_bytes if trains else 0) for t in graph.tensors
        )
        if not isinstance(self.machine, TorchMachine):
            return as_graph(replace(chain, tensors=tuple(read)), self.pairs)
        made = tuple(tensor for tensor in read if tensor.producer is not None)
        return with_relays(as_graph(replace(chain, tensors=made), self.pairs))

    def _costed(self, parts: Sequence[Segment], logits: int) -> CostGraph:
        """`logits`: the unit whose results a declared loss reads."""
        nodes = tuple(node for part in parts for node in part.nodes)
        flow = self.prepared.flow
        if nodes != flow.traced.nodes:
            flow = in_order(flow, nodes)
        graph = costed_parts(flow, parts)
        if self.granularity == "op":
            units = zip(graph.units, parts, strict=True)
            graph = replace(graph, units=tuple(replace(unit, name=part.nodes[-1].name) for unit, part in units))
        return with_declared(graph, self.prepared.graph, logits) if self.declared else graph

    def _problem(self, graph: CostGraph) -> Problem:
        if isinstance(self.machine, TorchMachine):
            return devices.make_problem(graph, self.work, self.machine, Preference.TIME).problem
        return make_problem(graph, self.work, self.machine, placement=self._placement(graph)).problem

    def _placement(self, graph: CostGraph) -> Placement:
        """Nothing is bound to an IPU, and a tied weight is copied."""
        base = placement(self.prepared.layout, graph, self.work.ipus)
        checkpoints = base.checkpoints if self.granularity == "module" else self._checkpoints(graph)
        return Placement(
            ipus=self.work.ipus,
            sequential=frozenset(range(len(graph.units))),
            checkpoints=checkpoints,
            serialised=base.serialised,
            copied=True,
        )

    def _checkpoints(self, graph: CostGraph) -> frozenset[int]:
        """The op that each of the modules ends with."""
        last: dict[str, fx.Node] = {}
        for node in self.prepared.traced.nodes:
            if node not in self.pieces.legal.floating and not self.prepared.flow.ignored(node):
                last |= dict.fromkeys(self.prepared.traced.owner(node), node)
        ends = {last[module].name for module in self.prepared.layout.checkpoints if module in last}
        return frozenset(i for i, unit in enumerate(graph.units) if unit.name in ends)


def in_order(flow: Dataflow, nodes: tuple[fx.Node, ...], begins: dict[str, int] | None = None) -> Dataflow:
    """Of the same trace, its operations run in another order."""
    return replace(flow, traced=replace(flow.traced, nodes=nodes, begins=begins or {}))


def with_declared(graph: CostGraph, before: CostGraph, logits: int) -> CostGraph:
    """`graph` with the declared loss of `before` as its last unit, which reads what unit `logits` makes."""
    loss, last = len(before.units) - 1, len(graph.units)
    read = [replace(t, producer=logits, readers=(last,)) for t in before.tensors if t.readers == (loss,)]
    return replace(graph, units=(*graph.units, before.units[loss]), tensors=(*graph.tensors, *read), audit=before.audit)


def chain_of(
    prepared: Prepared, work: Workload, machine: Machine | TorchMachine, granularity: str = "module"
) -> Problem:
    """The planning problem of a model in the order of the program, one stage on each device: what depends on the order
    and nothing else. On IPUs nothing is bound to a place, and a tied weight is copied to every IPU that needs it.

    UsageError where the granularity is unknown.
    """
    return Subject(prepared, work, machine, granularity).chain()


def graph_of(
    prepared: Prepared, work: Workload, machine: Machine | TorchMachine, granularity: str = "module"
) -> GraphProblem:
    """The same model in all legal orders at once: units with no order but what their results and the memory they write
    to ask for. What is proved of it bounds every plan of :func:`chain_of` in any order.

    `granularity`: `module`, the units of the model's own cost graph, or `op`, one for each operation that costs
    something. UsageError where it is unknown; ValueError for sharded inference, where time does not depend on order.
    """
    return Subject(prepared, work, machine, granularity).graph()
