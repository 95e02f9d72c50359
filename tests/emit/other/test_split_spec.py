"""Split specs, given to `torch.distributed.pipelining.pipeline` itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.pipelining import SplitPoint, pipeline

from ipu_partition import partition
from ipu_partition.emit.other import Emitted, split_spec
from ipu_partition.errors import UsageError
from ipu_partition.plan import PartitionPlan
from tests.emit.other.models import Inputs, built
from tests.end_to_end.families import FAMILIES, small_options


def spec_in(made: Emitted) -> dict[str, SplitPoint]:
    """SPLIT_SPEC of the file."""
    names: dict[str, Any] = {}
    exec(compile(made.text, "split_spec.py", "exec"), names)
    found: dict[str, SplitPoint] = names["SPLIT_SPEC"]
    assert {module: point.name for module, point in found.items()} == made.value
    return found


def check(plan: PartitionPlan, made: Emitted, model: nn.Module, inputs: Inputs) -> None:
    """Every stage of the pipeline holds the parameters of the modules that the plan says and no others, and all
    together compute what the model does."""
    (part,) = plan.modes().values()
    with torch.no_grad():
        whole = model(**inputs)[0]
    parameters = dict(model.named_parameters(remove_duplicate=False))
    pipe = pipeline(model, (), inputs, split_spec=spec_in(made))
    assert pipe.num_stages == len(part.stages)
    for stage in part.stages:
        deepest = [m for m in stage.modules if not any(o.startswith(f"{m}.") for s in part.stages for o in s.modules)]
        wanted = {id(p) for name, p in parameters.items() if any(name.startswith(f"{m}.") for m in deepest)}
        held = pipe.get_stage_module(stage.index).named_parameters()
        assert {id(parameters[name]) for name, _ in held} == wanted
    with torch.no_grad():
        found = pipe(**inputs)
    torch.testing.assert_close(found[0], whole, atol=0, rtol=0)


@pytest.mark.parametrize("target", ["optimum", "poptorch"])
def test_stages_of_ipus(target: str) -> None:
    model, inputs = built("vit")
    plan = partition(FAMILIES["vit"], 4, mode="inference", target=target, **small_options("vit"))  # type: ignore[arg-type]
    made = split_spec(plan)
    assert len(made.value) == 3
    assert made.notes == ()
    check(plan, made, model, inputs)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_stages_of_a_machine_file(family: str, machine_file: Callable[[int], str]) -> None:
    """Its plans have no blocks, cut layers, and copy tied weights."""
    model, inputs = built(family)
    plan = partition(FAMILIES[family], 3, mode="inference", machine=machine_file(3), **small_options(family))  # type: ignore[arg-type]
    made = split_spec(plan)
    assert len(made.value) == 2
    check(plan, made, model, inputs)


def test_blocks_and_the_trace_say_the_same() -> None:
    plan = partition(FAMILIES["vit"], 4, mode="training", **small_options("vit"))  # type: ignore[arg-type]
    bare = plan.model_copy(update={"training": plan.mode("training").model_copy(update={"blocks": []})})
    assert split_spec(bare) == split_spec(plan)


def test_a_device_that_is_visited_again_is_refused() -> None:
    plan = partition("gpt2", 4, mode="training", **small_options("gpt2"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"device 0 runs stage 0 and stage 4 \('lm_head'\).*`device_map` can say it"):
        split_spec(plan)


def test_a_stage_that_begins_at_no_call_is_refused() -> None:
    """The loss of Wav2Vec2 is declared, and no module."""
    plan = partition(FAMILIES["wav2vec2"], 2, mode="training", **small_options("wav2vec2"))  # type: ignore[arg-type]
    part = plan.mode("training")
    units = [unit for stage in part.stages for unit in stage.units]
    names = [stage.modules for stage in part.stages]
    last = part.stages[1].model_copy(update={"units": units[-1:], "modules": names[1][-1:]})
    first = part.stages[0].model_copy(update={"units": units[:-1], "modules": [*names[0], *names[1][:-1]]})
    moved = plan.model_copy(update={"training": part.model_copy(update={"stages": [first, last], "blocks": []})})
    with pytest.raises(UsageError, match=r"stage 1 of this plan begins at '\(declared loss\)', which is no such call"):
        split_spec(moved)


def test_one_stage_has_no_boundary() -> None:
    made = split_spec(partition("gpt2", 1, mode="inference", **small_options("gpt2")))  # type: ignore[arg-type]
    assert made.value == {}
    assert spec_in(made) == {}


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.name = name
        self.add_module(name, nn.Linear(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._modules[self.name](self.first(x))  # type: ignore[misc]
        return found


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a\nb", "'}; import os; {'", '"""', "é\u2028"])
def test_names_are_no_code(name: str, machine_file: Callable[[int], str]) -> None:
    model, x = Named(name), (torch.ones(2, 4),)
    plan = partition(model, 2, mode="inference", machine=machine_file(2), example_inputs=x)
    made = split_spec(plan, model=model, example_inputs=x)
    assert list(spec_in(made)) == [name]
    assert made.text.isascii()
