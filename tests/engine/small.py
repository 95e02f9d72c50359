"""Small models planned and cut for these tests, each once."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import nn

from ipu_partition import partition
from ipu_partition.emit.torch_pipelining import Pipeline, open_pipeline
from ipu_partition.plan import PartitionPlan

from ..end_to_end.families import FAMILIES, small_options

ROTARY = ("llama", "mistral", "qwen2")
"""Models that PyTorch's own tracer of pipelines fails on."""
_TEXT = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32}


def rotary(kind: str) -> Any:
    """A configuration object."""
    from transformers import AutoConfig

    return AutoConfig.for_model(kind, **_TEXT, **_HEADS)


@cache
def planned(name: str, ipus: int = 2) -> tuple[PartitionPlan, Any]:
    """The plan for training, and the model it is of where the plan cannot name it."""
    if name in ROTARY:
        config = rotary(name)
        return partition(config, mode="training", ipus=ipus, target="poptorch", sequence_length=8), config
    return partition(FAMILIES[name], mode="training", ipus=ipus, **small_options(name)), None


@cache
def cut(name: str, ranks: int = 2) -> Pipeline:
    """Not to be trained itself: see :func:`own`."""
    plan, model = planned(name)
    return open_pipeline(plan, ranks, model)


def own(opened: Pipeline) -> Pipeline:
    """With weights of its own."""
    return replace(opened, model=deepcopy(opened.model))


class Odd(nn.Module):
    """A first layer that is not trained and whose result is used again at the end, as that of the second layer is; an
    input whose name a schedule has taken, one that is a single number, and a weight that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.first.requires_grad_(False)
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.last = nn.Linear(8, 8)
        self.last.weight = self.layers[0].weight
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: torch.Tensor, target: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        fixed = self.first(x)
        early = y = self.layers[0](fixed)
        for layer in self.layers[1:]:
            y = self.dropout(torch.relu(layer(y))) * scale
        return nn.functional.mse_loss(self.last(y + early) + fixed, target)


def odd() -> tuple[Odd, dict[str, Any]]:
    """The module, and what it is planned with."""
    torch.manual_seed(5)
    inputs = {"x": torch.randn(2, 6), "target": torch.randn(2, 8), "scale": torch.tensor(1.5)}
    return Odd(), {"example_inputs": inputs, "loss": lambda output: output}
