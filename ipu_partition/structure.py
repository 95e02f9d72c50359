"""What tells one model from another: the names and shapes of its parameters, and which of them are one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def structure_of(model: torch.nn.Module) -> str:
    """The structure of a live model. Neither values nor dtypes matter."""
    named = list(model.named_parameters(remove_duplicate=False))
    names: dict[int, list[str]] = {}
    for name, parameter in named:
        names.setdefault(id(parameter), []).append(name)
    shapes = {id(parameter): tuple(parameter.shape) for _, parameter in named}
    return digest_of((names[key], shape) for key, shape in shapes.items())


def digest_of(parameters: Iterable[tuple[Iterable[str], tuple[int, ...]]]) -> str:
    """16 hex digits of (all names, shape) of each parameter, in any order."""
    digest = hashlib.sha256()
    for names, shape in sorted((sorted(names), shape) for names, shape in parameters):
        digest.update(f"{names}:{shape}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()[:16]
