"""`--emit` as a user meets it: one document on stdout, or files beside the others, and nothing half said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ipu_partition.cli import main
from ipu_partition.emit.other import EMITTERS
from ipu_partition.plan import PartitionPlan

GPT2 = ["--model", "gpt2", "--sequence-length", "16", "--mode", "training"]
SMALL = ["--config", "n_embd=32", "n_head=2", "n_layer=5", "vocab_size=120"]
FILES = {"device_map.json", "megatron_layout.txt", "split_spec.py", "vllm.env"}
ALL = ["--emit", "vllm,megatron", "--emit", "device_map , split_spec,vllm"]


@pytest.fixture
def two(machine_file: Callable[[int], str]) -> list[str]:
    """A plan that every format can say."""
    return [*GPT2, *SMALL, "--ipus", "2", "--machine", machine_file(2)]


def test_stdout_is_the_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GPT2, *SMALL, "--ipus", "4", "--emit", "device_map"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["lm_head"] == 0
    assert "ipu-partition:" not in err


def test_files_are_beside_the_others(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert main([*two, *ALL, "--output", str(folder)]) == 0
    written = {path.name for path in folder.iterdir()}
    assert written >= FILES | {"ipu_partition_plan.json"}
    out, err = capsys.readouterr()
    for name in FILES:
        assert f"wrote {folder / name}" in out
    assert "device_map: transformer.wte.weight = lm_head.weight is read on devices 0 and 1" in err
    texts = {name: (folder / name).read_text() for name in FILES}
    assert main([*two, *ALL, "--output", str(folder), "--json"]) == 0
    assert capsys.readouterr().out == (folder / "ipu_partition_plan.json").read_text()
    assert {name: (folder / name).read_text() for name in FILES} == texts


def test_show_says_it_of_a_plan_on_disk(two: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, other = tmp_path / "out", tmp_path / "other"
    assert main([*two, *ALL, "--output", str(folder)]) == 0
    capsys.readouterr()
    for name, emitter in EMITTERS.items():
        assert main(["show", str(folder), "--emit", name]) == 0
        assert capsys.readouterr().out == (folder / emitter.file_name).read_text()
    assert main(["show", str(folder), *ALL, "--output", str(other)]) == 0
    assert {path.name for path in other.iterdir()} == FILES
    assert f"wrote {other / 'vllm.env'}" in capsys.readouterr().out


def test_a_plan_that_does_not_fit_is_said_too(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "gpt2", "--mode", "training", "--ipus", "1", "--micro-batch-size", "4"]
    assert main([*arguments, "--emit", "megatron"]) == 3
    out, err = capsys.readouterr()
    assert out == "E,t*12,L\n"
    assert "this plan DOES NOT FIT" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--emit", "vlm"],
            "There is no format 'vlm' to emit; expected one of device_map, megatron, split_spec, vllm.",
        ),
        (["--emit", ""], "There is no format '' to emit"),
        (["--emit", "vllm,"], "There is no format '' to emit"),
        (["--emit", "vllm,megatron"], "vllm, megatron are asked for; write them into a folder: --output DIR"),
        (["--emit", "vllm", "--json"], "vllm, the plan (--json) are asked for"),
    ],
)
def test_what_is_wrong_is_said_before_planning(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", "no-such-model-anywhere", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_what_cannot_be_said_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    assert main([*GPT2, *SMALL, "--ipus", "4", "--emit", "device_map,vllm", "--output", str(folder)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "The nearest is VLLM_PP_LAYER_PARTITION=2,2,1, on 3 ranks." in err
    assert not folder.exists()


def test_show_wants_a_format_for_its_folder_and_a_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GPT2, *SMALL, "--ipus", "1", "--output", str(tmp_path)]) == 0
    assert main(["show", str(tmp_path), "--output", str(tmp_path)]) == 2
    assert "name a format" in capsys.readouterr().err
    assert main(["show", str(tmp_path), "--emit", "vllm", "--mode", "sleep"]) == 2
    assert "expected training or inference" in capsys.readouterr().err
    assert main(["show", str(tmp_path), "--emit", "vllm", "--mode", "inference"]) == 2
    assert "no inference part" in capsys.readouterr().err


def test_a_stale_plan_is_said_to_be_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*GPT2, *SMALL, "--ipus", "1", "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    monkeypatch.setattr(PartitionPlan, "stale", "the rules changed")
    assert main(["show", str(tmp_path), "--emit", "megatron"]) == 0
    out, err = capsys.readouterr()
    assert out == "E,t*5,L\n"
    assert "this plan is stale: the rules changed" in err


def test_a_model_from_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan does not hold where it was."""
    model, plan = tmp_path / "model", tmp_path / "plan"
    model.mkdir()
    sizes = {"n_embd": 32, "n_head": 2, "n_layer": 2, "vocab_size": 120}
    text = json.dumps({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], **sizes})
    (model / "config.json").write_text(text)
    asked = ["--model", str(model), "--sequence-length", "16", "--mode", "inference", "--ipus", "1"]
    assert main([*asked, "--emit", "device_map", "--output", str(plan)]) == 0
    assert json.loads((plan / "device_map.json").read_text()) == {"": 0}
    capsys.readouterr()
    assert main(["show", str(plan), "--emit", "device_map"]) == 2
    assert "Give the model" in capsys.readouterr().err
    assert main(["show", str(plan), "--emit", "device_map", "--model", str(model)]) == 0
    assert json.loads(capsys.readouterr().out) == {"": 0}
