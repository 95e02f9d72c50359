"""What a trace holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ..structure import digest_of

if TYPE_CHECKING:
    import torch
    from torch import fx


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter or buffer object, however many names it has."""

    name: str
    aliases: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    buffer: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Call:
    """A module whose forward pre-hook fires exactly once in a forward pass: a place where a block may begin."""

    module: str
    position: int
    """Index, in :attr:`TracedModel.nodes`, of the first operation that runs inside the call."""


@dataclass(frozen=True)
class TracedModel:
    """The `torch.fx` graph of one forward pass, in execution order.

    That is the order of `nodes`; the graph that they belong to keeps the order of the program.
    """

    nodes: tuple[fx.Node, ...]
    """The operations (`call_function` nodes)."""
    inputs: Mapping[str, fx.Node]
    """Model inputs by name."""
    parameters: Mapping[str, Parameter]
    """All parameters of the module, and the buffers that the graph reads."""
    reads: Mapping[fx.Node, str]
    """Placeholder node of a parameter or buffer -> its key in `parameters`."""
    outputs: tuple[fx.Node, ...]
    call_counts: Mapping[str, int]
    """Module path -> how often it was called. A module with several names counts under each."""
    training: bool
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Values of constants that the forward code makes, by their key in `parameters`."""
    begins: Mapping[str, int] = field(default_factory=dict)
    """Where the operations are in another order than the program's: module whose call begins a unit -> index of the
    first operation of the unit, whatever operations of the module come before it."""

    def owner(self, node: fx.Node) -> tuple[str, ...]:
        """Paths of the module calls `node` runs in, outermost first; the root module is not named."""
        stack = node.meta.get("nn_module_stack") or {}
        return tuple(path for path, _ in stack.values() if path)

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Legal block starts in execution order, outermost module first where several begin at one operation."""
        found: dict[str, int] = {}
        for position, node in enumerate(self.nodes):
            for path in self.owner(node):
                if path not in found and self.call_counts.get(path) == 1:
                    found[path] = position
        found |= self.begins
        return tuple(Call(path, position) for path, position in sorted(found.items(), key=lambda c: c[1]))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of parameter names, shapes and ties, as `structure_of` gives it for a live model."""
        own = {id(p): p for p in self.parameters.values() if not p.buffer}
        return digest_of(((p.name, *p.aliases), p.shape) for p in own.values())
