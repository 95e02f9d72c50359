"""The annotations of a plan, run: right ones pass, and every wrong one is caught and named."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from ipu_partition import UsageError, partition
from ipu_partition.api import plan_requests
from ipu_partition.plan import PartitionPlan
from ipu_partition.reopen import Reopened, reopen
from ipu_partition.request import Request
from ipu_partition.verified_parts import Placed
from ipu_partition.verify.placement import placed
from ipu_partition.verify.poptorch_standin.blocks import BlockHook
from ipu_partition.workload import Mode
from tests.end_to_end.families import FAMILIES, small_options
from tests.plans_edit import edited

TRAINING, INFERENCE = Mode.TRAINING, Mode.INFERENCE


@cache
def plan_of(family: str, target: str = "optimum", **more: Any) -> PartitionPlan:
    return partition(FAMILIES[family], ipus=4, target=target, **{**small_options(family), **more})  # type: ignore[arg-type]


@cache
def again(family: str, target: str = "optimum") -> Reopened:
    """What is traced once for all plans of a model."""
    return reopen(PartitionPlan.from_json(plan_of(family, target).to_json()))


def prove(plan: PartitionPlan, mode: Mode = TRAINING, model: object = None, **given: Any) -> Placed:
    proof = placed(reopen(plan, model, **given), mode)
    assert proof is not None
    return proof


def changed(family: str, mode: Mode, change: Callable[[dict[str, Any]], None], target: str = "optimum") -> Placed:
    """The proof of a plan whose part for `mode` is changed."""
    data = plan_of(family, target).to_dict()
    change(data[mode.value])
    proof = placed(replace(again(family, target), plan=edited(data)), mode)
    assert proof is not None
    return proof


def difference(proof: Placed) -> str:
    assert not proof.passed
    assert proof.difference is not None
    return proof.difference


def block(part: dict[str, Any], module: str) -> dict[str, Any]:
    return next(b for b in part["blocks"] if b["module"] == module)


@pytest.mark.parametrize("target", ["optimum", "poptorch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_op_and_weight_of_a_plan_is_in_its_place(family: str, target: str) -> None:
    for mode in again(family, target).modes:
        proof = placed(again(family, target), mode)
        assert proof is not None
        assert proof.passed, proof.difference
        prepared, stages = again(family, target).prepared(mode), plan_of(family, target).mode(mode.value).stages
        weights = [
            name for name, p in prepared.graph.parameters.items() if not p.buffer and prepared.graph.readers(name)
        ]
        assert proof.ops == proof.matched > len(prepared.graph.units)
        assert (proof.parameters, proof.stages) == (len(weights), len(stages))


def test_the_same_plan_gives_the_same_proof() -> None:
    assert placed(again("gpt2"), TRAINING) == placed(again("gpt2"), TRAINING)


@pytest.mark.parametrize("mode", [TRAINING, INFERENCE])
def test_a_block_on_the_wrong_ipu(mode: Mode) -> None:
    there = block(plan_of("bert").to_dict()[mode.value], "bert.encoder.layer.2")["ipu"]

    def change(part: dict[str, Any]) -> None:
        block(part, "bert.encoder.layer.2")["ipu"] = (there + 1) % 4

    proof = changed("bert", mode, change)
    text = difference(proof)
    assert "in 'bert.encoder.layer.2." in text
    assert f"ran on IPU {(there + 1) % 4}" in text
    assert f"the plan has it on IPU {there}," in text
    assert 0 < proof.matched < proof.ops


@pytest.mark.parametrize("family", ["gpt2", "vit", "wav2vec2"])
def test_a_block_that_is_left_out(family: str) -> None:
    """The first of its IPU: what it holds stays where the block before it is."""
    part = plan_of(family).to_dict()["training"]
    first = next(b for b in part["blocks"] if b["ipu"] == 2)

    def change(part: dict[str, Any]) -> None:
        part["blocks"].remove(first)

    text = difference(changed(family, TRAINING, change))
    assert f"in '{first['module']}" in text
    assert "ran on IPU 1, stage 1, the plan has it on IPU 2, stage 2" in text


def test_the_modules_of_two_blocks_exchanged() -> None:
    def change(part: dict[str, Any]) -> None:
        one, other = block(part, "transformer.h.0"), block(part, "transformer.h.4")
        assert one["ipu"] != other["ipu"]
        one["module"], other["module"] = other["module"], one["module"]

    text = difference(changed("gpt2", TRAINING, change))
    assert "in 'transformer.h.0." in text
    assert "ran on IPU 3" in text


def test_the_ids_of_two_blocks_exchanged() -> None:
    """Of BART, whose two embeddings are one stage by their common id."""

    def change(part: dict[str, Any]) -> None:
        one, other = block(part, "model.decoder.embed_tokens"), block(part, "model.decoder.layers.2")
        one["user_id"], other["user_id"] = other["user_id"], one["user_id"]

    text = difference(changed("bart", TRAINING, change))
    assert "aten.embedding.default in 'model.decoder.embed_tokens' ran on IPU 0, stage 2" in text
    assert "the plan has it on IPU 0, stage 0" in text


def test_a_repeated_id() -> None:
    def change(part: dict[str, Any]) -> None:
        one, other = block(part, "transformer.h.1"), block(part, "transformer.h.4")
        assert one["ipu"] != other["ipu"]
        other["user_id"] = one["user_id"]

    text = difference(changed("gpt2", TRAINING, change))
    assert "in 'transformer.h.4." in text
    assert "ran on IPU 3, stage 1, the plan has it on IPU 3, stage 3" in text
    assert "one-ipu-per-stage" in text


def test_ids_that_are_only_named_otherwise_change_nothing() -> None:
    def change(part: dict[str, Any]) -> None:
        for number, one in enumerate(part["blocks"]):
            one["user_id"] = f"block {number}"

    assert changed("gpt2", TRAINING, change).passed


def test_a_tied_head_on_another_ipu() -> None:
    def change(part: dict[str, Any]) -> None:
        block(part, "lm_head")["ipu"] = 3

    text = difference(changed("gpt2", TRAINING, change))
    assert "in 'lm_head'" in text
    assert "ran on IPU 3" in text
    assert "the plan has it on IPU 0" in text
    assert "weight-on-two-ipus" in text


def test_a_weight_that_is_no_longer_copied() -> None:
    def change(part: dict[str, Any]) -> None:
        part["adapters"] = [a for a in part["adapters"] if a["kind"] != "weight-as-activation"]

    proof = changed("deberta", TRAINING, change)
    assert "the parameter 'deberta.encoder.rel_embeddings.weight' is read on IPUs" in difference(proof)
    assert proof.matched == proof.ops
    assert proof.parameters == changed("deberta", TRAINING, lambda part: None).parameters - 1


def test_embeddings_that_are_no_longer_first() -> None:
    def change(part: dict[str, Any]) -> None:
        part["adapters"] = [a for a in part["adapters"] if a["kind"] != "embeds-first"]

    text = difference(changed("t5", TRAINING, change))
    assert "aten.embedding.default in 'decoder.embed_tokens' did not run when the plan has it, on IPU 0" in text


def test_a_boundary_that_the_blocks_do_not_say() -> None:
    def change(part: dict[str, Any]) -> None:
        one, other = part["stages"][1:3]
        for name in ("units", "modules"):
            one[name].append(other[name].pop(0))

    text = difference(changed("bert", TRAINING, change))
    assert "ran on IPU 2, stage 2, the plan has it on IPU 1, stage 1" in text


@pytest.mark.parametrize("what", ["units", "modules"])
def test_stages_of_another_graph(what: str) -> None:
    def change(part: dict[str, Any]) -> None:
        part["stages"][1][what].pop()

    assert "Make the plan again" in difference(changed("bert", TRAINING, change))


def test_a_block_at_a_module_that_is_not_there() -> None:
    def change(part: dict[str, Any]) -> None:
        block(part, "transformer.h.2")["module"] = "transformer.h.7"

    text = difference(changed("gpt2", TRAINING, change))
    assert "parallelize.py cannot be run on gpt2" in text
    assert "'transformer.h.7'" in text


def test_a_block_that_never_begins() -> None:
    """In a module that the forward pass does not call, so that all ops are in their place."""

    class Idle(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Linear(8, 8)

    data = partition(Idle(), ipus=2, example_inputs=(IDS,), mode="inference").to_dict()
    data["inference"]["blocks"].append({"module": "idle", "ipu": 0, "user_id": "late"})
    proof = prove(edited(data), INFERENCE, Idle())
    assert difference(proof) == "the block 'late' at 'idle' never begins"
    assert proof.matched == proof.ops


class Plain(nn.Module):
    """With a tensor that is no buffer, one that is, and a weight read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(5)) for _ in range(4))
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.scale = torch.tensor(2.0)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        value = self.embed(ids) * self.scale
        for layer in self.layers:
            value = layer(value).relu()
        head: torch.Tensor = self.head(value)
        return head


