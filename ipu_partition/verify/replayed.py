"""The ops that each node of a trace runs, as a dispatcher sees them, which is where an executed model is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from ..trace import TracedModel

_IDLE = ("prim.", "aten._assert", "aten.sym_constrain", "aten.lift_fresh", "aten.detach")
"""Beginnings of the names of ops that compute nothing: what asks a tensor for its device, checks a shape that a trace
rests on, takes a constant in, or leaves autograd."""
_CHECKS = ("aten._assert", "aten.sym_constrain")
"""Of them, those that would look at values."""


class Ran(NamedTuple):
    """One op that a node runs."""

    node: fx.Node
    name: str


def computes(name: str) -> bool:
    """Whether an op of that name does work."""
    return not name.startswith(_IDLE)


@contextmanager
def without_values() -> Iterator[None]:
    """Until the end of the block tensors have shapes and no values, and nothing is computed."""
    with FakeTensorMode(shape_env=ShapeEnv(tracked_fakes=[]), allow_non_fake_inputs=True, export=True):
        yield


def replayed(traced: TracedModel) -> list[Ran]:
    """What the nodes run, one after the other in the order of the trace."""
    found: list[Ran] = []
    values: dict[fx.Node, Any] = {}
    with torch.set_grad_enabled(traced.training), without_values():
        values.update(_leaves(traced))
        for node in traced.nodes:
            if not str(node.target).startswith(_CHECKS):
                with _Listener(node, found):
                    values[node] = _run(node, values)
    return [ran for ran in found if computes(ran.name)]


class _Listener(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, node: fx.Node, found: list[Ran]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._node, self._found = node, found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._found.append(Ran(self._node, str(func)))
        return func(*args, **(kwargs or {}))


def _run(node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    target: Any = node.target
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: _value(n, values))
    return target(*args, **kwargs)


def _value(node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    if node.op == "get_attr":
        return getattr(node.graph.owning_module, str(node.target))
    return values[node]


def _leaves(traced: TracedModel) -> Iterator[tuple[fx.Node, Any]]:
    """Inputs, parameters and constants of the sizes they have in the trace."""
    for node in traced.nodes[0].graph.nodes if traced.nodes else ():
        if node.op == "placeholder":
            held = traced.parameters.get(traced.reads.get(node, ""))
            yield node, like(node.meta.get("val"), held is not None and held.trainable)


def like(value: Any, trainable: bool = False) -> Any:
    """A tensor as `value` is, without values; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    sizes, strides = [int(n) for n in value.shape], [int(n) for n in value.stride()]
    made = torch.empty_strided(sizes, strides, dtype=value.dtype, device=value.device)
    return made.requires_grad_(trainable)
