"""What a user may bring besides a catalogue name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from ipu_partition import TraceError, UsageError, partition


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(8))
        self.head = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_module_with_inputs_and_a_loss(device: str) -> None:
    plan = partition(
        Stack().to(device), ipus=4, example_inputs={"x": torch.zeros(5, 64)}, loss=lambda out: out.square().mean()
    )
    assert plan.model.source == "module"
    assert plan.training is not None
    assert plan.training.workload.micro_batch_size == 5
    assert plan.training.layers_per_ipu is None
    assert not plan.expressible
    assert {c.module for c in plan.training.checkpoints} == {f"layers.{i}" for i in range(8)}
    modules = [m for s in plan.training.stages for m in s.modules]
    assert modules == [f"layers.{i}" for i in range(8)] + ["head"]


def test_a_module_without_a_loss_is_planned_for_inference_and_says_why() -> None:
    plan = partition(Stack(), ipus=2, example_inputs=(torch.zeros(5, 64),))
    assert plan.training is None
    assert plan.inference is not None
    assert any("no loss" in w for w in plan.warnings)
    with pytest.raises(UsageError, match="no loss"):
        partition(Stack(), ipus=2, mode="training", example_inputs=(torch.zeros(5, 64),))


@pytest.mark.parametrize("loss", [lambda out: None, lambda out: out, lambda out: out.argmax()])
def test_a_loss_must_be_one_number(loss: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises((UsageError, TraceError)):
        partition(Stack(), ipus=2, example_inputs=(torch.zeros(5, 64),), loss=loss)


def test_a_transformers_instance_is_planned_as_the_host_runs_it_and_left_alone() -> None:
    config = transformers.GPT2Config(n_layer=2, n_embd=32, n_head=2, vocab_size=99)
    model = transformers.GPT2LMHeadModel(config)
    before = (config.use_cache, config._attn_implementation, model.training)
    plan = partition(model, ipus=2, sequence_length=16)
    named = partition(config, ipus=2, task="text-generation", sequence_length=16)
    assert (config.use_cache, config._attn_implementation, model.training) == before
    assert plan.model.source == "module"
    assert plan.training is not None
    assert named.training is not None
    assert plan.training.stages == named.training.stages
    assert plan.audit == named.audit
    assert "scaled_dot_product_attention" not in plan.audit.counted


def test_a_folder_says_it_was_one(tmp_path: Path) -> None:
    config = transformers.BertConfig(
        num_hidden_layers=4, hidden_size=32, num_attention_heads=2, intermediate_size=64, vocab_size=99
    )
    config.architectures = ["BertForQuestionAnswering"]
    config.save_pretrained(tmp_path)
    plan = partition(tmp_path, ipus=2, sequence_length=16)
    assert (plan.model.source, plan.model.task) == ("folder", "question-answering")
    assert plan.optimum_class == "PipelinedBertForQuestionAnswering"


def test_a_weight_read_by_layers_on_all_ipus_is_never_split_in_training() -> None:
    config = transformers.AlbertConfig(
        num_hidden_layers=4,
        hidden_size=32,
        embedding_size=16,
        num_attention_heads=2,
        intermediate_size=64,
        vocab_size=99,
    )
    plan = partition(config, ipus=2, mode="training", task="fill-mask", sequence_length=16)
    assert plan.training is not None
    homes = {
        s.ipu for s in plan.training.stages for m in s.modules if "albert_layer_groups" in m or m == "albert.encoder"
    }
    assert len(homes) == 1


def test_rotary_decoders_and_mixtures_trace() -> None:
    config = transformers.LlamaConfig(
        num_hidden_layers=4, hidden_size=32, intermediate_size=64, num_attention_heads=2, vocab_size=99
    )
    plan = partition(config, ipus=2, sequence_length=16)
    assert plan.training is not None
    assert plan.audit.unknown == {}
    assert json.loads(plan.to_json())["training"]["solution"]["gap"] == 0.0


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"ipus": 0}, "ipus is 0"),
        ({"ipus": -4}, "ipus is -4"),
        ({"ipus": 65}, "at most 64"),
        ({"ipus": 16, "replicas": 8}, "at most 64"),
        ({"ipus": 16}, "at most 14"),
        ({"mode": "dream"}, "training, inference, both"),
        ({"task": "dream"}, "no task 'dream'"),
        ({"sequence_length": 4096}, "512 positions"),
        ({"optimizer": "adagrad"}, "adamw"),
        ({"precision": "8.8"}, "16.16"),
        ({"machine": "mk9"}, "mk2"),
        ({"planner": "oracle"}, "no planner 'oracle'"),
        ({"target": "moon"}, "optimum, poptorch"),
        ({"matmul_proportion": 0}, "matmul_proportion"),
        ({"matmul_proportion": float("nan")}, "matmul_proportion"),
        ({"gradient_accumulation": 3, "ipus": 4}, "at least 9"),
        ({"config": {"num_layerz": "3"}}, "num_layerz"),
        ({"dream": 1}, "dream"),
        ({"replicas": None}, "replicas is None"),
        ({"mode": ["training"]}, "mode is"),
        ({"planner": None}, "planner is None"),
        ({"planner": "chain{time_limit=-1}"}, "time_limit"),
        ({"planner": "brute", "ipus": 8}, "brute"),
        ({"planner": "uniform{layers=12,0,0,0}", "ipus": 4, "task": "fill-mask"}, "hold no unit"),
        ({"matmul_proportion": "abc"}, "matmul_proportion"),
        ({"config": "n_layer=2"}, "config is"),
        ({"optimizer_state_offchip": "no"}, "optimizer_state_offchip"),
    ],
)
def test_a_wrong_request_is_one_clear_error(keywords: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        partition("bert-base-uncased", **keywords)  # type: ignore[arg-type]
