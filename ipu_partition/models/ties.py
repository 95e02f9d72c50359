"""What `tie_word_embeddings=False` unties.

In Transformers 4.29.2, which runs on the IPU host, it unties the output embeddings alone: an encoder and a decoder
still share their input embeddings, and a head its bias. Transformers 5 then ties nothing at all.
Source: huggingface/transformers:src/transformers/modeling_utils.py (v4.29.2), `tie_weights`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def tie_like(module: nn.Module, tied: nn.Module) -> None:
    """Ties what is one parameter in `tied`, the twin of `module` built with tied embeddings, save the output's."""
    output = _output_weight(tied)
    for names in _groups(tied):
        first, *others = [name for name in names if name != output]
        for name in others:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, module.get_parameter(first))


def _groups(module: nn.Module) -> Iterable[list[str]]:
    """Names of parameters that are one object."""
    groups: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def _output_weight(model: Any) -> str | None:
    output = model.get_output_embeddings()
    return next((f"{name}.weight" for name, module in model.named_modules() if module is output), None)
