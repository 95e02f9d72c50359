"""Whether the stages of a plan compute what the model computes, and what crosses between them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ..cost.graph import TensorCost
from ..errors import UsageError
from ..layout import activation_parameters
from ..reopen import Reopened
from ..split import Run, Split
from ..verified_parts import Equivalent
from ..workload import Mode
from .executed import Numbers, Subject, run_eagerly, run_split, subject
from .saved import Saved
from .smaller import Smaller, available_bytes, bytes_needed, shrunk

TOLERANCE = 1e-5
"""In float32, of the scale of a tensor."""
FLOOR = 1e-3
"""Share of a typical gradient that the scale of a gradient is at least: some (of the bias of keys, which softmax
ignores) are zero but for rounding."""
ROOM = 0.8
"""Share of the memory that is free that a run may take."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A run, and what it kept."""

    subject: Subject
    pieces: Split
    run: Run
    saved: Saved


@dataclass(frozen=True, slots=True)
class Crossing:
    """A tensor that one stage makes and another reads."""

    name: str
    maker: int
    reader: int
    bytes: int
    """On the device."""

    def __str__(self) -> str:
        return f"{self.name!r} ({self.bytes:,} bytes) from stage {self.maker} to stage {self.reader}"


def equivalent(reopened: Reopened, mode: Mode, *, size: str = "auto") -> tuple[Equivalent, Executed]:
    """Run `mode` of the plan whole and in stages. `size`: `full`, `small` (fewer layers) or `auto`, as memory allows.

    Raises :class:`UsageError` where neither can be run, and :class:`TraceError`.
    """
    smaller, notes = _size(reopened, mode, size)
    what = subject(reopened, mode, smaller)
    reopened.progress(f"running {what.prepared.name} ({mode.value})")
    whole = run_eagerly(what)
    reopened.progress(f"running {what.prepared.name} stage by stage ({mode.value})")
    pieces, saved = what.split(), Saved(what.prepared.flow)
    numbers, run = run_split(what, pieces, saved)
    return compared(what, whole, numbers, run, notes), Executed(what, pieces, run, saved)


def compared(what: Subject, whole: Numbers, numbers: Numbers, run: Run, notes: Sequence[str] = ()) -> Equivalent:
    """The proof, of a model run `whole` and in the pieces of `run`."""
    planned, crossed = planned_crossings(what), crossings(what, run)
    remade = [c for c in planned if c not in crossed and _is_mask(what, c.name)]
    outputs = _Differences("output", _numbered(whole.outputs), _numbered(numbers.outputs))
    floor = FLOOR * _typical(whole.gradients)
    gradients = _Differences("the gradient of", whole.gradients, numbers.gradients, floor)
    expected = [c for c in planned if c not in remade]
    found = [*outputs.beyond(), *gradients.beyond(), *_strangers(expected, crossed), *_strange_weights(what, run)]
    masks = {c.name for c in remade}
    one = len(masks) == 1
    made = "mask is made again where it is" if one else "masks are made again where they are"
    more = [f"{len(masks)} attention {made} read."] if masks else []
    return Equivalent(
        passed=not found,
        difference=found[0] if found else None,
        layers="all" if what.smaller is None else {name: (len(k), of) for name, (k, of) in what.smaller.kept.items()},
        outputs=len(whole.outputs),
        gradients=len(whole.gradients),
        max_absolute=_most([*outputs.absolute, *gradients.absolute]),
        max_relative=_most([*outputs.relative, *gradients.relative]),
        tolerance=TOLERANCE,
        boundary_tensors=len(crossed),
        boundary_bytes=sum(c.bytes for c in crossed),
        planned_bytes=sum(c.bytes for c in expected),
        notes=[*notes, *more],
    )


def crossings(what: Subject, run: Run) -> list[Crossing]:
    """What crossed from stage to stage, in the order it was made."""
    flow = what.prepared.flow
    return [
        Crossing(value.name, value.maker, reader, tensor.numel() * flow.width(str(tensor.dtype)))
        for value in run.split.values
        for reader in value.readers
        for tensor in [run.received[reader, value.name]]
    ]


def planned_crossings(what: Subject) -> list[Crossing]:
    """What the plan counts as crossing from stage to stage."""
    stages = what.stages
    weights = travelling_weights(what)
    return [
        Crossing(tensor.name, stages[tensor.producer], reader, tensor.bytes)
        for tensor in [*what.prepared.graph.tensors, *weights]
        if tensor.producer is not None and tensor.producer < len(stages)
        for reader in sorted({stages[u] for u in tensor.readers if u < len(stages)} - {stages[tensor.producer]})
    ]


def travelling_weights(what: Subject) -> list[TensorCost]:
    """Weights that travel as activations."""
    graph = what.prepared.graph
    made = activation_parameters(what.prepared.layout, graph)
    return [
        TensorCost(f"weight {name}", unit, tuple(r for r in graph.readers(name) if r > unit), weight.bytes, 0)
        for name, unit in sorted(made.items())
        for weight in [graph.parameters[name]]
    ]


