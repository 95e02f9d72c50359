"""Masks: as small as their inputs for those who hold them so, whole for all others."""

from __future__ import annotations

import torch
import transformers
from torch import nn

from ipu_partition.cost import CostGraph, Start, cost_graph
from ipu_partition.trace import trace

B, S = 2, 16
IDS = torch.zeros(B, S, dtype=torch.long)
TEXT = {"vocab_size": 97, "use_cache": False}
GPT2 = transformers.GPT2Config(n_layer=3, n_embd=32, n_head=2, **TEXT)
T5 = transformers.T5Config(num_layers=3, d_model=32, d_kv=8, d_ff=64, num_heads=4, decoder_start_token_id=0, **TEXT)


def _graph(model: nn.Module, starts: list[str], small: bool, **inputs: torch.Tensor) -> CostGraph:
    traced = trace(model, inputs, training=True)
    return cost_graph(traced, [Start(name) for name in starts], small_masks=small)


def _unowned(graph: CostGraph, ids: str = "input_ids") -> dict[str, int]:
    """Tensors between units without a gradient: what is not an activation of the model."""
    return {t.name: t.bytes for t in graph.tensors if t.producer is not None and not t.gradient_bytes}


def test_a_causal_and_padding_mask_is_as_small_as_the_padding() -> None:
    model = transformers.GPT2LMHeadModel._from_config(GPT2, attn_implementation="eager")
    starts = ["transformer.wte", *(f"transformer.h.{i}" for i in range(3))]
    inputs = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "labels": IDS}
    whole, small = (_graph(model, starts, flag, **inputs) for flag in (False, True))
    assert list(_unowned(whole).values()) == [2 * B * S * S]
    assert list(_unowned(small).values()) == [2 * B * S]
    for a, b in zip(whole.units, small.units, strict=True):
        assert b.forward_flops == a.forward_flops
        assert b.saved_bytes == a.saved_bytes
        assert b.forward_peak_bytes <= a.forward_peak_bytes


def test_a_causal_mask_alone_is_a_constant_and_crosses_nothing() -> None:
    model = transformers.GPT2LMHeadModel._from_config(GPT2, attn_implementation="eager")
    starts = ["transformer.wte", *(f"transformer.h.{i}" for i in range(3))]
    assert not _unowned(_graph(model, starts, False, input_ids=IDS, labels=IDS))


def test_what_a_layer_makes_for_other_layers_is_whole() -> None:
    """A position bias with the mask of the encoder's inputs added inside the first layer."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(8, 8)

        def forward(
            self, x: torch.Tensor, mask: torch.Tensor, bias: torch.Tensor | None
        ) -> tuple[torch.Tensor, torch.Tensor]:
            bias = torch.zeros(1, 4, S, S) + mask if bias is None else bias
            return self.project(x) + bias.sum(), bias

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = Layer(), Layer()

        def forward(self, x: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            mask = (1.0 - attention_mask.float())[:, None, None, :].expand(B, 1, S, S)
            x, bias = self.first(x, mask, None)
            return self.second(x, mask, bias)[0].mean()

    graph = _graph(Model(), ["first", "second"], True, x=torch.zeros(B, S, 8), attention_mask=torch.ones_like(IDS))
    assert list(_unowned(graph).values()) == [2 * B * 4 * S * S]


def test_a_unit_that_takes_one_row_of_a_tensor_reads_the_tensor() -> None:
    class Pooler(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.dense(x[:, 0])

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.pooler = nn.Linear(8, 8), Pooler()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.pooler(self.layer(x)).mean()

    graph = _graph(Model(), ["layer", "pooler"], False, x=torch.zeros(B, S, 8))
    assert [(t.producer, t.readers, t.bytes) for t in graph.tensors if t.producer is not None] == [
        (0, (1,), 2 * B * S * 8)
    ]


def test_a_checkpoint_is_of_the_layer_whatever_runs_after_it() -> None:
    """What follows a module in its unit is not its output."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.layer(x).mean(dim=1)).mean()

    graph = _graph(Model(), ["layer", "head"], False, x=torch.zeros(B, S, 8))
    assert graph.units[0].output_bytes == 2 * B * S * 8
    assert [t.bytes for t in graph.tensors if t.producer == 0] == [2 * B * 8]


def test_the_table_of_a_look_up_and_rows_of_a_projection() -> None:
    untied = transformers.GPT2Config(n_layer=1, n_embd=32, n_head=2, tie_word_embeddings=False, **TEXT)
    model = transformers.GPT2LMHeadModel._from_config(untied, attn_implementation="eager")
    graph = _graph(model, ["transformer.wte", "lm_head"], False, input_ids=IDS, labels=IDS)
    assert {w.table for u in graph.units for w in u.work} == {"", "transformer.wte.weight", "transformer.wpe.weight"}
    rows = {name: p.rows for name, p in graph.parameters.items() if p.rows}
    assert rows == {"transformer.wte.weight": 97, "transformer.wpe.weight": 1024, "lm_head.weight": 97}
    assert graph.parameters["lm_head.weight"].shape == (97, 32)
    assert CostGraph.from_dict(graph.to_dict()) == graph


def test_double_precision_is_single_on_the_device() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).double().float()).mean() + self.a.weight.double().mean()

    graph = _graph(Wide(), ["a", "b"], False, x=torch.zeros(B, 8))
    casts = sorted((w.forward_bytes, w.count) for u in graph.units for w in u.work if w.op == "to")
    assert casts == [(6 * B * 8, 2), (6 * 64, 1)]
