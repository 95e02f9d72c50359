from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from ipu_partition.emit import poptorch_live
from ipu_partition.errors import UsageError
from ipu_partition.plan import PartitionPlan

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
    with pytest.raises(UsageError, match="Linear lacks a module"):
        tiny_plan().apply(torch.nn.Linear(2, 2))


def test_an_unplanned_mode_is_a_usage_error(standin: ModuleType, plans: ModuleType, tiny: torch.nn.Module) -> None:
    with pytest.raises(UsageError, match="no training part, only inference"):
        plans.inference_only().apply(tiny.train())


def test_options(standin: ModuleType, plans: ModuleType) -> None:
    plan = plans.gpt2_medium()
    assert poptorch_live.options(plan, "training").gradient_accumulation == 256
    assert not poptorch_live.options(plan, "inference").pipelined
