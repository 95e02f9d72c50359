"""Values for the inputs and weights of a trace, so that it can be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from ..cost.tensors import Dataflow
from ..errors import UsageError

if TYPE_CHECKING:
    from torch import fx, nn

    from ..trace import TracedModel


def bind(traced: TracedModel, model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameter, buffer or constant of the trace, by its key in `traced.parameters` -> what `model` has.

    UsageError where the model has no such tensor.
    """
    own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    found = {}
    for name in dict.fromkeys(traced.reads.values()):
        value = own.get(name, traced.constants.get(name))
        if value is None or value.device.type == "meta":
            raise UsageError(f"{type(model).__name__} has no value for {name!r}, which its trace reads.")
        found[name] = value
    return found


def example_values(flow: Dataflow, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random inputs that the model accepts: token ids below the rows of the table they look up, labels below the
    classes, masks of ones that end early in some samples, anything real from a normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    return {name: _value(flow, name, node, generator) for name, node in flow.traced.inputs.items()}


def _value(flow: Dataflow, name: str, node: fx.Node, generator: torch.Generator) -> torch.Tensor:
    fake = node.meta["val"]
    shape, dtype = tuple(map(int, fake.shape)), fake.dtype
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(shape, generator=generator, dtype=dtype)
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    if "mask" in name and len(shape) > 1:
        return _prefixes(shape, generator).to(dtype)
    return torch.randint(0, _rows(flow, node), shape, generator=generator, dtype=dtype)


def _prefixes(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Ones along the last dimension, at least half of it."""
    length = shape[-1]
    kept = torch.randint((length + 1) // 2, length + 1, (*shape[:-1], 1), generator=generator)
    return torch.arange(length) < kept


def _rows(flow: Dataflow, node: fx.Node) -> int:
    """Values that an integer input may have: rows of the smallest table it, or what is made of it, is looked up in;
    classes of the loss it is compared in. 2 where neither is."""
    seen, queue, found = {node}, [node], []
    while queue:
        current = queue.pop()
        for user in current.users:
            if user in seen or user.op != "call_function":
                continue
            seen.add(user)
            limit = _limit(flow, user, current)
            if limit is not None:
                found.append(limit)
            elif _whole_numbers(user):
                queue.append(user)
    return max(2, min(found)) if found else 2


def _limit(flow: Dataflow, user: fx.Node, index: fx.Node) -> int | None:
    kind, tensors = flow.rule(user).kind, flow.operands(user)
    if kind == "embedding" and len(tensors) > 1 and tensors[1] is index:
        return flow.shape(tensors[0])[0]
    if kind == "loss" and len(tensors) > 1 and tensors[1] is index:
        shape = flow.shape(tensors[0])
        return shape[1 if len(shape) > 1 else 0]
    return None


def _whole_numbers(node: fx.Node) -> bool:
    """Whether the op passes whole numbers on: ids that are shifted, padded or reshaped stay ids."""
    value = node.meta.get("val")
    dtype = getattr(value, "dtype", None)
    return dtype in (torch.int64, torch.int32) and not str(node.target).startswith("aten.sum")


def tensors_in(value: object) -> list[torch.Tensor]:
    """Every tensor in lists, tuples and mappings, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [t for item in value.values() for t in tensors_in(item)]
    if isinstance(value, list | tuple):
        return [t for item in value for t in tensors_in(item)]
    return []
