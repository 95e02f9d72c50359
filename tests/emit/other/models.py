"""Small models of the families as a user of Transformers has them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ipu_partition.models import Shapes, example_inputs, resolve, with_shapes
from tests.end_to_end.families import FAMILIES, SHAPES, SMALL

Inputs = dict[str, torch.Tensor]


def built(family: str) -> tuple[nn.Module, Inputs]:
    """The model in evaluation mode, and inputs."""
    shapes: Any = SHAPES.get(family, {"sequence_length": 16})
    spec = with_shapes(resolve(FAMILIES[family], config=SMALL[family]), Shapes(**shapes))
    if hasattr(spec.config, "use_cache"):
        spec.config.use_cache = False  # an empty cache is made on no pretended device
    torch.manual_seed(0)
    model: Any = spec.model_class._from_config(spec.config)  # type: ignore[attr-defined]
    wanted = example_inputs(spec, Shapes(**shapes), training=False)
    return model.eval(), {name: _value(value) for name, value in wanted.items()}


def _value(like: torch.Tensor) -> torch.Tensor:
    return torch.rand(like.shape) if like.is_floating_point() else torch.ones(like.shape, dtype=like.dtype)
