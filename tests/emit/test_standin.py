"""The stand-in places ops as PopTorch does, and finds what its compiler would refuse."""

from __future__ import annotations

import ast
import copy
import sys
from pathlib import Path
from types import ModuleType

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
        standin.BeginBlock(len, "x", 0)


def test_blocks_survive_copies_and_change_no_names(standin: ModuleType) -> None:
    model = chain(standin, 0, 1)
    clone = copy.deepcopy(model)
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


def test_only_automatic_numbering_is_judged(standin: ModuleType) -> None:
    with standin.recording(nn.Linear(3, 3)) as record:
        pass
    with pytest.raises(standin.Error, match="AutoIncrement"):
        standin.violations(record, standin.Options(), True)


def test_options_are_typed_and_closed(standin: ModuleType) -> None:
    made = standin.Options()
    with pytest.raises(standin.Error, match="expects int"):
        made.Training.gradientAccumulation(True)
    with pytest.raises(standin.Error, match="greater than 0"):
        made.replicationFactor(0)
    with pytest.raises(AttributeError, match="gradientAcumulation"):
        made.Training.gradientAcumulation(2)
    with pytest.raises(standin.Error, match="IPU0"):
        made.setAvailableMemoryProportion({"0": 0.2})


def test_checkpoints_are_identities_on_tensors(standin: ModuleType) -> None:
    assert standin.recomputationCheckpoint(X) is X
    assert standin.recomputationCheckpoint(X, X) == (X, X)
    assert standin.recomputationCheckpoint([X]) == [X]
    with pytest.raises(ValueError, match="tensors"):
        standin.recomputationCheckpoint(None)


def test_a_serialized_matmul_must_divide(standin: ModuleType) -> None:
    mode = standin.MatMulSerializationMode.OutputChannels
    assert torch.equal(standin.serializedMatMul(X, X.t(), mode, 2), X @ X.t())
    with pytest.raises(standin.Error, match="factor 3 does not divide 2"):
        standin.serializedMatMul(X, X.t(), mode, 3)


def test_what_needs_the_sdk_says_so(standin: ModuleType) -> None:
    with pytest.raises(standin.Error, match="needs the Poplar SDK"):
        standin.trainingModel(nn.Linear(2, 2))


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
