"""Pieces of a model as a chain, in which each stage talks to the one before and the one after it and to no other."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...errors import UsageError

if TYPE_CHECKING:
    from torch import fx

    from ...split import Argument, Piece, Split

RESERVED = frozenset({"args", "draw_seeds", "kwargs", "loss_kwargs", "losses", "return_outputs", "self", "target"})
"""Names that `step` of a schedule, or a stage, has taken."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A tensor that goes from a stage to the next."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As `torch` names it: `float32`."""
    differentiable: bool
    """A gradient comes back for it."""
    element_bytes: int

    @property
    def bytes(self) -> int:
        """Of one micro-batch."""
        return math.prod(self.shape) * self.element_bytes


@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or buffer that a stage reads."""

    names: tuple[str, ...]
    """All that the model has for it; the first is its key in the trace."""
    trainable: bool
    buffer: bool
    persistent: bool
    """It is in the model's `state_dict`."""
    holders: tuple[int, ...] = ()
    """The stages that have a copy, in order."""

    @property
    def summed(self) -> bool:
        """Whether its gradient is that of several stages together."""
        return self.trainable and len(self.holders) > 1


@dataclass(frozen=True, slots=True)
class Link:
    """One stage of the chain, without its program."""

    index: int
    count: int
    """Stages of the chain."""
    arguments: tuple[tuple[str, str], ...]
    """(kind, name) of what its program is called with, as :class:`~ipu_partition.split.Argument`."""
    returns: tuple[str, ...]
    """Names of what its program returns."""
    receives: tuple[Carried, ...]
    sends: tuple[Carried, ...]
    """To the next stage; of the last stage: the loss."""
    inputs: Mapping[str, tuple[int, ...]]
    """Input of the model that it reads -> its shape in one micro-batch."""
    weights: tuple[Weight, ...]
    random: bool
    """Whether anything in it draws random numbers."""

    @property
    def last(self) -> bool:
        return self.index == self.count - 1


def keyword(name: str) -> str:
    """The keyword under which an input of the model is given to `step` of a schedule."""
    return f"{name}_" if name in RESERVED else name


def links(split: Split, weights: Mapping[str, Weight]) -> tuple[Link, ...]:
    """The pieces of a model that is trained, chained. `weights`: by their key in the trace.

    A value that a stage further on reads is handed on by the stages between. Raises :class:`UsageError` where the
    model computes no loss.
    """
    loss = _loss(split)
    tensors = _carried(split, weights)
    made = {name: piece.index for piece in split.pieces for name in piece.returns}
    last = len(split.pieces) - 1
    needed = {value.name: max(value.readers) for value in split.values} | {loss: last}
    crossing = [
        tuple(tensors[name] for name in made if made[name] < stage <= needed.get(name, -1))
        for stage in range(len(split.pieces))
    ]
    ends = [*crossing[1:], (tensors[loss],)]
    held = _held(split, weights)
    return tuple(_link(p, last + 1, crossing[p.index], ends[p.index], held) for p in split.pieces)


def _held(split: Split, weights: Mapping[str, Weight]) -> dict[str, Weight]:
    """The weights with the stages that hold them."""
    readers: dict[str, list[int]] = {name: [] for name in weights}
    for piece in split.pieces:
        for name in dict.fromkeys(piece.reads("parameter")):
            readers[name].append(piece.index)
    return {name: replace(weight, holders=tuple(readers[name])) for name, weight in weights.items()}


def _loss(split: Split) -> str:
    first = split.results[0] if split.results else None
    if first is not None and first.kind == "value":
        value = _nodes(split)[first.name].meta["val"]
        if not tuple(value.shape) and value.is_floating_point():
            return first.name
    raise UsageError(
        "The trace of the model holds no loss: its first output is no single number. Expected a model that computes "
        "its loss from labels, with operations that can be traced; give a module with such a loss, or loss=."
    )


def _nodes(split: Split) -> dict[str, fx.Node]:
    """Value -> the node of the piece that makes it."""
    return {name: node for piece in split.pieces for name, node in zip(piece.returns, _made(piece), strict=True)}


def _made(piece: Piece) -> tuple[fx.Node, ...]:
    made: tuple[fx.Node, ...] = next(n for n in piece.module.graph.nodes if n.op == "output").args[0]
    return made


def _carried(split: Split, weights: Mapping[str, Weight]) -> dict[str, Carried]:
    trained = _differentiable(split, {name for name, weight in weights.items() if weight.trainable})
    found = {}
    for name, node in _nodes(split).items():
        value = node.meta["val"]
        dtype = str(value.dtype).removeprefix("torch.")
        shape = tuple(map(int, value.shape))
        found[name] = Carried(name, shape, dtype, name in trained, value.element_size())
    return found


def _differentiable(split: Split, trainable: Collection[str]) -> set[str]:
    """Values that depend on a trainable weight. Where one does not after all, its gradient is zeros."""
    found: set[str] = set()
    for piece in split.pieces:
        seen = {
            node
            for node, argument in zip(_placeholders(piece), piece.arguments, strict=True)
            if _depends(argument, trainable, found)
        }
        for node in piece.module.graph.nodes:
            if node.op == "call_function" and _real(node) and not seen.isdisjoint(node.all_input_nodes):
                seen.add(node)
        found |= {name for name, node in zip(piece.returns, _made(piece), strict=True) if node in seen}
    return found


def _depends(argument: Argument, trainable: Collection[str], values: Collection[str]) -> bool:
    return argument.name in {"parameter": trainable, "value": values}.get(argument.kind, ())


def _placeholders(piece: Piece) -> list[fx.Node]:
    return [n for n in piece.module.graph.nodes if n.op == "placeholder"]


def _real(node: fx.Node) -> bool:
    """Whether the op makes numbers that a gradient can flow through."""
    value = node.meta.get("val")
    parts: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    return any(hasattr(part, "is_floating_point") and part.is_floating_point() for part in parts)


def _link(
    piece: Piece, count: int, receives: tuple[Carried, ...], sends: tuple[Carried, ...], weights: Mapping[str, Weight]
) -> Link:
    from ...split import seeded

    shapes = {a.name: _shape(n) for n, a in zip(_placeholders(piece), piece.arguments, strict=True)}
    return Link(
        index=piece.index,
        count=count,
        arguments=tuple((a.kind, a.name) for a in piece.arguments),
        returns=piece.returns,
        receives=receives,
        sends=sends,
        inputs={name: shapes[name] for name in piece.reads("input")},
        weights=tuple(weights[name] for name in dict.fromkeys(piece.reads("parameter"))),
        random=any(node.target is seeded for node in piece.module.graph.nodes),
    )


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(map(int, node.meta["val"].shape))
