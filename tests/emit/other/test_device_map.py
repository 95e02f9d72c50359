"""Device maps, dispatched by accelerate itself: on pretended devices that refuse to mix, and with real numbers."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from accelerate.utils import check_device_map, find_tied_parameters
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import LlamaConfig, LlamaForCausalLM

from ipu_partition import partition
from ipu_partition.emit.other import device_map
from ipu_partition.emit.other.homes import coarse, homes_of
from ipu_partition.errors import UsageError
from tests.emit.other.models import Inputs, built
from tests.end_to_end.families import FAMILIES, small_options


def places(model: nn.Module, found: Mapping[str, int]) -> dict[str, list[str]]:
    """Parameter or buffer, under all its names -> the keys of the map that cover it."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {
        name: [key for key in found if key == "" or name == key or name.startswith(f"{key}.")] for name, _ in tensors
    }


def pretended(model: nn.Module, inputs: Inputs, found: Mapping[str, int]) -> torch.Tensor:
    """What `model` gives when it is dispatched over devices that exist in name alone: an operation on tensors of two
    of them raises, as on real ones."""
    devices = {key: torch.device("cpu", at) for key, at in found.items()}
    model = copy.deepcopy(model)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True) as fake, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dispatch_model(model, devices, main_device=torch.device("cpu", 0))
        there = {name: fake.from_tensor(value).to(torch.device("cpu", 0)) for name, value in inputs.items()}
        result: torch.Tensor = model(**there)[0]
    return result


def offloaded(model: nn.Module, inputs: Inputs, found: Mapping[str, int], kept: int, folder: Path) -> torch.Tensor:
    """What `model` gives with device `kept` on the CPU and the others on disk."""
    model = copy.deepcopy(model)
    dispatch_model(model, {k: "cpu" if at == kept else "disk" for k, at in found.items()}, offload_dir=folder)
    with torch.no_grad():
        result: torch.Tensor = model(**inputs)[0]
    return result


@pytest.mark.parametrize(
    ("family", "mode", "target"),
    [
        ("bert", "inference", None),
        ("roberta", "inference", "poptorch"),
        ("deberta", "training", None),
        ("gpt2", "training", None),
        ("bart", "inference", "poptorch"),
        ("t5", "training", None),
        ("lxmert", "inference", None),
        ("vit", "training", None),
        ("hubert", "inference", None),
        ("wav2vec2", "training", "poptorch"),
    ],
)
def test_accelerate_runs_the_map(family: str, mode: Any, target: Any, tmp_path: Path) -> None:
    plan = partition(FAMILIES[family], 4, mode=mode, target=target, **small_options(family))  # type: ignore[arg-type]
    made = device_map(plan)
    found: dict[str, int] = made.value
    assert json.loads(made.text) == found
    assert list(json.loads(made.text)) == list(found)
    model, inputs = built(family)
    covered = places(model, found)
    assert [name for name, keys in covered.items() if len(keys) != 1] == []
    for tied in find_tied_parameters(model):
        assert len({found[covered[name][0]] for name in tied}) == 1
    check_device_map(model, found)
    with torch.no_grad():
        whole: torch.Tensor = model(**inputs)[0]
    assert pretended(model, inputs, found).shape == whole.shape
    kept = 1 if family == "deberta" else 0  # accelerate loads no weight from disk that is read outside a call
    torch.testing.assert_close(offloaded(model, inputs, found, kept, tmp_path), whole, atol=0, rtol=0)
    kept_whole = [note.split()[0] for note in made.notes if "is kept whole" in note]
    stages = plan.modes()[mode].stages
    everything = {module for stage in stages for module in stage.modules}
    for stage in stages:
        for module in stage.modules:
            at = {found[keys[0]] for name, keys in covered.items() if name.startswith(f"{module}.")}
            goes_on = any(other.startswith(f"{module}.") for other in everything)  # in units of their own
            assert at <= {stage.ipu} or goes_on or any(module.startswith(path) for path in kept_whole), module


def test_tied_weights_with_copies_are_on_one_device(machine_file: Callable[[int], str]) -> None:
    plan = partition("gpt2", 2, mode="training", machine=machine_file(2), **small_options("gpt2"))  # type: ignore[arg-type]
    made = device_map(plan)
    assert made.value["transformer.wte"] == made.value["lm_head"] == 0
    assert "transformer.wte.weight = lm_head.weight is read on devices 0 and 1; it is on device 0 alone." in made.notes
    assert pretended(*built("gpt2"), made.value).shape == (1, 16, 120)


def llama(layers: int = 5) -> nn.Module:
    sizes: dict[str, Any] = {"vocab_size": 120, "hidden_size": 32, "intermediate_size": 64, "use_cache": False}
    config = LlamaConfig(num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=2, **sizes)
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


