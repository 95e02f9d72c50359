"""The ops and small functions that models call, computed by torch on the CPU."""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

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


class SerializedMatMul(NamedTuple):
    """A matmul made in `factor` steps along a dimension of `size`."""

    module: str
    mode: str
    size: int
    factor: int


def serializedMatMul(
    lhs: torch.Tensor,
    rhs: torch.Tensor,
    mode: MatMulSerializationMode,
    factor: int = 0,
    keep_precision: bool = False,
) -> torch.Tensor:
    """`lhs @ rhs`. A recording keeps what is cut, so that `violations()` can say whether the factor divides it."""
    if not isinstance(mode, MatMulSerializationMode):
        raise Error(f"mode must be a poptorch.MatMulSerializationMode, got {mode!r}")
    sizes = {"input_channels": lhs.shape[:-1][-1:], "reducing_dim": lhs.shape[-1:], "output_channels": rhs.shape[-1:]}
    record = Block._stages_manager
    if record is not None and mode is not MatMulSerializationMode.Disabled:
        module = record.stack[-1] if record.stack else ""
        record.serialized.append(SerializedMatMul(module, mode.value, int((*sizes[mode.value], 1)[0]), factor))
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