def _size(reopened: Reopened, mode: Mode, size: str) -> tuple[Smaller | None, list[str]]:
    prepared = reopened.prepared(mode)
    needed, free = bytes_needed(prepared, mode is Mode.TRAINING), available_bytes()
    fits = free is None or needed <= ROOM * free
    if size == "full" or (size == "auto" and fits):
        return None, []
    smaller = shrunk(reopened, mode, prepared)
    if smaller is None:
        memory = f" At full size it needs about {needed:,} bytes, and {free or 0:,} are free." if not fits else ""
        raise UsageError(
            f"{prepared.name} cannot be run with fewer layers: {_why_not(reopened)}.{memory} Try --size full"
            + ("." if fits else ", or plan a smaller micro-batch.")
        )
    return smaller, [smaller.note]


def _why_not(reopened: Reopened) -> str:
    if reopened.spec.module is not None:
        return "it was given as a module"
    return "no number of its configuration leaves out layers that the stages can spare"


def _is_mask(what: Subject, name: str) -> bool:
    return any(node.name == name for node in what.prepared.flow.masks)


def _strangers(planned: Sequence[Crossing], crossed: Sequence[Crossing]) -> Iterator[str]:
    """Tensors that cross and are not counted, or are counted and do not cross, or are of another size."""
    sizes = {(c.name, c.reader): c for c in planned}
    seen = {(c.name, c.reader): c for c in crossed}
    for key, crossing in seen.items():
        if key not in sizes:
            yield f"{crossing} crosses, and the plan does not count it"
        elif sizes[key] != crossing:
            yield f"{crossing} crosses, and the plan counts {sizes[key]}"
    for key, crossing in sizes.items():
        if key not in seen:
            yield f"the plan counts {crossing}, and it does not cross"


def _strange_weights(what: Subject, run: Run) -> Iterator[str]:
    """Weights that a stage reads and the plan does not have there."""
    graph, stages = what.prepared.graph, what.stages
    planned: dict[int, set[str]] = {}
    for unit, stage in zip(graph.units, stages, strict=False):  # a declared loss is no part of the trace
        planned.setdefault(stage, set()).update(unit.parameters)
    for weight in travelling_weights(what):
        planned[stages[weight.producer or 0]].add(weight.name.removeprefix("weight "))
    for piece in run.split.pieces:
        for name in piece.reads("parameter"):
            held = graph.parameters.get(name)
            if (held is None or not held.buffer) and name not in planned.get(piece.index, ()):
                yield f"stage {piece.index} reads the weight {name!r}, which the plan does not have there"


def _numbered(tensors: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    return {str(i): tensor for i, tensor in enumerate(tensors)}


class _Differences:
    """Of tensors of one kind, by name. `floor`: the least that the scale of one is."""

    def __init__(
        self, kind: str, whole: Mapping[str, torch.Tensor], split: Mapping[str, torch.Tensor], floor: float = 0.0
    ) -> None:
        self.kind, self.whole, self.split = kind, whole, split
        both = [name for name in whole if name in split and whole[name].shape == split[name].shape]
        found = {name: _difference(whole[name], split[name]) for name in both}
        self.found = {name: (value, _share(value, max(_largest(whole[name]), floor))) for name, value in found.items()}

    @property
    def absolute(self) -> list[float]:
        return [absolute for absolute, _ in self.found.values()]

    @property
    def relative(self) -> list[float]:
        return [relative for _, relative in self.found.values()]

    def beyond(self) -> Iterator[str]:
        """In words, what differs by more than the tolerance."""
        for name in [*self.whole, *(n for n in self.split if n not in self.whole)]:
            if name not in self.split or name not in self.whole:
                where = "in the model" if name in self.whole else "in its stages"
                yield f"{self.kind} {name} is there only {where}"
            elif name not in self.found:
                shapes = tuple(self.whole[name].shape), tuple(self.split[name].shape)
                yield f"{self.kind} {name} has the shape {shapes[0]} in the model and {shapes[1]} in its stages"
            elif bool(self.whole[name].isnan().any()):
                yield f"{self.kind} {name} is not a number in the model itself, so nothing can be compared"
            elif not self.found[name][1] <= TOLERANCE:
                absolute, relative = self.found[name]
                yield f"{self.kind} {name} differs by {absolute:.2g} ({relative:.2g} of its scale)"


def _difference(whole: torch.Tensor, split: torch.Tensor) -> float:
    """The largest of two elements; equal infinities do not differ."""
    one, other = _real(whole), _real(split)
    return _largest(torch.where(one == other, 0.0, one - other), infinite=True)


def _share(value: float, scale: float) -> float:
    if value == 0.0:
        return 0.0
    return value / scale if scale else math.inf


def _largest(tensor: torch.Tensor, *, infinite: bool = False) -> float:
    """Of the absolute values; of the finite ones alone unless `infinite`."""
    values = _real(tensor).abs()
    if not infinite:
        values = values[values.isfinite()]
    return float(values.max()) if values.numel() else 0.0


def _real(tensor: torch.Tensor) -> torch.Tensor:
    """Its numbers in double precision, real and imaginary parts one by one."""
    plain = tensor.detach()
    return (torch.view_as_real(plain) if plain.is_complex() else plain).double()


def _typical(tensors: Mapping[str, torch.Tensor]) -> float:
    """The median of the largest values of each."""
    return statistics.median([_largest(t) for t in tensors.values()]) if tensors else 0.0


def _most(values: Sequence[float]) -> float:
    """NaN where any is."""
    return math.nan if any(map(math.isnan, values)) else max(values, default=0.0)