def test_a_layer_that_the_plan_cuts_is_kept_whole(machine_file: Callable[[int], str]) -> None:
    """Pretended devices do refuse the map that cuts it."""
    model = llama()
    plan = partition(model, 4, mode="inference", machine=machine_file(4), sequence_length=16)
    made = device_map(plan, model=model)
    cut = [note.split()[0] for note in made.notes if "is kept whole" in note]
    assert cut
    assert all(layer in made.value for layer in cut)
    inputs = {"input_ids": torch.ones(1, 16, dtype=torch.long)}
    assert pretended(model, inputs, made.value).shape == (1, 16, 120)
    whole = dict(made.value)
    at = whole.pop(cut[0])
    halves = {f"{cut[0]}.{name}": at for name, _ in model.get_submodule(cut[0]).named_children()}
    with pytest.raises(RuntimeError, match="same device"):
        pretended(model, inputs, {**whole, **halves, f"{cut[0]}.mlp": (at + 1) % 4})


class Odd(nn.Module):
    """A scale of its own that is read last, a bias that nothing reads, a layer whose name is code."""

    NAME = "la'yer\n\"; import os"

    def __init__(self) -> None:
        super().__init__()
        self.unread = nn.Parameter(torch.ones(3))
        self.scale = nn.Parameter(torch.ones(8))
        self.first = nn.Linear(8, 8)
        self.add_module(self.NAME, nn.Linear(8, 8))
        self.last = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.last(self._modules[self.NAME](self.first(x)))  # type: ignore[misc]
        return x * self.scale


def test_tensors_outside_the_modules_of_a_stage_are_where_they_are_read(machine_file: Callable[[int], str]) -> None:
    model, x = Odd(), (torch.ones(2, 8),)
    plan = partition(model, 3, mode="inference", machine=machine_file(3), example_inputs=x, sequence_length=None)
    made = device_map(plan, model=model, example_inputs=x)
    assert made.value == {"unread": 0, "scale": 2, "first": 0, Odd.NAME: 1, "last": 2}
    assert json.loads(made.text) == made.value


def test_one_device_takes_the_whole_model() -> None:
    plan = partition("gpt2", 1, mode="inference", **small_options("gpt2"))  # type: ignore[arg-type]
    assert device_map(plan).value == {"": 0}


def test_the_fewest_paths() -> None:
    assert coarse({"a.b.w": 1, "a.b.v": 1, "a.c": 0, "a.d.w": 0, "ab.w": 1}) == {"a.b": 1, "a.c": 0, "a.d": 0, "ab": 1}
    assert coarse({}) == {}


class Halves(nn.Module):
    """Its weight is that of a module in it, as the head of BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"dense": nn.Linear(4, 4), "table": nn.Embedding(9, 4)})
        self.head = nn.ModuleDict({"inner": nn.Linear(4, 9), "norm": nn.LayerNorm(4)})
        self.head.register_parameter("bias", self.head["inner"].bias)  # type: ignore[arg-type]
        self.head["inner"].weight = self.body["table"].weight


def test_what_must_be_together_is_where_most_of_it_is_read_first() -> None:
    readers = {
        "body.table.weight": (0, 2),
        "body.dense.weight": (1,),
        "body.dense.bias": (2,),
        "head.bias": (2,),
        "head.norm.weight": (2,),
    }
    homes, notes = homes_of(Halves(), readers)
    table, dense = ("body.table.weight", "head.inner.weight"), ("body.dense.weight", "body.dense.bias")
    head = ("head.bias", "head.inner.bias", "head.norm.weight", "head.norm.bias")
    assert homes == {**dict.fromkeys(table, 0), **dict.fromkeys(dense, 1), **dict.fromkeys(head, 0)}
    assert notes == (
        "body.table.weight = head.inner.weight is read on devices 0 and 2; it is on device 0 alone.",
        "body.dense is kept whole on device 1; the plan runs some of it on device 2.",
        "head is kept whole on device 0; the plan runs some of it on device 2.",
    )


def test_a_plan_of_a_module_needs_the_module() -> None:
    model = llama(2)
    plan = partition(model, 1, mode="inference", sequence_length=16)
    with pytest.raises(UsageError, match="Give the model"):
        device_map(plan)


def test_a_table_in_pieces_is_put_together() -> None:
    sizes = {"vocab_size": 120, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3, "num_heads": 4}
    options: Any = {"config": sizes, "sequence_length": 16, "target_length": 8}
    splits: Any = {"serialized_embedding_splits_per_ipu": [0, 2, 2, 0]}
    plan = partition("google/mt5-small", 4, mode="training", **options, **splits)
    made = device_map(plan)
    assert made.value["shared"] == 1
    assert any(note.startswith("shared.weight") and "devices 1 and 2; it is on device 1" in note for note in made.notes)


def test_layers_in_layers_are_kept_whole_inside() -> None:
    """Transformers names stages of ConvNeXt beside their layers."""
    sizes: Any = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 9, 1]}
    plan = partition("facebook/convnext-base-224", 4, mode="inference", config=sizes, image_size=64)
    layers = {name: at for name, at in device_map(plan).value.items() if ".stages.2.layers." in name}
    assert len(layers) == 9
    assert len(set(layers.values())) > 1
