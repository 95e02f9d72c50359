"""Example inputs that the user gave."""

from __future__ import annotations

from inspect import Parameter
from typing import TYPE_CHECKING

from ..errors import UsageError
from .spec import ModelSpec, Shapes
from .table import label_names
from .tasks import parameters

if TYPE_CHECKING:
    import torch
    from torch import nn

_FIXED = ("sequence_length", "target_length", "image_size", "audio_seconds")


def given_inputs(
    spec: ModelSpec, shapes: Shapes, *, keep_labels: bool, module: nn.Module | None
) -> dict[str, torch.Tensor]:
    """The user's tensors on the module's device, without the labels that `forward` can do without unless they are kept.

    Raises:
        UsageError: the shapes wish for something else.
    """
    _batch(spec, shapes)
    taken = parameters(spec.model_class)
    optional = {name for name in label_names() if name in taken and taken[name].default is not Parameter.empty}
    tensors = spec.example_inputs or {}
    first = None if module is None else next(module.parameters(), None)
    device = None if first is None and module is not None else ("meta" if first is None else first.device.type)
    return {name: _onto(value, device) for name, value in tensors.items() if keep_labels or name not in optional}


def described_given(spec: ModelSpec, shapes: Shapes) -> dict[str, object]:
    """The batch and, by name, the type and size of every tensor. Raises: UsageError as :func:`given_inputs`."""
    tensors = spec.example_inputs or {}
    described = {name: f"{str(t.dtype).removeprefix('torch.')}{list(t.shape)}" for name, t in sorted(tensors.items())}
    return {"example_inputs": described, "micro_batch_size": _batch(spec, shapes)}


def _batch(spec: ModelSpec, shapes: Shapes) -> int:
    for option in _FIXED:
        if getattr(shapes, option) is not None:
            raise UsageError(
                f"{option} does not apply where example_inputs are given: their shapes are used as they are."
            )
    leading = next((int(t.shape[0]) for t in (spec.example_inputs or {}).values() if t.dim()), 1)
    if shapes.micro_batch_size not in (1, leading):
        raise UsageError(
            f"micro_batch_size is {shapes.micro_batch_size}, but the example inputs have {leading} rows; give inputs "
            "of that size."
        )
    return leading


def _onto(tensor: torch.Tensor, device: str | None) -> torch.Tensor:
    import torch

    if device is None or tensor.device.type == device:
        return tensor
    return torch.zeros_like(tensor, device=device) if tensor.device.type == "meta" else tensor.to(device)
