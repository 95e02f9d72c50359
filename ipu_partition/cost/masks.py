"""Attention masks as small as their inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ..trace.model import TracedModel

if TYPE_CHECKING:
    from torch import fx

MASK_KINDS = frozenset({"", "elementwise", "gather"})
"""Op kinds that masks are made with; '' are views."""


def mask_elements(
    traced: TracedModel,
    kind: Callable[[fx.Node], str],
    shape: Callable[[fx.Node], tuple[int, ...]],
    constant: Callable[[fx.Node], bool],
) -> Mapping[fx.Node, int]:
    """Elements in which every mask is held that is broadcast only where it is used, and not before.

    A mask is made of model inputs and constants alone, by a module for modules inside it. Broadcasting repeats what its
    inputs hold, and constants cost nothing, so it is held in no more elements than those inputs have: with a causal
    triangle or without, (batch, 1, 1, length) in place of (batch, 1, length, length). What a layer makes for other
    layers (a position bias with the mask added) is held whole.
    """
    held = {node: math.prod(shape(node)) for node in traced.inputs.values()}
    made: dict[fx.Node, int] = {}
    for node in traced.nodes:
        sources = [n for n in node.all_input_nodes if not constant(n)]
        from_masks = sources and all(n in held for n in sources)
        if from_masks and kind(node) in MASK_KINDS and _stays_inside(traced, node, node.users):
            held[node] = made[node] = min(math.prod(shape(node)), sum(held[n] for n in sources))
    return made


def _stays_inside(traced: TracedModel, node: fx.Node, users: Iterable[fx.Node]) -> bool:
    """Whether all that reads it runs in the module that made it, or in modules inside."""
    owner = traced.owner(node)
    return not owner or all(owner[-1] in traced.owner(user) for user in users)
