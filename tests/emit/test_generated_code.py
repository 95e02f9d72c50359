"""What the generated parallelize.py does to a model, run against the stand-in."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from ipu_partition.plan import PartitionPlan

Make = Callable[..., PartitionPlan]
Generated = Callable[[PartitionPlan], Any]
IDS = torch.tensor([[1, 2, 3]])


def hooks(model: torch.nn.Module) -> list[tuple[int, int, bool]]:
    """All that a cut may leave on a model."""
    return [(len(m._forward_pre_hooks), len(m._forward_hooks), "get_rel_embedding" in vars(m)) for m in model.modules()]


def test_blocks_begin_where_the_plan_says(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, standin: ModuleType
) -> None:
    plan = tiny_plan()
    module = generated(plan)
    assert module.parallelize(tiny) is tiny
    with standin.recording(tiny) as record:
        tiny(IDS)
    assert [(b.user_id, b.ipu) for b in record.begins] == [(b.user_id, b.ipu) for b in plan.blocks("training")]
    assert [b.stage for b in record.begins] == list(range(1, 8))
    places = {call.module: call.ipu for call in record.calls}
    assert [places[f"encoder.layer.{i}.dense"] for i in range(4)] == [0, 0, 1, 1]
    assert places["head"] == 0


def test_a_cut_compiles_and_changes_no_number(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, standin: ModuleType
) -> None:
    expected = tiny(IDS)
    module = generated(tiny_plan())
    module.parallelize(tiny)
    with standin.recording(tiny) as record:
        assert torch.equal(tiny(IDS), expected)
    assert standin.violations(record, module.options(True), training=True) == []
    assert record.parameter_ipus()["encoder.relative.weight"] == (0,)
    assert record.parameter_ipus()["embed.weight"] == (0,)


def test_without_the_adapter_the_weight_is_read_on_two_ipus(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, standin: ModuleType
) -> None:
    module = generated(tiny_plan(adapters=[]))
    module.parallelize(tiny)
    with standin.recording(tiny) as record:
        tiny(IDS)
    found = standin.violations(record, module.options(True), training=True)
    assert [v.rule for v in found] == ["weight-on-two-ipus"]
    assert "encoder.relative.weight" in found[0].text


def test_one_module_under_two_paths_begins_one_block(
    generated: Generated, tiny_plan: Make, tiny: Any, plans: ModuleType, standin: ModuleType
) -> None:
    tiny.also_embed = tiny.embed
    blocks = [plans.block("embed", 0, "same"), plans.block("also_embed", 0, "same"), plans.block("head", 1)]
    generated(tiny_plan(blocks)).parallelize(tiny)
    with standin.recording(tiny) as record:
        tiny(IDS)
    assert [b.user_id for b in record.begins] == ["same", "head"]


def test_one_module_in_two_different_blocks_is_refused(
    generated: Generated, tiny_plan: Make, tiny: Any, plans: ModuleType
) -> None:
    tiny.also_embed = tiny.embed
    module = generated(tiny_plan([plans.block("embed", 0, "one"), plans.block("also_embed", 0, "two")]))
    before = hooks(tiny)
    with pytest.raises(module.PlanMismatchError, match="'one' and block 'two' share"):
        module.parallelize(tiny)
    assert hooks(tiny) == before


def test_an_adapter_leaves_none_alone(generated: Generated, tiny_plan: Make, tiny: Any) -> None:
    tiny.encoder.__class__ = type("Plain", (type(tiny.encoder),), {"get_rel_embedding": lambda self: None})
    generated(tiny_plan()).parallelize(tiny)
    assert tiny.encoder.get_rel_embedding() is None


def test_training_checkpoints_layer_outputs_and_inference_does_not(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, standin: ModuleType
) -> None:
    module = generated(tiny_plan())
    module.parallelize(tiny)
    with standin.recording(tiny) as record:
        tiny(IDS)
    assert record.checkpoints == [f"encoder.layer.{i}" for i in range(4)]
    module.parallelize(module.deparallelize(tiny).eval())
    with standin.recording(tiny) as record:
        tiny(IDS)
    assert record.checkpoints == []
    assert len(record.begins) == 7


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_checkpoint_keeps_the_container(generated: Generated, tiny_plan: Make, kind: type) -> None:
    checkpoint = generated(tiny_plan())._checkpoint
    one = torch.ones(2)
    out = checkpoint(None, (), kind([one, None, (one, "x")]))
    assert type(out) is kind
    assert out[0] is one
    assert out[1] is None
    assert out[2] == (one, "x")
    assert checkpoint(None, (), None) is None


def test_a_missing_module_is_one_error_and_nothing_changes(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module
) -> None:
    del tiny.encoder.layer[3]  # type: ignore[union-attr, operator]
    before = hooks(tiny)
    module = generated(tiny_plan())
    with pytest.raises(module.PlanMismatchError) as error:
        module.parallelize(tiny)
    assert "'layers.3' or 'encoder.layer.3'" in str(error.value)
    assert "transformers 5.23.0" in str(error.value)
    assert hooks(tiny) == before


def test_a_list_of_modules_cannot_begin_a_block(generated: Generated, tiny_plan: Make, tiny: torch.nn.Module) -> None:
    module = generated(tiny_plan(checkpoints=[{"module": "encoder.layer"}]))
    with pytest.raises(module.PlanMismatchError, match=r"'encoder\.layer'"):
        module.parallelize(tiny)


def test_a_missing_method_is_named(generated: Generated, tiny_plan: Make, tiny: torch.nn.Module) -> None:
    adapter = {"kind": "weight-as-activation", "module": "head", "method": "get_rel_embedding"}
    module = generated(tiny_plan(adapters=[adapter]))
    with pytest.raises(module.PlanMismatchError, match="method 'get_rel_embedding' at 'head'"):
        module.parallelize(tiny)


def test_a_module_already_in_a_block_is_poptorchs_error_and_is_undone(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, standin: ModuleType
) -> None:
    standin.BeginBlock(tiny.encoder.layer[0].dense, "mine", 0)  # type: ignore[union-attr, index, arg-type]
    standin.BeginBlock(tiny.head, "mine too", 0)
    before = hooks(tiny)
    with pytest.raises(standin.Error, match="already been assigned"):
        generated(tiny_plan()).parallelize(tiny)
    assert hooks(tiny) == before


def test_deparallelize_restores_the_model(generated: Generated, tiny_plan: Make, tiny: torch.nn.Module) -> None:
    before = hooks(tiny)
    module = generated(tiny_plan())
    module.deparallelize(module.parallelize(tiny))
    assert hooks(tiny) == before


def test_a_copy_of_a_cut_model_uses_its_own_weights(generated: Generated, tiny_plan: Make, tiny: Any) -> None:
    generated(tiny_plan()).parallelize(tiny)
    clone = copy.deepcopy(tiny)
    with torch.no_grad():
        clone.encoder.relative.weight.fill_(2.0)
    assert clone.encoder.get_rel_embedding().eq(2.0).all()
    assert not tiny.encoder.get_rel_embedding().eq(2.0).any()


def test_a_mode_that_was_not_planned_is_an_error(
    generated: Generated, plans: ModuleType, tiny: torch.nn.Module
) -> None:
    module = generated(plans.inference_only())
    with pytest.raises(module.PlanMismatchError, match="no training part"):
        module.parallelize(tiny)
    with pytest.raises(module.PlanMismatchError, match="no training part"):
        module.options(training=True)
    other = generated(plans.bart())
    with pytest.raises(other.PlanMismatchError, match="no inference part"):
        other.options(training=False)


def test_training_options(generated: Generated, plans: ModuleType, standin: ModuleType) -> None:
    options = generated(plans.gpt2_medium()).options(True)
    assert type(options.strategy) is standin.PipelinedExecution
    assert options.strategy.auto_stage is standin.AutoStage.AutoIncrement
    assert options.gradient_accumulation == 256
    assert options.replication_factor == 2
    assert options.get("autoRoundNumIPUs", None) is True
    assert options.get("setAvailableMemoryProportion", None) == {0: 0.1, **dict.fromkeys(range(1, 8), 0.2)}
    assert options.Precision.get("setPartialsType", None) is torch.half
    place = options.TensorLocations.get("setOptimizerLocation", None)
    assert place.settings == {"useOnChipStorage": False, "useReplicatedTensorSharding": False}


@pytest.mark.parametrize(("replicas", "sharded"), [(1, False), (2, True)])
def test_optimizer_state_is_sharded_over_replicas_where_there_are_some(
    generated: Generated, plans: ModuleType, replicas: int, sharded: bool
) -> None:
    data = plans.bart().to_dict()
    data["training"]["workload"] |= {"replicas": replicas, "replicated_tensor_sharding": True}
    options = generated(PartitionPlan.from_dict(data)).options(True)
    place = options.TensorLocations.get("setOptimizerLocation", None)
    assert place.settings == {"useOnChipStorage": True, "useReplicatedTensorSharding": sharded}


def test_inference_options(generated: Generated, plans: ModuleType, standin: ModuleType) -> None:
    sharded = generated(plans.gpt2_medium()).options(training=False)
    assert type(sharded.strategy) is standin.ShardedExecution
    assert sharded.device_iterations == 1
    assert sharded.gradient_accumulation == 1
    pipelined = generated(plans.deberta()).options(training=False)
    assert type(pipelined.strategy) is standin.PipelinedExecution
    assert pipelined.device_iterations == 4


def test_a_block_id_repeats_only_where_the_plan_repeats_it(generated: Generated, plans: ModuleType) -> None:
    plan = plans.bart()
    ids = [user_id for _, user_id, _ in generated(plan).TRAINING["blocks"]]
    assert ids == [block.user_id for block in plan.blocks("training")]
    assert ids.count("Embedding") == 2
    assert len(set(ids)) == len(ids) - 1
