"""A model with weights: random ones, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ..errors import UsageError
from ..models import ModelSpec, build
from ..trace import quiet

if TYPE_CHECKING:
    from torch import nn


def real_model(
    spec: ModelSpec, *, training: bool, seed: int = 0, host_config: dict[str, object] | None = None
) -> nn.Module:
    """The model that :func:`.models.build` describes, on the CPU with the random weights its class begins with.

    A module that the user gave is returned as it is. UsageError where that one is on the meta device, or on another
    than the CPU.
    """
    if spec.module is not None:
        return _on_cpu(spec.module)
    meta, _ = build(spec, training=training, host_config=host_config)
    make: Any = spec.model_class
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(seed)
        module: nn.Module = make._from_config(meta.config, attn_implementation="eager", dtype=torch.float32)
    _tie_as(module, meta)
    return module.train(training)


def _tie_as(module: nn.Module, meta: nn.Module) -> None:
    """Parameters that are one in `meta` are one."""
    first: dict[int, str] = {}
    for name, parameter in meta.named_parameters(remove_duplicate=False):
        original = first.setdefault(id(parameter), name)
        if original != name:
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, module.get_parameter(original))


def _on_cpu(module: nn.Module) -> nn.Module:
    tensors = [*module.named_parameters(), *module.named_buffers()]
    wrong = [(name, t.device) for name, t in tensors if t.device.type != "cpu"]
    if wrong:
        name, device = wrong[0]
        raise UsageError(
            f"{type(module).__name__} has {name!r} on {device}; it must have values and be on the CPU to be run. "
            "Try model.to('cpu'), or model.to_empty(device='cpu') and weights of your own."
        )
    return module
