"""What the comparison of gradients sees, that the losses of a few steps do not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ipu_partition.engine.gradients import furthest, norms

ALONE = {"table": 2.0, "weight": 1.0, "bias": 1e-9}


@pytest.mark.parametrize(
    ("piped", "name", "share"),
    [
        ([{"table": 2.0, "weight": 1.0}, {"table": 2.0, "bias": 3e-9}], "bias", 2e-6),
        ([{"table": 1.0, "weight": 1.0}, {"table": 2.0, "bias": 1e-9}], "table", 0.5),  # not summed
        ([{"table": 2.0, "weight": 1000.0, "bias": 1e-9}], "weight", 999.0),  # badly scaled
        ([{"table": 2.0, "weight": 0.0, "bias": 1e-9}], "weight", 1.0),  # not trained
        ([{"table": 2.0, "weight": 1.0, "bias": 1e-9, "other": 1.0}], "other", 1e3),
    ],
)
def test_the_weight_that_differs_most(piped: list[dict[str, float]], name: str, share: float) -> None:
    found = furthest(piped, ALONE)
    assert found[0] == name
    assert found[1] == pytest.approx(share, rel=1e-6)


def test_what_is_no_number_differs() -> None:
    name, share = furthest([{"table": math.nan, "weight": 1.0, "bias": 1e-9}], ALONE)
    assert name == "table"
    assert not share <= 1e-4


def test_norms() -> None:
    model = nn.Linear(2, 1)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    assert norms(model.named_parameters()) == {"weight": 5.0, "bias": 0.0}
