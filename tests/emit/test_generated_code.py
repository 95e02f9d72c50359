"""What the generated parallelize.py does to a model, run against the stand-in."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from ipu_partition.plan import PartitionPlan
from tests.plans_edit import edited

from .conftest import Tiny

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


def test_blocks_of_others_are_refused(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, standin: ModuleType
) -> None:
    """Wherever they begin: what runs after them would be where they say."""
    standin.BeginBlock(tiny.encoder.layer[0].dense, "mine", 0)  # type: ignore[union-attr, index, arg-type]
    before = hooks(tiny)
    module = generated(tiny_plan())
    with pytest.raises(
        module.PlanMismatchError, match=r"'encoder\.layer\.0\.dense' of this Tiny begins a block already"
    ):
        module.parallelize(tiny)
    assert hooks(tiny) == before
    standin.removeBlocks(tiny)
    assert module.parallelize(tiny) is tiny


def test_deparallelize_restores_the_model(generated: Generated, tiny_plan: Make, tiny: torch.nn.Module) -> None:
    before = hooks(tiny)
    module = generated(tiny_plan())
    module.deparallelize(module.parallelize(tiny))
    assert hooks(tiny) == before


def test_deparallelize_leaves_what_others_put_there(generated: Generated, tiny_plan: Make, tiny: Any) -> None:
    tiny.embed.register_forward_pre_hook(lambda module, args: None)
    tiny.encoder.layer[0].register_forward_hook(lambda module, args, output: None)
    before, keys = hooks(tiny), set(vars(tiny))
    module = generated(tiny_plan())
    module.parallelize(tiny)
    assert module.is_cut(tiny)
    assert hooks(module.deparallelize(tiny)) == before
    assert set(vars(tiny)) == keys
    assert not module.is_cut(tiny)
    assert hooks(module.deparallelize(tiny)) == before


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: m])
def test_a_model_that_is_cut_is_refused_and_its_copies_too(
    generated: Generated, tiny_plan: Make, tiny: torch.nn.Module, copied: Callable[..., Any]
) -> None:
    uncut = hooks(tiny)
    module = generated(tiny_plan())
    sys.modules[module.__name__] = module  # for pickle
    model = copied(module.parallelize(tiny))
    before = hooks(model)
    with pytest.raises(module.PlanMismatchError, match=r"This Tiny is cut already.*Call deparallelize\(model\) first"):
        module.parallelize(model)
    assert hooks(model) == before != uncut
    assert hooks(module.deparallelize(model)) == uncut
    module.parallelize(model)
    assert hooks(model) == before
    del sys.modules[module.__name__]


def test_undoing_a_copy_leaves_the_model_cut(generated: Generated, tiny_plan: Make, tiny: torch.nn.Module) -> None:
    module = generated(tiny_plan())
    before = hooks(module.parallelize(tiny))
    module.deparallelize(copy.deepcopy(tiny))
    assert module.is_cut(tiny)
    assert hooks(tiny) == before


def test_a_model_with_a_part_that_is_cut_is_refused(generated: Generated, tiny_plan: Make, plans: ModuleType) -> None:
    whole = torch.nn.Sequential(Tiny())
    module = generated(tiny_plan())
    module.parallelize(whole[0])
    with pytest.raises(module.PlanMismatchError, match="The part '0' of this model is cut already"):
        module.parallelize(whole)


def sized(plans: ModuleType) -> list[dict[str, Any]]:
    """Blocks of Tiny with what tells it from other models."""
    rows = {"parameters": 20, "rows": [4]}
    layers = [{**plans.block(f"encoder.layer.{i}", i // 2), **rows} for i in range(4)]
    return [{**plans.block("embed", 0), "parameters": 28}, *layers, {**plans.block("head", 0), "parameters": 28}]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"layers": 5}, "'encoder.layer' has 5 items, expected 4"),
        ({"layers": 3}, "'encoder.layer' has 3 items, expected 4"),
        ({"width": 5}, "'embed' has 35 parameters, expected 28"),
    ],
)
def test_a_model_of_other_sizes_is_refused(
    generated: Generated, tiny_plan: Make, plans: ModuleType, model: dict[str, int], message: str
) -> None:
    other = Tiny(**model)
    before = hooks(other)
    module = generated(tiny_plan(sized(plans)))
    with pytest.raises(module.PlanMismatchError, match=f"not the model the plan was made for: {message}"):
        module.parallelize(other)
    assert hooks(other) == before
    assert module.parallelize(Tiny().half())


def test_sizes_of_a_path_of_another_version_are_those_of_its_lists(
    generated: Generated, tiny_plan: Make, plans: ModuleType, tiny: Any
) -> None:
    blocks = sized(plans)
    blocks[1] |= {"module": "layers.0", "alternatives": ["encoder.layer.0"]}
    module = generated(tiny_plan(blocks))
    assert module.parallelize(tiny)
    with pytest.raises(module.PlanMismatchError, match=r"'encoder\.layer' has 6 items"):
        module.parallelize(Tiny(layers=6))


class Config:
    def __init__(self) -> None:
        self.layerdrop, self.other = 0.5, 7


class Dropping(torch.nn.Module):
    """Skips its layer at random; the share is its configuration's, and a copy of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.layerdrop = Config(), 1
        self.layer = torch.nn.Linear(2, 2)


