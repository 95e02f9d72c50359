"""A model with two towers whose halves fit together in another order than the program's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

WIDTH = 16


class Layer(nn.Module):
    """`weight` times as much work as one of weight 1."""

    def __init__(self, weight: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(WIDTH, 8 * weight), nn.Linear(8 * weight, WIDTH)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.dropout(self.narrow(torch.relu(self.wide(x))))
        return x + added


class Towers(nn.Module):
    """Layers of `left`, then of `right`; both read the input, and the loss reads both. `tied`: the first layers of both
    share a bias."""

    def __init__(self, left: Sequence[int] = (6, 6), right: Sequence[int] = (4, 4), *, tied: bool = False) -> None:
        super().__init__()
        self.left = nn.ModuleList(map(Layer, left))
        self.right = nn.ModuleList(map(Layer, right))
        if tied:
            self.left[0].get_submodule("narrow").bias = self.right[0].get_submodule("narrow").bias

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        for layer in self.left:
            x = layer(x)
        for layer in self.right:
            y = layer(y)
        return (x - y).square().mean()


INPUTS = {"x": torch.linspace(-1, 1, 4 * WIDTH).view(4, WIDTH), "y": torch.linspace(1, 0, 4 * WIDTH).view(4, WIDTH)}
GIVEN: dict[str, Any] = {"example_inputs": INPUTS, "loss": lambda output: output}
