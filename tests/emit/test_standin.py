"""The stand-in places ops as PopTorch does, and finds what its compiler would refuse."""

from __future__ import annotations

import ast
import copy
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

X = torch.ones(2, 3)


def chain(standin: ModuleType, *ipus: int, ids: str = "abcdefgh") -> nn.Sequential:
    """One linear layer a block."""
    model = nn.Sequential(*(nn.Linear(3, 3) for _ in ipus))
    for layer, ipu, user_id in zip(model, ipus, ids, strict=False):
        standin.BeginBlock(layer, user_id, ipu)
    return model


def options(standin: ModuleType, accumulation: int = 64, sharded: bool = False) -> object:
    made = standin.Options()
    strategy = standin.ShardedExecution if sharded else standin.PipelinedExecution
    made.setExecutionStrategy(strategy(standin.AutoStage.AutoIncrement))
    made.Training.gradientAccumulation(accumulation)
    made.autoRoundNumIPUs(True)
    return made


def rules(standin: ModuleType, model: nn.Module, training: bool = True, **changes: object) -> list[str]:
    with standin.recording(model) as record:
        model(X)
    return [v.rule for v in standin.violations(record, options(standin, **changes), training)]


def test_ops_before_the_first_block_are_on_ipu_0_stage_0(standin: ModuleType) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    standin.BeginBlock(model[1], "b", 2)
    with standin.recording(model) as record:
        model(X)
    assert {(op.module, op.ipu, op.stage) for op in record.ops} == {("0", 0, 0), ("1", 2, 1)}


def test_a_block_has_no_end_of_its_own(standin: ModuleType) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    standin.BeginBlock(model[0], "a", 1)
    with standin.recording(model) as record:
        model(X)
    assert {op.ipu for op in record.ops} == {1}


def test_a_second_block_on_a_module_is_refused_and_remove_takes_it_off(standin: ModuleType) -> None:
    model = chain(standin, 0, 1)
    with pytest.raises(standin.Error, match="already been assigned"):
        standin.BeginBlock(model[0], "again", 0)
    standin.removeBlocks(model)
    standin.BeginBlock(model[0], "again", 0)
    with pytest.raises(standin.Error, match="not an instance"):
        standin.BeginBlock("a name", "x", 0)