def test_a_number_is_set_wherever_it_is_and_put_back(generated: Generated, tiny_plan: Make, tiny: Any) -> None:
    tiny.drop, tiny.config = Dropping(), Config()
    tiny.encoder.layerdrop = torch.nn.Identity()  # no number
    tiny.encoder.layer[0].register_buffer("layerdrop", torch.ones(1))
    adapter = {"kind": "set-attribute", "module": "", "name": "layerdrop", "value": 0.0}
    module = generated(tiny_plan(adapters=[adapter]))
    clone = copy.deepcopy(module.parallelize(tiny))
    for model in (tiny, clone):
        assert (model.config.layerdrop, model.drop.config.layerdrop, model.drop.layerdrop) == (0.0, 0.0, 0.0)
        assert model.config.other == 7
        module.deparallelize(model)
        assert (model.config.layerdrop, model.drop.config.layerdrop, model.drop.layerdrop) == (0.5, 0.5, 1)
        assert isinstance(model.encoder.layerdrop, torch.nn.Identity)


def test_a_product_in_pieces(generated: Generated, tiny_plan: Make, tiny: Any, monkeypatch: Any, standin: Any) -> None:
    factors = []
    serialised = standin.serializedMatMul
    monkeypatch.setattr(standin, "serializedMatMul", lambda *a: factors.append(a[2:]) or serialised(*a))
    tiny.head = torch.nn.Linear(4, 6)
    expected = tiny(IDS)
    module = generated(tiny_plan(adapters=[{"kind": "serialised-linear", "module": "head", "value": 3}]))
    module.parallelize(tiny)
    assert torch.allclose(tiny(IDS), expected)
    assert factors == [(standin.MatMulSerializationMode.OutputChannels, 3)]
    module.deparallelize(tiny)
    tiny(IDS)
    assert len(factors) == 1


@pytest.mark.parametrize("name", ["head", "embed", "encoder.layer.0"])
def test_a_product_that_cannot_be_made_in_pieces(generated: Generated, tiny_plan: Make, tiny: Any, name: str) -> None:
    before = hooks(tiny)
    module = generated(tiny_plan(adapters=[{"kind": "serialised-linear", "module": name, "value": 3}]))
    with pytest.raises(module.PlanMismatchError, match=r"in 3 pieces.*Linear whose output channels they divide"):
        module.parallelize(tiny)
    assert hooks(tiny) == before


class XSoftmax(torch.autograd.Function):
    """As in transformers 4.29."""

    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, mask: torch.Tensor, dim: int) -> torch.Tensor:
        outside = ~mask.bool()
        found = torch.softmax(scores.masked_fill(outside, torch.finfo(scores.dtype).min), dim)
        return found.masked_fill_(outside, 0)


class Attention(torch.nn.Module):
    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, scores: torch.Tensor, *, mask: torch.Tensor | None = None) -> Any:
        if torch.isinf(scores).any() or torch.isnan(scores).any():
            raise AssertionError("checked")
        return XSoftmax.apply(scores * self.scale, mask, -1)


class Other(Attention):
    """Of another class, so it stays as it is."""


@pytest.fixture
def attending(tiny: Any) -> Any:
    tiny.attention, tiny.other = Attention(), Other()
    return tiny


def static(name: str, function: str) -> dict[str, Any]:
    where = {"module": "", "class_name": "Attention", "method": "forward"}
    return {"kind": "static-function", **where, "name": name, "value": function}


