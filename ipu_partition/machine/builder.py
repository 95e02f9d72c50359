"""The parts of a planning problem, each from the graph, the workload and the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from planners.problem import SharedGroup, Tensor, Unit

from ..cost.graph import CostGraph, UnitCost, Work
from ..workload import Mode, Workload
from . import codelets, time
from .constants import MemoryModel, TimeModel
from .kinds import Machine
from .memory import GroupTerms, UnitTerms, add
from .parameters import ParameterBytes, accumulates, parameter_bytes
from .placement import Placement
from .products import passes
from .temporaries import PassesOf, transient_bytes


@dataclass(frozen=True, slots=True)
class Builder:
    """The parts of a problem and the tables they are sums of, one method each."""

    graph: CostGraph
    workload: Workload
    machine: Machine
    placement: Placement
    memory: MemoryModel
    time: TimeModel

    @property
    def training(self) -> bool:
        return self.workload.mode is Mode.TRAINING

    def held_by(self, name: str) -> tuple[int, ...]:
        """Units that need the parameter resident."""
        maker = self.placement.activation_parameters.get(name)
        return self.graph.readers(name) if maker is None else (maker,)

    def parameter(self, name: str) -> ParameterBytes:
        parts = self.placement.serialised.get(name, 1)
        return parameter_bytes(self.graph.parameters[name], self.workload, self.memory, parts)

    def own(self, index: int) -> list[ParameterBytes]:
        """Parameters that only this unit holds, in order of name."""
        names = {*self.graph.units[index].parameters}
        names |= {n for n, maker in self.placement.activation_parameters.items() if maker == index}
        return [self.parameter(n) for n in sorted(names) if self.held_by(n) == (index,)]

    def unit_terms(self) -> tuple[UnitTerms, ...]:
        """Always-live bytes of each unit, without those it shares."""
        shares = {index for members in self.outlined() for index in members}
        return tuple(self._terms(index, index in shares) for index in range(len(self.graph.units)))

    def _terms(self, index: int, outlined: bool) -> UnitTerms:
        resident = add(*(p.resident for p in self.own(index)))
        code = self.unit_code(index)
        if outlined:
            code = {name: code[name] - part for name, part in codelets.shared_part(code, self.memory).items()}
        return UnitTerms(resident, code)

    def unit_code(self, index: int) -> dict[str, int]:
        return codelets.unit_terms(self.graph.units[index], self.workload, self.memory, self.trained(index))

    def trained(self, index: int) -> int:
        """Trained parameters that only this unit holds."""
        return len([p for p in self.own(index) if p.gradient])

    def outlined(self) -> list[tuple[int, ...]]:
        trained = [self.trained(index) for index in range(len(self.graph.units))]
        return codelets.outlined(self.graph.units, trained, self.workload)

    def unit(self, index: int, terms: UnitTerms) -> Unit:
        """The unit as a planner sees it."""
        cost, quick = self.graph.units[index], self.passes(index, max)
        return Unit(
            name=cost.name,
            forward_us=time.unit_forward_us(cost, self.workload.precision, self.machine, self.time, quick),
            backward_us=self.backward_us(cost, quick) if self.training else 0.0,
            resident_bytes=sum(terms.resident.values()),
            live_bytes=cost.saved_bytes if self.training else 0,
            checkpoint_bytes=cost.output_bytes if self.checkpointed(index) else 0,
            transient_bytes=self.transient(index),
            update_bytes=max((p.update for p in self.own(index)), default=0),
            code_bytes=sum(terms.code.values()),
        )

    def backward_us(self, cost: UnitCost, pieces: PassesOf) -> float:
        precision = self.workload.precision
        busy = time.unit_backward_us(cost, precision, self.machine, self.time, pieces)
        if not accumulates(self.workload):
            return busy
        parameters = [self.graph.parameters[n] for n in cost.parameters]
        return busy + time.accumulate_us(parameters, precision, self.machine, self.time)

    def checkpointed(self, index: int) -> bool:
        return self.workload.checkpointed and index in self.placement.checkpoints

    @property
    def ipus(self) -> int:
        return self.workload.ipus if self.placement.ipus is None else self.placement.ipus

    def passes(self, index: int, best: Callable[[Sequence[float]], float]) -> PassesOf:
        """In how many pieces the products of a unit are made at the proportion of its IPU; where that is not known, at
        the `best` of all."""
        cost, proportions = self.graph.units[index], self.workload.proportions
        proportion = proportions[self.placement.homes[index]] if self.placement.homes else best(proportions)

        def pieces(work: Work) -> int:
            parts = self.parts(cost, work)
            return passes(work, self.workload.precision, self.machine, proportion, parts)

        return pieces

    def transient(self, index: int) -> int:
        cost = self.graph.units[index]
        gradient = max((self.parameter(n).gradient for n in cost.parameters), default=0)
        return transient_bytes(
            cost,
            self.workload,
            self.machine,
            passes=self.passes(index, min),
            gradient_bytes=gradient,
        )

    def parts(self, cost: UnitCost, work: Work) -> int:
        """Pieces of a product: those of the serialised parameter that it reads."""
        tables = [n for n in cost.parameters if n in self.placement.serialised]
        reads = [n for n in tables if self.graph.parameters[n].bytes <= work.weight_bytes]
        return max((self.placement.serialised[n] for n in reads), default=1)

    def shared(self) -> list[tuple[SharedGroup, GroupTerms]]:
        """What several units need and a device holds once: parameters, codelets, code, and then bare company."""
        together = sorted({(min(pair), max(pair)) for pair in self.placement.together if len({*pair}) == 2})
        company = [_group(f"units {a} and {b}", (a, b), {}, True, 0) for a, b in together]
        return [*self.shared_parameters(), *self.shared_codelets(), *self.shared_code(), *company]

    def shared_parameters(self) -> list[tuple[SharedGroup, GroupTerms]]:
        """A weight on two IPUs is refused when pipelined and copied when sharded
        (graphcore/popart:willow/src/transforms/pipeline.cpp, `setIPUCopyPipelineStage`)."""
        groups = []
        for name in sorted(self.graph.parameters):
            members = self.held_by(name)
            if len(members) > 1:
                held = self.parameter(name)
                code = codelets.collective_terms(1 if held.gradient else 0, self.workload, self.memory)
                terms = add(held.resident, code)
                one_place = self.workload.pipelined and not self.placement.copied
                groups.append(_group(f"weight {name}", members, terms, one_place, held.update))
        return groups

    def shared_codelets(self) -> list[tuple[SharedGroup, GroupTerms]]:
        model = codelets.code_model(self.workload, self.memory)
        return [
            _group(f"vertex code {kind}", members, {"vertex_code": model.vertex_bytes(kind)}, False, 0)
            for kind, members in codelets.kinds(self.graph.units).items()
        ]

    def shared_code(self) -> list[tuple[SharedGroup, GroupTerms]]:
        """Of layers that are outlined."""
        groups = []
        for members in self.outlined():
            terms = codelets.shared_part(self.unit_code(members[0]), self.memory)
            groups.append(_group(f"code of units {members[0]} to {members[-1]}", members, terms, False, 0))
        return groups

    def tensors(self) -> tuple[Tensor, ...]:
        """Activations between units, and weights that travel as activations."""
        made = [
            Tensor(t.name, t.producer, t.readers, t.bytes, t.gradient_bytes if self.training else 0)
            for t in self.graph.tensors
        ]
        for name, maker in sorted(self.placement.activation_parameters.items()):
            readers = tuple(i for i in self.graph.readers(name) if i > maker)
            weight = self.graph.parameters[name]
            gradient = weight.bytes if self.training and weight.trainable else 0
            if readers:
                made.append(Tensor(f"weight {name}", maker, readers, weight.bytes, gradient))
        return tuple(made)


def _group(
    name: str, members: tuple[int, ...], terms: Mapping[str, int], colocate: bool, update_bytes: int
) -> tuple[SharedGroup, GroupTerms]:
    group = SharedGroup(name, members, sum(terms.values()), colocate, update_bytes)
    return group, GroupTerms(name, terms)
