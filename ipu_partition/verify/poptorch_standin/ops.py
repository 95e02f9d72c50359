"""The ops and small functions that models call, computed by torch on the CPU."""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

import contextlib
from typing import Any

import torch

from .blocks import Block
from .errors import Error
from .options import MatMulSerializationMode


def recomputationCheckpoint(*tensors: Any) -> Any:
    """Identity; one tensor for one, a tuple for several, the same container for one list or tuple."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return type(tensors[0])(_checkpoint(t) for t in tensors[0])
    out = tuple(_checkpoint(t) for t in tensors)
    return out[0] if len(out) == 1 else out


def _checkpoint(tensor: Any) -> Any:
    is_tensor = isinstance(tensor, torch.Tensor)
    if not is_tensor:
        raise ValueError(f"recomputationCheckpoint expects tensors, got {type(tensor).__name__!r}")
    record = Block._stages_manager
    if record is not None:
        record.checkpoints.append(record.stack[-1] if record.stack else "")
    return tensor


def serializedMatMul(
    lhs: torch.Tensor,
    rhs: torch.Tensor,
    mode: MatMulSerializationMode,
    factor: int = 0,
    keep_precision: bool = False,
) -> torch.Tensor:
    """`lhs @ rhs`; Error where `factor` does not divide the dimension it cuts.

    Source: graphcore/popart:willow/src/op/matmul.cpp.
    """
    sizes = {"input_channels": lhs.shape[-2], "reducing_dim": lhs.shape[-1], "output_channels": rhs.shape[-1]}
    size = sizes.get(mode.value, 0)
    if factor > 1 and size % factor:
        raise Error(f"serialized matmul: factor {factor} does not divide {size} ({mode.value})")
    return lhs @ rhs


def identity_loss(x: torch.Tensor, reduction: str) -> torch.Tensor:
    if reduction not in ("none", "sum", "mean"):
        raise Error(f"reduction must be none, sum or mean, got {reduction!r}")
    return x if reduction == "none" else x.sum() if reduction == "sum" else x.mean()


class Attribute(contextlib.ContextDecorator):
    """Attributes of the ops inside; they do not move ops."""

    def __init__(self, **attributes: Any) -> None:
        self.attributes = attributes

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None


def isRunningOnIpu() -> bool:
    return False


def ipuHardwareVersion() -> int:
    """0: no IPU."""
    return 0


def ipuHardwareIsAvailable(num_ipus: int = 1) -> bool:
    return False


def setLogLevel(level: str | int) -> None:
    return None