def test_a_function_that_cannot_be_compiled_gives_way(generated: Generated, tiny_plan: Make, attending: Any) -> None:
    scores, mask = torch.randn(2, 5), torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]])
    expected = attending.attention(scores, mask=mask)
    module = generated(tiny_plan(adapters=[static("XSoftmax", "masked-softmax")]))
    module.parallelize(attending)
    clone = copy.deepcopy(attending)
    clone.attention.scale = 1.0
    calls: list[int] = []
    apply, XSoftmax.apply = XSoftmax.apply, lambda *a: calls.append(1) or apply(*a)  # type: ignore[method-assign]
    try:
        assert torch.equal(attending.attention(scores, mask=mask), expected)
        assert not torch.equal(clone.attention(scores, mask=mask), expected)
        assert calls == []
        attending.other(scores, mask=mask)
        assert calls == [1]
        module.deparallelize(attending).attention(scores, mask=mask)
        assert calls == [1, 1]
    finally:
        XSoftmax.apply = apply  # type: ignore[method-assign]


def test_a_check_of_values_is_not_made(generated: Generated, tiny_plan: Make, attending: Any) -> None:
    mask = torch.ones(1, 2)
    generated(tiny_plan(adapters=[static("torch", "no-finite-check")])).parallelize(attending)
    assert attending.attention(torch.tensor([[float("nan"), 1.0]]), mask=mask).isnan().all()
    with pytest.raises(AssertionError, match="checked"):
        attending.other(torch.tensor([[float("nan"), 1.0]]), mask=mask)


def test_a_method_without_the_name_stays(generated: Generated, tiny_plan: Make, attending: Any) -> None:
    module = generated(tiny_plan(adapters=[static("_make_causal_mask", "causal-mask")]))
    module.parallelize(attending)
    assert "forward" not in vars(attending.attention)


@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_the_causal_mask_is_that_of_transformers(
    generated: Generated, tiny_plan: Make, past: int, dtype: torch.dtype
) -> None:
    module = generated(tiny_plan(adapters=[static("_make_causal_mask", "causal-mask")]))
    found = module._causal_mask(torch.Size((2, 3)), dtype, device=torch.device("cpu"), past_key_values_length=past)
    least = torch.finfo(dtype).min
    row = [[0.0] * (past + i + 1) + [least] * (2 - i) for i in range(3)]
    assert torch.equal(found, torch.tensor([[row], [row]], dtype=dtype))


def test_dropout_is_that_of_torch(generated: Generated, tiny_plan: Make) -> None:
    module = generated(tiny_plan(adapters=[static("XDropout", "dropout")]))
    value = torch.ones(1000)
    torch.manual_seed(0)
    found = module._Dropout.apply(value, 0.25)
    torch.manual_seed(0)
    assert torch.equal(found, torch.nn.functional.dropout(value, 0.25))


@pytest.mark.parametrize("method", ["__class__", "__init__", "__dict__"])
def test_no_plan_replaces_what_python_needs(generated: Generated, tiny_plan: Make, tiny: Any, method: str) -> None:
    before = hooks(tiny)
    adapter = {"kind": "weight-as-activation", "module": "encoder", "method": method}
    module = generated(tiny_plan(adapters=[adapter]))
    with pytest.raises(module.PlanMismatchError, match=method):
        module.parallelize(tiny)
    assert hooks(tiny) == before


def test_an_error_in_an_adapter_undoes_those_before(generated: Generated, tiny_plan: Make, tiny: Any) -> None:
    tiny.drop = Dropping()
    before = hooks(tiny)
    adapters = [
        {"kind": "set-attribute", "module": "", "name": "layerdrop", "value": 0.0},
        {"kind": "weight-as-activation", "module": "encoder", "method": "get_rel_embedding"},
        {"kind": "weight-as-activation", "module": "encoder", "method": "get_rel_embedding"},
    ]
    module = generated(tiny_plan(adapters=adapters))
    with pytest.raises(module.PlanMismatchError, match="already replaced"):
        module.parallelize(tiny)
    assert hooks(tiny) == before
    assert (tiny.drop.layerdrop, tiny.drop.config.layerdrop) == (1, 0.5)
    assert not module.is_cut(tiny)


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
    options = generated(edited(data)).options(True)
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
