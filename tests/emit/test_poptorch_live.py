from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from ipu_partition.emit import poptorch_live
from ipu_partition.errors import UsageError
from ipu_partition.plan import PartitionPlan
from ipu_partition.structure import structure_of
from tests.plans_edit import edited

IDS = torch.tensor([[1, 2, 3]])


def test_without_poptorch_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tiny_plan: Callable[..., PartitionPlan], tiny: torch.nn.Module
) -> None:
    monkeypatch.setitem(sys.modules, "poptorch", None)
    with pytest.raises(UsageError, match=r"part of the Poplar SDK.*parallelize\.py there"):
        tiny_plan().apply(tiny)


def test_live_and_generated_place_alike(
    standin: ModuleType, tiny_plan: Callable[..., PartitionPlan], tiny: Any, generated: Callable[[PartitionPlan], Any]
) -> None:
    plan = tiny_plan()
    assert plan.apply(tiny) is tiny
    with standin.recording(tiny) as live:
        tiny(IDS)
    generated(plan).parallelize(poptorch_live.remove(tiny))
    with standin.recording(tiny) as emitted:
        tiny(IDS)
    assert live == emitted
    assert len(live.begins) == 7


def test_a_plan_for_another_model_is_a_usage_error(
    standin: ModuleType, tiny_plan: Callable[..., PartitionPlan]
) -> None:
    linear = torch.nn.Linear(2, 2)
    with pytest.raises(UsageError, match="This Linear is not the model the plan was made for"):
        tiny_plan().apply(linear)
    with pytest.raises(UsageError, match="Linear lacks a module"):
        of_structure(tiny_plan(), structure_of(linear)).apply(linear)


def hooks(model: torch.nn.Module) -> list[tuple[int, int, bool]]:
    return [(len(m._forward_pre_hooks), len(m._forward_hooks), "get_rel_embedding" in vars(m)) for m in model.modules()]


def of_structure(plan: PartitionPlan, structure: str) -> PartitionPlan:
    data = plan.to_dict()
    data["model"]["fingerprint"] = structure
    return edited(data)


def test_a_model_of_another_structure_is_refused(
    standin: ModuleType, tiny_plan: Callable[..., PartitionPlan], tiny: Any
) -> None:
    plan = tiny_plan()
    assert plan.remove(plan.apply(tiny)) is tiny
    tiny.encoder.layer[0].dense = torch.nn.Linear(4, 4, bias=False)
    before = hooks(tiny)
    with pytest.raises(UsageError, match=r"not the model the plan was made for: .* structure .*partition\(model"):
        plan.apply(tiny)
    assert hooks(tiny) == before


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: model])
def test_a_second_cut_is_refused_until_the_first_is_removed(
    standin: ModuleType,
    tiny_plan: Callable[..., PartitionPlan],
    tiny: torch.nn.Module,
    copied: Callable[[Any], Any],
    training: bool,
) -> None:
    plan = tiny_plan()
    uncut = hooks(tiny.train(training))
    model = copied(plan.apply(tiny))
    before = hooks(model)
    other = tiny_plan(adapters=[], checkpoints=[])
    assert other.fingerprint() != plan.fingerprint()
    for again in (plan, other, of_structure(plan, "0" * 16)):
        with pytest.raises(UsageError, match=r"This Tiny is cut already.*Call plan\.remove\(model\) first"):
            again.apply(model)
        assert hooks(model) == before
    with pytest.raises(UsageError, match="cut already"):
        plan.apply(model.train(not training))
    assert hooks(plan.remove(model)) == uncut
    assert plan.apply(model.train(training)) is model
    assert hooks(model) == before


def test_what_was_not_cut_cannot_be_undone(
    standin: ModuleType, tiny_plan: Callable[..., PartitionPlan], tiny: Any
) -> None:
    plan = tiny_plan()
    tiny.embed.register_forward_pre_hook(lambda module, args: None)
    before = hooks(tiny)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"This Tiny is not cut.*plan\.apply\(model\).*poptorch\.removeBlocks"):
            plan.remove(tiny)
        assert hooks(tiny) == before
        assert hooks(plan.remove(plan.apply(tiny))) == before


def test_blocks_of_the_users_own_are_a_usage_error(
    standin: ModuleType, tiny_plan: Callable[..., PartitionPlan], tiny: Any
) -> None:
    standin.BeginBlock(tiny.head, "mine", 0)
    before = hooks(tiny)
    with pytest.raises(
        UsageError, match=r"'head' of this Tiny begins a block already.*poptorch\.removeBlocks\(model\) first"
    ):
        tiny_plan().apply(tiny)
    assert hooks(tiny) == before
    standin.removeBlocks(tiny)
    assert tiny_plan().apply(tiny)


def test_generated_code_and_live_plan_undo_each_other(
    standin: ModuleType,
    tiny_plan: Callable[..., PartitionPlan],
    tiny: torch.nn.Module,
    generated: Callable[[PartitionPlan], Any],
) -> None:
    plan, before = tiny_plan(), hooks(tiny)
    code = generated(plan)
    assert hooks(plan.remove(code.parallelize(tiny))) == before
    assert hooks(code.deparallelize(plan.apply(tiny))) == before


def test_remove_needs_poptorch_too(
    monkeypatch: pytest.MonkeyPatch, tiny_plan: Callable[..., PartitionPlan], tiny: torch.nn.Module
) -> None:
    monkeypatch.setitem(sys.modules, "poptorch", None)
    with pytest.raises(UsageError, match="part of the Poplar SDK"):
        tiny_plan().remove(tiny)


def test_an_unplanned_mode_is_a_usage_error(standin: ModuleType, plans: ModuleType, tiny: torch.nn.Module) -> None:
    with pytest.raises(UsageError, match="no training part, only inference"):
        plans.inference_only().apply(tiny.train())


def test_options(standin: ModuleType, plans: ModuleType) -> None:
    plan = plans.gpt2_medium()
    assert poptorch_live.options(plan, "training").gradient_accumulation == 256
    assert not poptorch_live.options(plan, "inference").pipelined
