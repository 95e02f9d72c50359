"""What can never be run is refused before anything is traced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipu_partition import cli, partition
from ipu_partition.emit.torch_pipelining import open_pipeline
from ipu_partition.engine import Options
from ipu_partition.errors import UsageError

from .small import cut, planned


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ranks": 0}, "nproc is 0"),
        ({"ranks": 65}, "at most 64"),
        ({"ranks": 2, "steps": 0}, "steps is 0"),
        ({"ranks": 2, "schedule": "zb"}, "1f1b or gpipe"),
        ({"ranks": 3, "micro_batches": 2}, "cannot fill"),
        ({"ranks": 2, "micro_batches": -1}, "micro_batches is -1"),
        ({"ranks": 2, "learning_rate": float("nan")}, "learning_rate is nan"),
        ({"ranks": 2, "timeout_s": 0.0}, "timeout is 0.0"),
        ({"ranks": 2, "seed": -1}, "seed is -1"),
        ({"ranks": 2, "seed": True}, "seed is True"),
    ],
)
def test_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Options(**options)


def test_gpipe_may_have_fewer_micro_batches_than_stages() -> None:
    assert Options(ranks=3, micro_batches=2, schedule="gpipe").per_step(16) == 2


def test_micro_batches_of_the_plan_come_before_ours() -> None:
    assert (Options(ranks=3).per_step(16), Options(ranks=3).per_step(None)) == (16, 6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "megatron"], "engine is 'megatron', expected torch"),
        (["--nproc", "0"], "nproc is 0"),
        (["--nproc", "two"], "invalid int value"),
        ([], "nowhere"),
    ],
)
def test_command_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["run", "--plan", str(tmp_path / "nowhere"), *arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


def test_no_plan_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 2
    assert "--plan" in capsys.readouterr().err


def test_more_processes_than_stages_are_possible() -> None:
    with pytest.raises(UsageError, match="60 ranks were asked for"):
        cut("gpt2", 60)


def test_a_plan_for_inference_does_not_train() -> None:
    plan, _ = planned("gpt2")
    with pytest.raises(UsageError, match="for inference only"):
        open_pipeline(plan.model_copy(update={"inference": plan.training, "training": None}), 2)


def test_a_loss_that_is_not_in_the_trace() -> None:
    with pytest.raises(UsageError, match="holds no loss"):
        cut("wav2vec2")


def test_a_plan_of_devices_is_not_planned_again(tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    device = "kind = 'cpu'\nmemory_gib = 4\nflops_per_s = 3e10\nbytes_per_s = 1e10\nlink_bytes_per_s = 1e9\n"
    file.write_text(f"name = 'here'\ncount = 2\n[device]\n{device}")
    options = {"sequence_length": 8, "config": {"n_layer": 2, "n_embd": 16, "n_head": 2, "vocab_size": 50}}
    plan = partition("gpt2", mode="training", machine=str(file), precision="32.32", **options)  # type: ignore[arg-type]
    opened = open_pipeline(plan, 2)
    assert opened.change is None
    assert [list(modules) for modules in opened.modules] == [stage.modules for stage in plan.training.stages]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="Ask for 2 processes, or plan for 3 devices of 'here'"):
        open_pipeline(plan, 3)
