"""A small model of Transformers 4.29 as a user would build it from the published configuration, and inputs for it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
import transformers

TOKEN = 3
"""Of every text, but for the last."""


def plain_model(job: dict[str, Any], settings: dict[str, Any]) -> torch.nn.Module:
    """With random weights, always the same. `settings`: fields of the configuration to set, where it has them."""
    model_class = getattr(transformers, job["architecture"])
    config = model_class.config_class(**job["config"])
    for name, value in settings.items():
        if hasattr(config, name):
            setattr(config, name, value)
    torch.manual_seed(0)
    np.random.seed(0)
    model: torch.nn.Module = model_class(config)
    return model


def inputs_for(job: dict[str, Any], mode: str, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Tensors of the planned shapes, for all that the forward of `model` takes."""
    torch.manual_seed(1)
    taken = inspect.signature(model.forward).parameters
    described = job["modes"][mode]["inputs"]
    return {
        name: _tensor(name, getattr(torch, dtype), shape, model.config)
        for name, (dtype, shape) in described.items()
        if name in taken
    }


def _tensor(name: str, dtype: torch.dtype, shape: list[int], config: Any) -> torch.Tensor:
    """Ones, which are valid as masks, labels and positions; random numbers; tokens that end as a text ends."""
    if dtype.is_floating_point and not name.endswith("mask"):
        return torch.randn(shape, dtype=dtype)
    if not name.endswith("input_ids"):
        return torch.ones(shape, dtype=dtype)
    tokens = torch.full(shape, TOKEN, dtype=dtype)
    if isinstance(config.eos_token_id, int) and config.eos_token_id < config.vocab_size:
        tokens[..., -1] = config.eos_token_id
    return tokens
