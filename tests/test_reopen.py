"""A plan read from a file, and the model, the requests and the traces it came from."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, GPT2Config, GPT2LMHeadModel

from ipu_partition import UsageError, partition
from ipu_partition.api import plan_requests
from ipu_partition.asked import request_of
from ipu_partition.models import resolve
from ipu_partition.plan import PartitionPlan
from ipu_partition.reopen import Reopened, reopen
from ipu_partition.request import Request
from ipu_partition.solve import solve
from ipu_partition.workload import DTYPE_BYTES, OPTIMIZERS, PRECISIONS, Mode, OptimizerDtypes, Target
from tests.end_to_end.families import FAMILIES, small_options
from tests.plans_edit import edited

SMALL_GPT2 = {"vocab_size": 120, "n_embd": 32, "n_head": 2, "n_layer": 5, "bos_token_id": 0, "eos_token_id": 0}


@cache
def plan_of(family: str, **options: Any) -> PartitionPlan:
    return partition(FAMILIES[family], ipus=4, **{**small_options(family), **options})  # type: ignore[arg-type]


def again(plan: PartitionPlan, model: object = None, **given: Any) -> Reopened:
    return reopen(PartitionPlan.from_json(plan.to_json()), model, **given)


def data_of(plan: PartitionPlan) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(plan.to_json())
    return data


@pytest.mark.parametrize("family", ["gpt2", "bart", "vit", "hubert"])
def test_a_plan_is_made_again_from_its_document(family: str) -> None:
    """Same requests, same units, same stages."""
    plan = plan_of(family)
    reopened = again(plan)
    assert reopened.modes == tuple(Mode(name) for name in plan.modes())
    assert plan_requests(FAMILIES[family], reopened.requests).to_json() == plan.to_json()
    for mode in reopened.modes:
        prepared, stages = reopened.prepared(mode), plan.mode(mode.value).stages
        assert prepared is reopened.prepared(mode)
        assert prepared.structure == plan.model.fingerprint
        homes = reopened.assignment(mode, prepared)
        assert homes == tuple(stage.ipu for stage in stages for _ in stage.units)
        assert len(homes) == len(prepared.graph.units)


def test_the_workload_is_that_of_the_document() -> None:
    plan = plan_of(
        "gpt2",
        mode="training",
        micro_batch_size=3,
        replicas=2,
        gradient_accumulation=40,
        optimizer="lamb",
        precision="16.32",
        accum_type="fp32",
        optimizer_state_offchip=True,
        matmul_proportion=(0.1, 0.2, 0.3, 0.4),
        embedding_serialization_factor=2,
        outlining=False,
    )
    work = again(plan).workload(Mode.TRAINING)
    assert (work.ipus, work.micro_batch_size, work.replicas, work.gradient_accumulation) == (4, 3, 2, 40)
    assert (work.optimizer, work.precision) == (OPTIMIZERS["lamb"], PRECISIONS["16.32"])
    assert (work.dtypes, work.state_bytes) == (OptimizerDtypes(4, 2, 4), 6)
    assert work.proportions == (0.1, 0.2, 0.3, 0.4)
    assert work.serialisation.embedding == 2
    assert (work.optimizer_state_offchip, work.outlined, work.target) == (True, False, Target.OPTIMUM)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("types", [("fp16",) * 3, ("fp16", "fp32", "fp16"), ("fp32",) * 3])
def test_bytes_of_the_optimizer_are_found_again(optimizer: str, precision: str, types: tuple[str, ...]) -> None:
    """A plan holds what they take; a request says types."""
    names = ("accum_type", "first_order_momentum_accum_type", "second_order_momentum_accum_type")
    plan = plan_of("gpt2", mode="training")
    wanted = Request(optimizer=optimizer, precision=precision, **dict(zip(names, types, strict=True)))  # type: ignore[arg-type]
    data = data_of(plan)
    data["training"]["workload"] |= {
        "optimizer": optimizer,
        "precision": precision,
        "accumulator_bytes": wanted.dtypes.accumulator_bytes,
        "optimizer_state_bytes": wanted.dtypes.state_bytes(wanted.optimizer_kind),
    }
    changed = edited(data)
    request = request_of(changed, changed.mode("training"))
    assert request.accum_type == types[0]
    assert request.dtypes.state_bytes(request.optimizer_kind) == wanted.dtypes.state_bytes(wanted.optimizer_kind)
    assert {request.first_order_momentum_accum_type, request.second_order_momentum_accum_type} <= set(DTYPE_BYTES)


def test_modes_of_different_micro_batches() -> None:
    small: dict[str, Any] = {**small_options("bert"), "ipus": 2}
    requests = {
        Mode.TRAINING: Request(**small, micro_batch_size=2),
        Mode.INFERENCE: Request(**small, micro_batch_size=5),
    }
    reopened = again(plan_requests(FAMILIES["bert"], requests))
    for mode, size in {Mode.TRAINING: 2, Mode.INFERENCE: 5}.items():
        assert reopened.workload(mode).micro_batch_size == size
        assert reopened.prepared(mode).shapes["micro_batch_size"] == size


def test_demands_are_those_of_the_plan() -> None:
    asked: dict[str, Any] = {"layers": (1, -1, 1, 1), "pins": {"lm_head": 0}, "prefer": "memory"}
    plan = partition("gpt2", ipus=4, mode="inference", **small_options("gpt2"), **asked)  # type: ignore[arg-type]
    request = again(plan).requests[Mode.INFERENCE]
    assert (request.layers, request.pins, request.prefer) == ([1, -1, 1, 1], {"lm_head": 0}, "memory")
    assert (request.planner, request.idle) == ("chain", False)


def test_a_planner_that_is_not_installed_here_is_not_needed() -> None:
    data = data_of(plan_of("gpt2", mode="inference"))
    data["overrides"]["planner"] = "elsewhere{time_limit=3}"
    assert reopen(edited(data)).requests[Mode.INFERENCE].planner == "chain"


def test_a_configuration_that_was_checked() -> None:
    from ipu_partition import check

    config = {"layers_per_ipu": [5, 0, 0, 0], "ipus_per_replica": 4, "gradient_accumulation_steps": 512}
    plan = check(FAMILIES["bert"], config, **{**small_options("bert"), "mode": "training"})  # type: ignore[arg-type]
    reopened = again(plan)
    prepared = reopened.prepared(Mode.TRAINING)
    assert set(reopened.assignment(Mode.TRAINING, prepared)) == {0}
    from ipu_partition.machine import machine

    solved = solve(prepared, reopened.requests[Mode.TRAINING], machine("mk2"), reopened.target)
    assert solved.assignment == reopened.assignment(Mode.TRAINING, prepared)


def test_a_table_in_pieces_has_the_units_of_the_host() -> None:
    plan = partition(
        "google/mt5-small", ipus=4, mode="inference", sequence_length=16, target_length=8,
        serialized_embedding_splits_per_ipu=(2, 2, 0, 0),
    )  # fmt: skip
    reopened = again(plan)
    assert reopened.workload(Mode.INFERENCE).serialisation.embedding_splits == (2, 2, 0, 0)
    prepared = reopened.prepared(Mode.INFERENCE)
    assert len(reopened.assignment(Mode.INFERENCE, prepared)) > len(prepared.graph.units)


def test_a_folder_is_given_again(tmp_path: Path) -> None:
    GPT2Config(**SMALL_GPT2).save_pretrained(tmp_path)
    plan = partition(tmp_path, ipus=2, mode="inference", sequence_length=16)
    with pytest.raises(UsageError, match="read from a folder, which the document does not hold"):
        again(plan)
    reopened = again(plan, tmp_path)
    assert reopened.assignment(Mode.INFERENCE, reopened.prepared(Mode.INFERENCE))


def test_a_configuration_object_is_given_again() -> None:
    config = GPT2Config(**SMALL_GPT2)
    plan = partition(config, ipus=2, mode="inference", sequence_length=16, config={"n_layer": 3})
    reopened = again(plan, config)
    assert len(reopened.assignment(Mode.INFERENCE, reopened.prepared(Mode.INFERENCE))) == len(
        [unit for stage in plan.mode("inference").stages for unit in stage.units]
    )


def test_a_built_model_stands_for_its_name() -> None:
    plan = plan_of("gpt2", mode="inference")
    model = GPT2LMHeadModel(GPT2Config(**SMALL_GPT2))
    reopened = again(plan, model)
    assert reopened.prepared(Mode.INFERENCE).structure == plan.model.fingerprint
    assert reopened.spec.module is model


def test_the_image_size_of_the_plan_is_in_the_configuration() -> None:
    assert again(plan_of("vit")).spec.config.image_size == 32


def test_another_model_is_refused() -> None:
    plan = plan_of("gpt2", mode="inference")
    with pytest.raises(UsageError, match="BertConfig"):
        again(plan, BertConfig())
    with pytest.raises(UsageError, match=f"have the structure .* {plan.model.fingerprint}"):
        again(plan, GPT2LMHeadModel(GPT2Config(**{**SMALL_GPT2, "n_layer": 4}))).prepared(Mode.INFERENCE)


def test_stages_of_another_graph_are_refused() -> None:
    plan = plan_of("gpt2", mode="inference")
    reopened = again(plan)
    prepared = reopened.prepared(Mode.INFERENCE)
    short, renamed = data_of(plan), data_of(plan)
    short["inference"]["stages"][-1]["units"].pop()
    renamed["inference"]["stages"][1]["modules"][0] = "elsewhere"
    with pytest.raises(UsageError, match=f"have 7 units .* expected the {len(prepared.graph.units)}"):
        replace(reopened, plan=edited(short)).assignment(Mode.INFERENCE, prepared)
    with pytest.raises(UsageError, match="Stage 1 of inference runs 'elsewhere'"):
        replace(reopened, plan=edited(renamed)).assignment(Mode.INFERENCE, prepared)


def test_a_mode_that_is_not_placed() -> None:
    plan = plan_of("gpt2", mode="inference")
    with pytest.raises(UsageError, match="places nothing in training, only in inference"):
        again(plan).workload(Mode.TRAINING)
    data = data_of(plan)
    data["inference"]["stages"] = []
    with pytest.raises(UsageError, match="places nothing"):
        reopen(edited(data))


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

    def forward(self, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            value = layer(value) * mask
        return value


def mean(output: torch.Tensor) -> torch.Tensor:
    return output.mean()


def test_a_module_needs_no_inputs_but_its_loss() -> None:
    inputs = {"value": torch.ones(2, 3, 8), "mask": torch.ones(2, 1, 1, dtype=torch.bool)}
    plan = partition(Plain(), ipus=2, example_inputs=inputs, loss=mean)
    with pytest.raises(UsageError, match="read from a module"):
        again(plan)
    reopened = again(plan, Plain(), loss=mean)
    described = {n: (t.shape, t.dtype) for n, t in (reopened.spec.example_inputs or {}).items()}
    assert described == {name: (tensor.shape, tensor.dtype) for name, tensor in inputs.items()}
    for mode in Mode:
        assert len(reopened.assignment(mode, reopened.prepared(mode))) == len(reopened.prepared(mode).graph.units)
    without = again(plan, Plain())
    assert without.prepared(Mode.INFERENCE)
    with pytest.raises(UsageError, match="nothing here gives a loss"):
        without.prepared(Mode.TRAINING)


class Other(Plain):
    """The same parameters."""


def test_another_class_is_refused() -> None:
    inputs = {"value": torch.ones(2, 8), "mask": torch.ones(2, 8)}
    plan = partition(Plain(), ipus=2, mode="inference", example_inputs=inputs)
    with pytest.raises(UsageError, match="The model is of the class Other, the plan is of 'Plain', a Plain"):
        again(plan, Other())


def test_inputs_of_another_size_are_refused() -> None:
    inputs = {"value": torch.ones(2, 3, 8), "mask": torch.ones(2, 1, 1, dtype=torch.bool)}
    plan = partition(Plain(), ipus=2, mode="inference", example_inputs=inputs)
    other = {**inputs, "value": torch.ones(2, 4, 8)}
    with pytest.raises(UsageError, match=r"has example_inputs .* the plan was made for"):
        again(plan, Plain(), example_inputs=other).prepared(Mode.INFERENCE)


@pytest.mark.parametrize("text", ["float32", "float32[2, x]", "nothing[2]", "nn[1]", "float32[-1]"])
def test_inputs_that_mean_nothing(text: str) -> None:
    inputs = {"value": torch.ones(2, 8), "mask": torch.ones(2, 8)}
    plan = partition(Plain(), ipus=2, mode="inference", example_inputs=inputs)
    data = data_of(plan)
    data["model"]["shapes"]["example_inputs"]["value"] = text
    with pytest.raises(UsageError, match="describes the input 'value' as"):
        reopen(edited(data), Plain())


def test_a_spec_and_a_model_of_it_are_traced_anew() -> None:
    reopened = again(plan_of("gpt2", mode="inference"))
    smaller = resolve("gpt2", config={**small_options("gpt2")["config"], "n_layer": 3})  # type: ignore[dict-item]
    made = reopened.prepared(Mode.INFERENCE, spec=smaller)
    assert made.structure != reopened.plan.model.fingerprint
    whole = reopened.prepared(Mode.INFERENCE)
    built = reopened.prepared(Mode.INFERENCE, model=GPT2LMHeadModel(reopened.spec.config))
    assert built is not whole is reopened.prepared(Mode.INFERENCE)
    assert [unit.name for unit in built.graph.units] == [unit.name for unit in whole.graph.units]