def test_blocks_survive_copies_and_change_no_names(standin: ModuleType) -> None:
    model = chain(standin, 0, 1)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for clone in (copy.copy(model), copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert type(clone) is nn.Sequential
        assert list(clone.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        with standin.recording(clone) as record:
            clone(X)
        assert [b.user_id for b in record.begins] == ["a", "b"]


def test_a_repeated_id_gets_its_old_stage(standin: ModuleType) -> None:
    model = chain(standin, 0, 1, 0, ids="aba")
    with standin.recording(model) as record:
        model(X)
    assert [(b.user_id, b.ipu, b.stage) for b in record.begins] == [("a", 0, 1), ("b", 1, 2), ("a", 0, 1)]


def test_automatic_ids_and_ipus(standin: ModuleType) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for layer in model:
        standin.BeginBlock(layer)
    for _ in range(2):
        with standin.recording(model) as record:
            model(X)
        assert [(b.user_id, b.ipu) for b in record.begins] == [("0", 1), ("1", 2)]


def test_outside_a_recording_nothing_is_recorded(standin: ModuleType) -> None:
    assert chain(standin, 0, 1)(X).shape == (2, 3)
    model = nn.Linear(3, 3)
    with standin.recording(model), pytest.raises(standin.Error, match="already running"), standin.recording(model):
        pass
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_a_good_cut_breaks_no_rule(standin: ModuleType) -> None:
    assert rules(standin, chain(standin, 0, 0, 1, 2, 3, 0)) == []


def test_too_little_accumulation(standin: ModuleType) -> None:
    model = chain(standin, 0, 1, 2, 3)
    assert rules(standin, model, accumulation=7) == []
    assert rules(standin, model, accumulation=6) == ["gradient-accumulation"]
    back = chain(standin, 0, 1, 2, 3, 0)
    assert rules(standin, back, accumulation=9) == []
    assert rules(standin, back, accumulation=8) == ["gradient-accumulation"]


def test_pipelined_inference_needs_device_iterations(standin: ModuleType) -> None:
    model = chain(standin, 0, 1)
    assert rules(standin, model, training=False) == ["device-iterations"]
    assert rules(standin, model, training=False, sharded=True) == []


def test_a_weight_on_two_ipus(standin: ModuleType) -> None:
    model = chain(standin, 0, 1)
    model[1].weight = model[0].weight
    assert rules(standin, model) == ["weight-on-two-ipus"]
    assert rules(standin, model, sharded=True) == []


def test_one_stage_on_two_ipus(standin: ModuleType) -> None:
    assert "one-ipu-per-stage" in rules(standin, chain(standin, 0, 1, ids="aa"))


def test_an_early_stage_cannot_read_a_later_one(standin: ModuleType) -> None:
    assert "stage-order" in rules(standin, chain(standin, 0, 1, 0, ids="aba"))


def test_an_empty_block_alone_on_its_ipu_is_a_hole(standin: ModuleType) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Identity(), nn.Linear(3, 3))
    for layer, ipu, user_id in zip(model, (0, 1, 2), "abc", strict=True):
        standin.BeginBlock(layer, user_id, ipu)
    assert rules(standin, model) == ["missing-stage"]


def test_an_op_after_a_with_block_has_no_block(standin: ModuleType) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with standin.Block("a", 1):
                x = x + 1
            return x * 2

    assert "no-active-block" in rules(standin, Model())


def test_ipus_are_a_power_of_two_and_at_most_64(standin: ModuleType) -> None:
    model = chain(standin, 0, 1, 2)
    with standin.recording(model) as record:
        model(X)
    given = options(standin)
    assert standin.violations(record, given, True) == []
    given.autoRoundNumIPUs(False)  # type: ignore[attr-defined]
    assert [v.rule for v in standin.violations(record, given, True)] == ["power-of-two"]
    given.autoRoundNumIPUs(True).replicationFactor(32)  # type: ignore[attr-defined]
    assert [v.rule for v in standin.violations(record, given, True)] == ["power-of-two"]


def test_an_offline_target_is_not_rounded(standin: ModuleType) -> None:
    model = chain(standin, 0, 1, 2)
    with standin.recording(model) as record:
        model(X)
    given: Any = options(standin)
    given.useOfflineIpuTarget()
    given.replicationFactor(21)
    assert standin.violations(record, given, True) == []
    given.replicationFactor(22)
    assert [v.rule for v in standin.violations(record, given, True)] == ["power-of-two"]
    online: Any = options(standin)
    online.replicationFactor(21)
    assert standin.violations(record, online, True) == []
    online.autoRoundNumIPUs(False)
    assert [v.rule for v in standin.violations(record, online, True)] == ["power-of-two"]


def test_an_unused_ipu_below_the_highest_is_reserved(standin: ModuleType) -> None:
    model = chain(standin, 0, 1, 33)
    with standin.recording(model) as record:
        model(X)
    given: Any = options(standin)
    assert standin.violations(record, given, True) == []
    given.replicationFactor(2)
    assert [v.rule for v in standin.violations(record, given, True)] == ["power-of-two"]


def test_a_recording_is_judged_by_the_stages_it_was_made_with(standin: ModuleType) -> None:
    with standin.recording(nn.Linear(3, 3)) as record:
        pass
    with pytest.raises(standin.Error, match="give recording"):
        standin.violations(record, standin.Options(), True)


def compiled(standin: ModuleType, model: nn.Module, *stages: object) -> tuple[Any, list[str]]:
    """A recording for training on stages as said, and the rules it breaks."""
    made = standin.Options().setExecutionStrategy(standin.PipelinedExecution(*stages)).autoRoundNumIPUs(True)
    made.Training.gradientAccumulation(64)
    with standin.recording(model, made) as record:
        model(X)
    return record, [v.rule for v in standin.violations(record, made, True)]


def test_with_same_as_ipu_a_stage_is_its_ipu(standin: ModuleType) -> None:
    record, broken = compiled(standin, chain(standin, 0, 1, 2))
    assert [b.stage for b in record.begins] == [0, 1, 2]
    assert broken == []
    assert compiled(standin, chain(standin, 0, 1, 0))[1] == ["stage-order"]
    assert compiled(standin, chain(standin, 0, 2, 3), standin.AutoStage.SameAsIpu)[1] == ["missing-stage"]
    assert compiled(standin, chain(standin, 0, 1, ids="aa"))[1] == ["one-ipu-per-stage"]
    with pytest.raises(AssertionError, match="no IPU was specified for block 'a'"):
        compiled(standin, chain(standin, None))  # type: ignore[arg-type]


def test_stages_may_be_listed(standin: ModuleType) -> None:
    stages = ("a", "b", standin.Stage("c", "d").ipu(3))
    record, broken = compiled(standin, chain(standin, 0, None, 1, 2), *stages)  # type: ignore[arg-type]
    assert [(b.user_id, b.ipu, b.stage) for b in record.begins] == [("a", 0, 0), ("b", 1, 1), ("c", 3, 2), ("d", 3, 2)]
    assert broken == []
    with pytest.raises(standin.Error, match="Unknown Block 'e'"):
        compiled(standin, chain(standin, 0, ids="e"), *stages)
    with pytest.raises(standin.Error, match="'c' is associated with more than one stage"):
        standin.PipelinedExecution(*stages, "c")
    for wrong in ((1,), ("a", standin.AutoStage.SameAsIpu), (standin.AutoStage.SameAsIpu,) * 2):
        with pytest.raises(standin.Error, match="expected one AutoStage"):
            standin.PipelinedExecution(*wrong)
    assert compiled(standin, chain(standin, 0, 1, ids="ac"), *stages)[1] == ["missing-stage"]


def test_phases_are_known_by_name_and_placed_nowhere(standin: ModuleType) -> None:
    for kind in (standin.ParallelPhasedExecution, standin.SerialPhasedExecution):
        with pytest.raises(standin.Error, match="no AutoStage"):
            kind(standin.AutoStage.AutoIncrement)
        made = standin.Options().setExecutionStrategy(kind("a", "b"))
        with pytest.raises(standin.Error, match=kind.__name__), standin.recording(nn.Linear(2, 2), made):
            pass
    with pytest.raises(AssertionError, match="instance"):
        standin.Options().setExecutionStrategy(standin.ShardedExecution)


def test_a_callable_gets_a_wrapper_that_begins_its_block(standin: ModuleType) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.double = standin.BeginBlock(lambda x: x * 2, ipu_id=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.double(self.double(x + 1))
            return result

    model = Model()
    assert type(model.double) is standin.LegacyBeginBlockFn
    with standin.recording(model) as record:
        assert torch.equal(model(X), (X + 1) * 4)
    assert [(b.user_id, b.ipu, b.stage) for b in record.begins] == [("0", 1, 1)] * 2


def test_a_block_function_runs_in_its_block_and_loses_its_name(standin: ModuleType) -> None:
    class Model(nn.Module):
        @standin.BlockFunction("f", 2)  # type: ignore[untyped-decorator]
        def named(self, x: torch.Tensor) -> torch.Tensor:
            """Doc."""
            return x + 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.named(x)
            return result

    model = Model()
    assert (model.named.__name__, model.named.__doc__) == ("wrapper", None)
    with standin.recording(model) as record:
        model(X)
    assert [(op.ipu, op.stage) for op in record.ops] == [(2, 1)]
    assert record.ipu == standin.NO_ACTIVE_BLOCK


def test_leaving_an_inner_block_does_not_return_to_the_outer(standin: ModuleType) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with standin.Block("outer", 0):
                x = x + 0
                with standin.Block("inner", 1):
                    x = x + 1
                x = x * 2
            standin.Block.start("free", 0)
            return x - 1

    with standin.recording(Model()) as record:
        Model()(X)
    assert [op.ipu for op in record.ops] == [0, 1, standin.NO_ACTIVE_BLOCK, 0]
    assert [v.rule for v in standin.violations(record, options(standin), True)] == ["no-active-block"]


def test_an_empty_id_is_a_new_one_at_every_call(standin: ModuleType) -> None:
    layer = standin.BeginBlock(nn.Linear(3, 3), "", 0)
    with standin.recording(layer) as record:
        layer(layer(X))
        standin.Block.useAutoId()
        layer(X)
    assert [(b.user_id, b.stage) for b in record.begins] == [("0", 1), ("1", 2), ("0", 1)]


def test_ids_are_taken_as_they_are_until_the_native_op(standin: ModuleType) -> None:
    lost = standin.BeginBlock(nn.Linear(3, 3), "a", -1)
    with standin.recording(lost) as record:
        lost(X)
    assert {op.ipu for op in record.ops} == {standin.NO_ACTIVE_BLOCK}
    named = standin.BeginBlock(nn.Linear(3, 3), "a", "1")
    with pytest.raises(TypeError, match="int for ipu_id"), standin.recording(named):
        named(X)


def test_a_block_never_begins_where_the_module_is_not_called(standin: ModuleType) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 3)])
            self.table = nn.Embedding(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.layers[0](x) + self.table.weight[0]
            return result

    model = Model()
    standin.BeginBlock(model.layers, "list", 1)
    standin.BeginBlock(model.table, "table", 2)
    with standin.recording(model) as record:
        model(X)
    assert record.begins == []
    assert record.ipus() == (0,)


def test_a_hook_registered_before_the_block_runs_in_the_previous_one(standin: ModuleType) -> None:
    layer = nn.Linear(3, 3)
    layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    standin.BeginBlock(layer, "a", 1)
    layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    with standin.recording(layer) as record:
        layer(X)
    assert [op.ipu for op in record.ops][:2] == [0, 1]


def test_options_are_typed_and_closed(standin: ModuleType) -> None:
    made = standin.Options()
    with pytest.raises(standin.Error, match="expects int"):
        made.Training.gradientAccumulation(True)
    with pytest.raises(standin.Error, match="greater than 0"):
        made.replicationFactor(0)
    with pytest.raises(AttributeError, match="gradientAcumulation"):
        made.Training.gradientAcumulation(2)
    for key in ("0", "IPU", "IPUx", 0):
        with pytest.raises(standin.Error, match="IPU0"):
            made.setAvailableMemoryProportion({key: 0.2})
    made.setAvailableMemoryProportion({"IPU0": 2.5})
    assert made.get("setAvailableMemoryProportion", None) == {0: 2.5}
    with pytest.raises(standin.Error, match="Unknown int option"):
        made._Popart.set("enableExplicitIR", 1)
    with pytest.raises(standin.Error, match="Unknown object option"):
        made._Popart.set("anything", object())


def test_options_are_frozen_once_a_model_was_made_with_them(standin: ModuleType) -> None:
    made = options(standin)
    executor = standin.trainingModel(nn.Linear(3, 3), made)
    assert executor.options is made
    for change in (
        lambda: made.deviceIterations(2),  # type: ignore[attr-defined]
        lambda: made.Training.gradientAccumulation(2),  # type: ignore[attr-defined]
        lambda: made.Precision.setPartialsType(torch.half),  # type: ignore[attr-defined]
        lambda: made._Popart.set("outlineThreshold", 1.0),  # type: ignore[attr-defined]
        lambda: made.setExecutionStrategy(standin.PipelinedExecution()),  # type: ignore[attr-defined]
        lambda: made.setAvailableMemoryProportion({"IPU0": 0.1}),  # type: ignore[attr-defined]
        lambda: made.useOfflineIpuTarget(),  # type: ignore[attr-defined]
    ):
        with pytest.raises(standin.Error, match="frozen"):
            change()


def test_a_model_is_compiled_on_one_micro_batch_and_run_by_the_sdk_alone(standin: ModuleType) -> None:
    model = chain(standin, 0, 1)
    with pytest.raises(standin.Error, match=r"default value \(1\) for inference"):
        standin.inferenceModel(model, options(standin, accumulation=4))
    executor = standin.trainingModel(model, options(standin, accumulation=4))
    with pytest.raises(standin.Error, match="expected a multiple of 4"):
        executor.compile(torch.ones(6, 3))
    assert not executor.isCompiled()
    executor.compile(torch.ones(8, 3))
    assert executor.isCompiled()
    assert executor.recording.ipus() == (0, 1)
    with pytest.raises(standin.Error, match="needs the Poplar SDK"):
        executor(torch.ones(8, 3))
    short = standin.trainingModel(model, options(standin, accumulation=2))
    with pytest.raises(standin.Error, match="gradient-accumulation"):
        short.compile(torch.ones(2, 3))


def test_checkpoints_are_identities_on_tensors(standin: ModuleType) -> None:
    assert standin.recomputationCheckpoint(X) is X
    assert standin.recomputationCheckpoint(X, X) == (X, X)
    assert standin.recomputationCheckpoint([X]) == [X]
    with pytest.raises(ValueError, match="tensors"):
        standin.recomputationCheckpoint(None)


@pytest.mark.parametrize(("mode", "size"), [("OutputChannels", 4), ("ReducingDim", 3), ("InputChannels", 2)])
def test_a_serialized_matmul_must_divide(standin: ModuleType, mode: str, size: int) -> None:
    class Model(nn.Module):
        factor = size

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kind = standin.MatMulSerializationMode[mode]
            result: torch.Tensor = standin.serializedMatMul(x, torch.ones(3, 4), kind, self.factor)
            return result

    model = Model()
    assert torch.equal(model(X), X @ torch.ones(3, 4))
    assert rules(standin, model) == []
    model.factor = size + 1
    assert rules(standin, model) == rules(standin, model, training=False, sharded=True) == ["serialized-matmul"]
    with pytest.raises(standin.Error, match="MatMulSerializationMode"):
        standin.serializedMatMul(X, X.t(), "output_channels", 2)


def test_what_needs_the_sdk_says_so(standin: ModuleType) -> None:
    with pytest.raises(standin.Error, match="needs the Poplar SDK"):
        standin.DataLoader(None, [])


def test_install_does_not_hide_another_poptorch(standin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sys.modules["poptorch"] is standin
    monkeypatch.setitem(sys.modules, "poptorch", ModuleType("poptorch"))
    with pytest.raises(standin.Error, match="already imported"):
        standin.install()


def test_it_is_python_3_8_and_needs_torch_alone(standin: ModuleType) -> None:
    for file in Path(str(standin.__file__)).parent.glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
        absolute = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0}
        absolute |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        third = {str(name).split(".")[0] for name in absolute} - set(sys.stdlib_module_names)
        assert third <= {"torch"}
