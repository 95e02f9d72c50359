"""Costs: against torch's own FLOP counter, against autograd, and against themselves."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ipu_partition.cost import CostGraph, Start, cost_graph, free_starts
from ipu_partition.errors import TraceError
from ipu_partition.trace import TracedModel, trace

IDS = torch.zeros(2, 16, dtype=torch.long)


def _model(name: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    shared = {"attn_implementation": "eager"}
    if name == "gpt2":
        config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=97, use_cache=False)
        return transformers.GPT2LMHeadModel._from_config(config, **shared), {"input_ids": IDS, "labels": IDS}
    if name == "t5":
        config = transformers.T5Config(
            num_layers=2,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_heads=4,
            vocab_size=97,
            use_cache=False,
            decoder_start_token_id=0,
        )
        return transformers.T5ForConditionalGeneration._from_config(config, **shared), {"input_ids": IDS, "labels": IDS}
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2, image_size=32)
    return (
        transformers.ConvNextForImageClassification._from_config(config),
        {"pixel_values": torch.zeros(2, 3, 32, 32), "labels": torch.zeros(2, dtype=torch.long)},
    )


NAMES = ["gpt2", "t5", "convnext"]


def _traced(name: str, training: bool = True) -> TracedModel:
    model, inputs = _model(name)
    return trace(model, inputs, training=training)


@pytest.mark.parametrize("name", NAMES)
def test_flops_equal_those_torch_counts(name: str) -> None:
    model, inputs = _model(name)
    model.train()
    with FlopCounterMode(display=False) as counter:
        loss = model(**inputs).loss
        forward = counter.get_total_flops()
        loss.backward()
        backward = counter.get_total_flops() - forward
    traced = trace(model, inputs, training=True)
    graph = cost_graph(traced, free_starts(traced))
    assert graph.forward_flops == forward
    if name != "convnext":  # the counter's backward formula does not know groups (depthwise convolutions)
        assert graph.backward_flops == backward


def test_each_gradient_of_a_convolution_costs_as_much_as_its_forward() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    traced = trace(model, (torch.zeros(1, 3, 9, 9),), training=True)
    first, second = cost_graph(traced, [Start("0"), Start("1")]).units
    assert first.backward_flops == first.forward_flops == 2 * 8 * 7 * 7 * 3 * 9
    assert second.backward_flops == 2 * second.forward_flops == 2 * 2 * 8 * 5 * 5 * 9


@pytest.mark.parametrize("name", NAMES)
def test_units_add_up_to_the_whole_graph(name: str) -> None:
    traced = _traced(name)
    fine, coarse = cost_graph(traced, free_starts(traced)), cost_graph(traced, [])
    assert len(coarse.units) == 1 < len(fine.units)
    for total in ("forward_flops", "backward_flops", "parameter_count"):
        assert getattr(fine, total) == getattr(coarse, total)
    for field in ("forward_bytes", "backward_bytes"):
        assert _work_total(fine, field) == _work_total(coarse, field)
    assert sum(u.saved_bytes for u in fine.units) == coarse.units[0].saved_bytes
    read = {p for u in fine.units for p in u.parameters}
    assert read == set(coarse.units[0].parameters)
    assert fine.parameter_count == sum(p.numel() for p in _model(name)[0].parameters())


def _work_total(graph: CostGraph, field: str) -> int:
    return sum(w.count * getattr(w, field) for u in graph.units for w in u.work)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_unknown_and_json_round_trips(name: str) -> None:
    traced = _traced(name)
    graph = cost_graph(traced, free_starts(traced))
    assert not graph.audit.unknown
    assert all(reason for _, reason in graph.audit.ignored.values())
    assert CostGraph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph


def test_saved_bytes_are_near_what_autograd_saves() -> None:
    model, inputs = _model("gpt2")
    model.train()
    kept: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.is_floating_point():
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        output = model(**inputs)
    traced = trace(model, inputs, training=True)
    ours = sum(u.saved_bytes for u in cost_graph(traced, free_starts(traced), float_bytes=4).units)
    assert output.loss is not None
    assert 0.6 < ours / sum(kept.values()) < 1.4  # dropout masks are drawn again on the IPU, autograd keeps them


def test_tensors_cross_boundaries_with_all_their_readers() -> None:
    """A skip connection and a mask that every layer reads."""

    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            a = self.first(x) * mask
            return self.third(self.second(a) * mask) + a

    traced = trace(Skip(), {"x": torch.zeros(4, 8), "mask": torch.zeros(4, 8)}, training=True)
    graph = cost_graph(traced, [Start("first"), Start("second"), Start("third")], float_bytes=2)
    tensors = {t.name: t for t in graph.tensors}
    assert tensors["mask"].producer is None
    assert tensors["mask"].readers == (0, 1)
    skip = next(t for t in graph.tensors if t.producer == 0)
    assert skip.readers == (1, 2)
    assert skip.bytes == skip.gradient_bytes == 4 * 8 * 2
    assert tensors["mask"].gradient_bytes == 0


def test_a_repeated_block_id_joins_its_stage() -> None:
    class TwoEmbeddings(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Embedding(5, 4), nn.Embedding(5, 4)
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.layer(self.left(x))
            return hidden + self.right(x)

    traced = trace(TwoEmbeddings(), {"x": IDS}, training=False)
    graph = cost_graph(traced, [Start("left"), Start("layer"), Start("right")])
    assert [u.name for u in graph.units] == ["left", "layer", "right"]
    with pytest.raises(TraceError, match="moved before"):
        cost_graph(traced, [Start("left"), Start("layer"), Start("right", joins="left")])


def test_a_start_that_never_fires_is_refused() -> None:
    traced = _traced("gpt2")
    with pytest.raises(TraceError, match=r"'transformer\.h'.*called 0 times"):
        cost_graph(traced, [Start("transformer.h")])


def test_frozen_parameters_have_no_gradient() -> None:
    traced = _traced("convnext")
    whole = cost_graph(traced, free_starts(traced))
    frozen = cost_graph(
        traced, free_starts(traced), frozen=[n for n in traced.parameters if n.startswith("convnext.embeddings.")]
    )
    assert frozen.backward_flops < whole.backward_flops
    assert not frozen.parameters["convnext.embeddings.patch_embeddings.weight"].trainable


def test_networkx_form_follows_execution_order() -> None:
    traced = _traced("t5")
    nx_graph = cost_graph(traced, free_starts(traced)).to_networkx()
    assert all(a < b for a, b in nx_graph.edges)
    assert all(data["bytes"] > 0 for _, _, data in nx_graph.edges(data=True))
