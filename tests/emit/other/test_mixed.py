"""A device map says where the code around modules would compute with tensors of several devices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ipu_partition import partition
from ipu_partition.emit.other import device_map


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(64, 64) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.a, self.b, self.c, self.d):
            x = x + layer(x)
        return x


class Chain(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.a, self.b, self.c, self.d):
            x = layer(x).relu()
        return x


def test_sums_of_several_devices(machine_file: Callable[[int], str]) -> None:
    for kind, said in ((Residual, True), (Chain, False)):
        model, inputs = kind(), (torch.ones(4, 64),)
        plan = partition(model, 2, mode="inference", machine=machine_file(2), example_inputs=inputs)
        made = device_map(plan, model=model, example_inputs=inputs)
        assert set(made.value.values()) == {0, 1}
        assert any("the model computes with tensors of devices 0 and 1" in note for note in made.notes) is said
