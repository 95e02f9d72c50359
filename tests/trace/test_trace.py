"""Traces: what is called, what is tied, where a block may begin."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ipu_partition.errors import TraceError
from ipu_partition.trace import trace


class Tied(nn.Module):
    """An embedding, a layer called twice, a layer called once, a head tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.twice = nn.Linear(4, 4)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        self.unused = nn.Linear(4, 4)
        self.head = nn.Linear(4, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.twice(self.twice(self.embed(ids)))
        return self.head(self.body(hidden))


IDS = torch.zeros(2, 3, dtype=torch.long)


def test_parameters_are_counted_by_identity() -> None:
    model = Tied()
    traced = trace(model, {"ids": IDS}, training=False)
    assert sum(p.elements for p in traced.parameters.values()) == sum(p.numel() for p in model.parameters())
    tied = traced.parameters["embed.weight"]
    assert tied.aliases == ("head.weight",)
    assert "head.weight" not in traced.parameters


def test_blocks_begin_only_where_a_hook_fires_once() -> None:
    calls = [c.module for c in trace(Tied(), {"ids": IDS}, training=False).calls]
    assert calls == ["embed", "body", "body.0", "body.1", "body.2", "head"]


def test_calls_are_in_the_order_hooks_really_fire() -> None:
    model, fired = Tied(), []
    traced = trace(model, {"ids": IDS}, training=False)
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda _m, _a, name=name: fired.append(name))
    model(IDS)
    once = [name for name in fired if name and fired.count(name) == 1]
    assert [c.module for c in traced.calls] == once


def test_the_module_is_left_as_it_was() -> None:
    model = Tied().train()
    model.body.eval()
    trace(model, {"ids": IDS}, training=False)
    assert model.training
    assert not model.body.training
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_a_user_loss_is_traced_and_paths_stay_those_of_the_model() -> None:
    traced = trace(Tied(), (IDS,), training=True, loss=lambda out: out.float().mean())
    assert tuple(traced.outputs[0].meta["val"].shape) == ()
    assert next(c.module for c in traced.calls) == "embed"
    assert "embed.weight" in traced.parameters


def test_data_dependent_control_flow_is_one_clear_error() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.sum() > 0 else x

    with pytest.raises(TraceError, match=r"Branch cannot be traced.*Try"):
        trace(Branch(), (torch.ones(2),), training=False)


def test_fingerprint_tells_models_apart() -> None:
    one = trace(Tied(), {"ids": IDS}, training=False).fingerprint
    assert one == trace(Tied(), {"ids": IDS}, training=True).fingerprint
    other = Tied()
    other.unused = nn.Linear(4, 5)
    assert one != trace(other, {"ids": IDS}, training=False).fingerprint
