"""Cutting a trace into programs, one for each stage, that exchange exactly the tensors its cost graph counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from torch import fx
from torch.fx.passes.split_module import split_module

from ..cost.segments import segments
from ..layout import activation_parameters
from .copying import Copying

if TYPE_CHECKING:
    from ..prepare import Prepared

ORIGIN = "origin"
"""Key, in the meta of a node of a piece, of the node of the trace that it is a copy of."""


@dataclass(frozen=True, slots=True)
class Argument:
    """What a piece is called with at one position, or a result of the model."""

    kind: Literal["parameter", "input", "value"]
    name: str
    """Key in the trace's parameters, name of an input of the model, or of a value that an earlier piece returns."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that one piece makes and others read."""

    name: str
    """Of the tensor in the cost graph."""
    maker: int
    readers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """The program of one stage."""

    index: int
    module: fx.GraphModule
    """Called with one tensor for each of `arguments`; returns a tuple of one tensor for each of `returns`."""
    arguments: tuple[Argument, ...]
    returns: tuple[str, ...]
    """Names of values, for later pieces or as results of the model."""

    def reads(self, kind: str) -> tuple[str, ...]:
        """Names of the arguments of one kind."""
        return tuple(a.name for a in self.arguments if a.kind == kind)


@dataclass(frozen=True)
class Split:
    """A model as pieces. Running them in order is running the model."""

    pieces: tuple[Piece, ...]
    results: tuple[Argument, ...]
    """The model's outputs in the order of its output; the loss, where it computes one, is the first."""

    @cached_property
    def values(self) -> tuple[Value, ...]:
        """What crosses from piece to piece, in the order it is made."""
        found = []
        for piece in self.pieces:
            for name in piece.returns:
                readers = tuple(p.index for p in self.pieces if name in p.reads("value"))
                if readers:
                    found.append(Value(name, piece.index, readers))
        return tuple(found)


def whole(prepared: Prepared) -> Split:
    """The model as one piece."""
    return split(prepared, [0] * len(prepared.graph.units))


def split(prepared: Prepared, stage_of: Sequence[int], *, copied: bool = False) -> Split:
    """One piece for each stage. `stage_of`: number of the stage of each unit of `prepared.graph`, from 0, never
    decreasing.

    Views, constants and masks are made again where they are read: only what they are made of crosses. Weights that an
    adapter of the layout turns into activations are read in one piece and cross as such, unless `copied`: then every
    piece that reads a weight has it.
    """
    parts = segments(prepared.traced, prepared.layout.starts)
    stages = {node: stage_of[i] for i, part in enumerate(parts) for node in part.nodes}
    homes = {} if copied else _homes(prepared, stage_of)
    graph, results = Copying(prepared.flow, stages, homes).graph([node for part in parts for node in part.nodes])
    root = prepared.traced.nodes[0].graph.owning_module
    module = fx.GraphModule(root if root is not None else {}, graph)
    cut = split_module(module, None, lambda node: node.meta["stage"], keep_original_order=True)  # type: ignore[arg-type]
    return _split(cut, prepared, results, max(stage_of) + 1)


def _homes(prepared: Prepared, stage_of: Sequence[int]) -> dict[str, int]:
    """Weight that is turned into an activation -> stage in which it is."""
    made = activation_parameters(prepared.layout, prepared.graph)
    return {name: stage_of[unit] for name, unit in made.items()}


def _split(cut: fx.GraphModule, prepared: Prepared, results: Sequence[str], count: int) -> Split:
    leaves = _leaves(prepared)
    sources: dict[fx.Node, Argument] = {}
    pieces: dict[str, Piece] = {}
    for node in cut.graph.nodes:
        if node.op == "placeholder":
            sources[node] = leaves[node.target]
        elif node.op == "call_module":
            stage, arguments = int(node.target.removeprefix("submod_")), [sources[a] for a in node.args]
            pieces[node.target] = _piece(cut.get_submodule(node.target), stage, arguments)
            if len(pieces[node.target].returns) == 1:
                sources[node] = Argument("value", pieces[node.target].returns[0])
        elif node.op == "call_function":  # getitem of what a piece returned
            call, position = node.args
            sources[node] = Argument("value", pieces[call.target].returns[position])
    known = {name: leaves.get(name, Argument("value", name)) for name in results}
    made = {piece.index: piece for piece in pieces.values()}
    every = tuple(made[stage] if stage in made else _nothing(stage) for stage in range(count))
    return Split(every, tuple(known[name] for name in results))


def _nothing(stage: int) -> Piece:
    """Of a stage with nothing but constants, which others make themselves."""
    graph = fx.Graph()
    graph.output(())
    return Piece(stage, fx.GraphModule({}, graph), (), ())


def _leaves(prepared: Prepared) -> Mapping[str, Argument]:
    traced = prepared.traced
    found = {node.name: Argument("parameter", name) for node, name in traced.reads.items()}
    return found | {node.name: Argument("input", name) for name, node in traced.inputs.items()}


def _piece(module: Any, index: int, arguments: list[Argument]) -> Piece:
    output = next(n for n in module.graph.nodes if n.op == "output")
    made = output.args[0]
    made = tuple(made) if isinstance(made, list | tuple) else () if made is None else (made,)
    output.args = (made,)
    module.recompile()
    return Piece(index, module, tuple(arguments), tuple(node.meta[ORIGIN] for node in made))