def mean(output: torch.Tensor) -> torch.Tensor:
    return output.mean()


IDS = torch.zeros(2, 5, dtype=torch.long)


def test_a_module_of_the_user_is_left_as_it_was() -> None:
    model = Plain()
    plan = partition(model, ipus=3, example_inputs=(IDS,), loss=mean)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for mode in Mode:
        proof = prove(plan, mode, model, loss=mean)
        assert proof.passed, proof.difference
        assert proof.stages == len(plan.mode(mode.value).stages) > 3
    assert model.training
    assert not [h for m in model.modules() for h in m._forward_pre_hooks.values() if isinstance(h, BlockHook)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(type(p) is nn.Parameter and p.device.type == "cpu" for p in model.parameters())


def test_ops_of_a_hook_are_in_the_block_before() -> None:
    """PopTorch begins a block in a hook that is registered last, so what earlier hooks compute is not in it."""

    def half(_: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (args[0] * 0.5,)

    model = Plain()
    for layer in model.layers:
        layer.register_forward_pre_hook(half)
    plan = partition(model, ipus=4, example_inputs=(IDS,), loss=mean)
    assert "aten.mul.Tensor" in difference(prove(plan, TRAINING, model, loss=mean))


def test_a_plan_that_was_checked_and_one_that_does_not_fit() -> None:
    from ipu_partition import check

    config = {"layers_per_ipu": [5, 0, 0, 0], "ipus_per_replica": 4, "gradient_accumulation_steps": 512}
    checked = check(FAMILIES["bert"], config, **{**small_options("bert"), "mode": "training"})  # type: ignore[arg-type]
    large = plan_requests("gpt2", {TRAINING: Request(ipus=2, micro_batch_size=8)}, suggests=False)
    assert not large.fits
    for plan in (checked, large):
        proof = prove(plan)
        assert proof.passed, proof.difference


def test_a_plan_without_blocks_proves_nothing_here() -> None:
    data = plan_of("vit").to_dict()
    data["training"]["blocks"] = []
    assert placed(replace(again("vit"), plan=edited(data)), TRAINING) is None


def test_a_table_that_only_the_optimum_class_cuts() -> None:
    plan = partition(
        "google/mt5-small",
        ipus=4,
        mode="inference",
        serialized_embedding_splits_per_ipu=(2, 2, 0, 0),
        sequence_length=16,
        target_length=8,
    )
    said: list[str] = []
    assert placed(reopen(plan), INFERENCE, said.append) is None
    assert "leaves to the optimum class" in said[-1]


@pytest.mark.parametrize("module", ["transformer.h.2", "nowhere"])
def test_the_process_is_left_as_it_was(module: str) -> None:
    def change(part: dict[str, Any]) -> None:
        block(part, "transformer.h.2")["module"] = module

    before = set(sys.modules)
    flags = torch.compiler.is_compiling(), torch.compiler.is_exporting(), torch.is_grad_enabled()
    changed("gpt2", INFERENCE, change)
    assert not {name for name in set(sys.modules) - before if name.startswith(("poptorch", "popart"))}
    assert (torch.compiler.is_compiling(), torch.compiler.is_exporting(), torch.is_grad_enabled()) == flags


def test_where_the_real_poptorch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "poptorch", types.ModuleType("poptorch"))
    with pytest.raises(UsageError, match="process of its own"):
        placed(again("gpt2"), INFERENCE)
    assert not hasattr(sys.modules["poptorch"], "BeginBlock")


def test_other_layers_per_ipu_than_the_stages_have() -> None:
    def move(part: dict[str, Any]) -> None:
        part["layers_per_ipu"] = [4, 1, 0, 0]

    assert "layers_per_ipu is [4, 1, 0, 0], the stages of the plan have" in difference(changed("gpt2", TRAINING, move))
