"""Smaller models of the same structure: which number counts which layers, what stays where, what a run takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import CLIPConfig, LlamaConfig, Qwen2Config, SwinConfig

from ipu_partition import partition
from ipu_partition.hosted import as_hosted
from ipu_partition.models import build, resolve
from ipu_partition.reopen import Reopened, reopen
from ipu_partition.verify import memory
from ipu_partition.verify.counted import counting, lists_of
from ipu_partition.verify.smaller import Smaller, _together, available_bytes, bytes_needed, shrunk
from ipu_partition.workload import Mode
from tests.end_to_end.families import FAMILIES, SMALL, small_options

LISTS = {
    "bert": {"bert.encoder.layer"},
    "roberta": {"roberta.encoder.layer"},
    "deberta": {"deberta.encoder.layer"},
    "gpt2": {"transformer.h"},
    "bart": {"model.encoder.layers", "model.decoder.layers"},
    "t5": {"encoder.block", "decoder.block"},
    "lxmert": {"lxmert.encoder.layer", "lxmert.encoder.r_layers", "lxmert.encoder.x_layers"},
    "vit": {"vit.layers"},
    "hubert": {"hubert.encoder.layers"},
    "wav2vec2": {"wav2vec2.encoder.layers"},
}
"""Lists of layers that the configurations of the ten families count."""
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "vocab_size": 120}


def opened(model: Any, **options: Any) -> tuple[Reopened, Mode]:
    mode = options.setdefault("mode", "inference")
    plan = partition(model, **options)
    given = None if isinstance(model, str) else model
    return reopen(plan, given, example_inputs=options.get("example_inputs"), loss=options.get("loss")), Mode(mode)


def small(model: Any, **options: Any) -> tuple[Reopened, Mode, Smaller]:
    reopened, mode = opened(model, **options)
    found = shrunk(reopened, mode, reopened.prepared(mode))
    assert found is not None
    return reopened, mode, found


def check(reopened: Reopened, mode: Mode, found: Smaller) -> None:
    """The smaller model exists, is smaller, and its units are where the plan has those they stand for."""
    plan = reopened.plan.mode(mode.value)
    work = reopened.workload(mode)
    whole, less = (as_hosted(p, work.serialisation, work.ipus).graph for p in (reopened.prepared(mode), found.prepared))
    assert len(found.assignment) == len(found.units) == len(less.units)
    assert less.parameter_count < whole.parameter_count
    assert [ipu for ipu, _ in groupby(found.assignment)] == [stage.ipu for stage in plan.stages]
    stage_of = {unit: stage.index for stage in plan.stages for unit in stage.units}
    stages = [stage_of[unit] for unit in found.units]
    assert stages == sorted(stages)
    assert set(stages) == set(range(len(plan.stages)))
    for name, (indices, count) in found.kept.items():
        assert len(indices) < count
        assert f"{len(indices)} of {count} in {name}" in found.note
    lengths = lists_of(build(found.spec, training=mode is Mode.TRAINING)[0])
    assert {name: len(indices) for name, (indices, _) in found.kept.items()} == {n: lengths[n] for n in found.kept}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", ["training", "inference"])
def test_the_ten_families(family: str, mode: str) -> None:
    ipus = 4 if family == "lxmert" else 2  # its class always uses 4
    reopened, as_mode, found = small(FAMILIES[family], mode=mode, ipus=ipus, **small_options(family))
    check(reopened, as_mode, found)
    assert set(found.kept) <= LISTS[family]
    plan = reopened.plan.mode(as_mode.value)  # type: ignore[arg-type]
    stages = {unit: stage.index for stage in plan.stages for unit in stage.units}
    units = as_hosted(reopened.prepared(as_mode), reopened.workload(as_mode).serialisation, ipus).graph.units
    for name in LISTS[family]:
        held = {stages[i] for i, unit in enumerate(units) if unit.name.startswith(f"{name}.")}
        count = reopened.prepared(as_mode).rows[name]
        assert len(held) == count or len(found.kept[name][0]) == len(held)


def test_one_layer_of_each_stage_is_kept_and_the_first_of_it() -> None:
    config = {**SMALL["bert"], "num_hidden_layers": 8}
    reopened, mode, found = small("bert-base-uncased", config=config, sequence_length=16, layers=[3, 1, 4], ipus=3)
    check(reopened, mode, found)
    assert found.kept == {"bert.encoder.layer": ((0, 3, 4), 8)}
    names = [unit.name for unit in found.prepared.graph.units]
    places = dict(zip(names, found.assignment, strict=True))
    assert [places[f"bert.encoder.layer.{i}"] for i in range(3)] == [0, 1, 2]


def test_numbers_inside_nested_configurations() -> None:
    config = CLIPConfig(
        text_config={**TEXT, "num_hidden_layers": 5, "bos_token_id": 1, "eos_token_id": 2},
        vision_config={
            "num_hidden_layers": 4, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
            "image_size": 32, "patch_size": 8,
        },
    )  # fmt: skip
    lists = {"text_model.encoder.layers": 5, "vision_model.encoder.layers": 4}
    spec = resolve(config, task="feature-extraction")
    module = build(spec, training=False)[0]
    lengths = lists_of(module)
    assert {name: lengths[name] for name in lists} == lists
    found = counting(spec, False, lists, lengths)
    assert found == {
        (("text_config", "num_hidden_layers"), 5): {"text_model.encoder.layers"},
        (("vision_config", "num_hidden_layers"), 4): {"vision_model.encoder.layers"},
    }
    reopened, mode, less = small(config, task="feature-extraction", sequence_length=16, ipus=2)
    check(reopened, mode, less)
    assert set(less.kept) == set(lists)
    assert (config.text_config.num_hidden_layers, config.vision_config.num_hidden_layers) == (5, 4)


def test_a_number_that_counts_two_lists_keeps_as_many_of_both() -> None:
    layers = {"a": {0: {0}, 1: {0}, 2: {1}, 3: {1}}, "b": {0: {2}, 1: {2}, 2: {2}, 3: {2}}}
    assert _together(["a", "b"], layers) == {"a": (0, 2), "b": (0, 3)}
    shared = {"a": {0: {0}, 1: {0, 1}, 2: {1}, 3: {2}, 4: {2}}}
    assert _together(["a"], shared) == {"a": (0, 1, 3)}


def test_a_stage_that_begins_inside_a_layer_still_does() -> None:
    config = LlamaConfig(num_hidden_layers=5, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, **TEXT)
    pins = {"model.layers.2.self_attn": 0, "model.layers.2.mlp": 1, "model.layers.3": 1}
    reopened, mode, found = small(config, sequence_length=16, ipus=2, pins=pins)
    check(reopened, mode, found)
    (indices, _), = found.kept.values()  # fmt: skip
    assert 2 in indices
    places = dict(zip((unit.name for unit in found.prepared.graph.units), found.assignment, strict=True))
    inside = f"model.layers.{indices.index(2)}"
    assert (places[f"{inside}.self_attn"], places[f"{inside}.mlp"]) == (0, 1)


def test_more_layers_than_units_of_their_own() -> None:
    """30 layers are planned whole, 2 of them in their modules: these are where their layers are."""
    config = LlamaConfig(num_hidden_layers=30, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, **TEXT)
    reopened, mode, found = small(config, sequence_length=16, ipus=2)
    check(reopened, mode, found)
    assert len(found.kept["model.layers"][0]) == 2
    names = [unit.name for unit in found.prepared.graph.units]
    assert any("mlp" in name for name in names)
    for name, ipu in zip(names, found.assignment, strict=True):
        if name.startswith("model.layers."):
            assert ipu == int(name.split(".")[2])


def test_what_is_said_of_each_layer_is_kept_of_those_that_stay() -> None:
    config = Qwen2Config(
        num_hidden_layers=6, num_key_value_heads=2, layer_types=["full_attention", "sliding_attention"] * 3,
        use_sliding_window=True, **TEXT,
    )  # fmt: skip
    reopened, mode, found = small(config, sequence_length=16, ipus=2)
    check(reopened, mode, found)
    indices, _ = found.kept["model.layers"]
    assert found.spec.config.layer_types == [config.layer_types[i] for i in indices]
    assert len(config.layer_types) == 6


def test_numbers_in_lists_count_layers_too() -> None:
    config = SwinConfig(image_size=32, patch_size=2, embed_dim=8, depths=[2, 2, 4], num_heads=[1, 2, 4], window_size=2)
    reopened, mode, found = small(config, ipus=2)
    check(reopened, mode, found)
    assert {name.rpartition(".")[2] for name in found.kept} == {"blocks"}
    assert config.depths == [2, 2, 4]


def test_conv_dimensions_are_not_layers_that_a_number_of_the_same_size_counts() -> None:
    """7 layers of the encoder and 7 convolutions: only those of the encoder go."""
    options = small_options("wav2vec2")
    options["config"] = {**SMALL["wav2vec2"], "num_hidden_layers": 7}
    reopened, mode, found = small(FAMILIES["wav2vec2"], ipus=2, **options)
    check(reopened, mode, found)
    assert len(found.spec.config.conv_dim) == 7
    assert set(found.kept) == LISTS["wav2vec2"]


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return x


def test_a_module_has_no_configuration_to_make_it_smaller_by() -> None:
    reopened, mode = opened(Plain(), ipus=2, example_inputs={"x": torch.zeros(2, 8)})
    assert shrunk(reopened, mode, reopened.prepared(mode)) is None


def test_a_model_whose_layers_are_all_needed_is_not_smaller() -> None:
    config = {**SMALL["bert"], "num_hidden_layers": 2}
    reopened, mode = opened("bert-base-uncased", config=config, sequence_length=16, layers=[1, 1])
    assert shrunk(reopened, mode, reopened.prepared(mode)) is None


def test_a_run_needs_its_weights_and_what_it_keeps() -> None:
    needed, saved = {}, {}
    for mode, size in (("training", 1), ("training", 4), ("inference", 1)):
        reopened, as_mode = opened(FAMILIES["bert"], mode=mode, ipus=2, micro_batch_size=size, **small_options("bert"))
        prepared = reopened.prepared(as_mode)
        needed[mode, size] = bytes_needed(prepared, as_mode is Mode.TRAINING)
        saved[mode, size] = sum(unit.saved_bytes for unit in prepared.graph.units)
        weights = 4 * sum(p.elements for p in prepared.graph.parameters.values())
        assert needed[mode, size] > weights * (4 if mode == "training" else 1)
    assert needed["training", 1] > needed["inference", 1]
    more = saved["training", 4] - saved["training", 1]
    assert needed["training", 4] - needed["training", 1] > 2 * 2 * more  # two runs, twice as wide


def test_precision_does_not_change_what_the_cpu_needs() -> None:
    options = {**small_options("vit"), "mode": "training", "ipus": 2}
    found = {}
    for precision in ("16.16", "32.32"):
        reopened, mode = opened(FAMILIES["vit"], precision=precision, **options)
        found[precision] = bytes_needed(reopened.prepared(mode), True)
    assert found["16.16"] == pytest.approx(found["32.32"], rel=0.05)


def test_memory_that_is_free_is_some_of_what_there_is() -> None:
    free = available_bytes()
    assert free is not None
    assert 1 << 20 < free < 1 << 50


def _files(root: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "1000\n", "memory.current": "400\n", "memory.stat": "inactive_file 50\n"}, [650]),
        ("0::/\n", {"memory.max": "max\n", "memory.current": "400\n"}, []),
        (
            "0::/a/b\n",
            {"a/b/memory.max": "max", "a/b/memory.current": "9", "a/memory.max": "700", "a/memory.current": "100"},
            [600],
        ),
        ("0::/of/the/host\n", {"memory.max": "1000", "memory.current": "1"}, [999]),
        (
            "4:memory:/x\n3:cpuset:/\n",
            {
                "memory/x/memory.limit_in_bytes": "500", "memory/x/memory.usage_in_bytes": "100",
                "memory/memory.limit_in_bytes": str(2**63 - 4096), "memory/memory.usage_in_bytes": "100",
            },
            [400],
        ),
        ("", {"memory.max": "1"}, []),
        ("nonsense\n\n::\n", {}, []),
    ],
)  # fmt: skip
def test_limits_of_control_groups(
    tmp_path: Path, membership: str, files: Mapping[str, str], expected: Sequence[int]
) -> None:
    _files(tmp_path, {**files, "cgroup": membership})
    assert list(memory._limits(tmp_path / "cgroup", tmp_path)) == expected


def test_the_tightest_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_meminfo", lambda _: iter([5000]))
    monkeypatch.setattr(memory, "_limits", lambda *_: iter([700, -3]))
    assert available_bytes() == 0
    monkeypatch.setattr(memory, "_limits", lambda *_: iter(()))
    assert available_bytes() == 5000
    monkeypatch.setattr(memory, "_meminfo", lambda _: iter(()))
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 3)
    assert available_bytes() == 3 * 4096
    monkeypatch.setattr(memory.os, "sysconf", lambda name: -1)
    assert available_bytes() is None


def test_meminfo(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal: 100 kB\nMemFree: 3 kB\nMemAvailable:   77 kB\n")
    assert list(memory._meminfo(file)) == [77 * 1024]
    file.write_text("MemAvailable: lots\n")
    assert list(memory._meminfo(file)) == []
