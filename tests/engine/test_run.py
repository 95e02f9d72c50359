"""Real runs: torchrun, gloo, one process for each stage."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ipu_partition import cli, partition
from ipu_partition.engine import Options, run
from ipu_partition.engine.data import micro_batches, numbers, together
from ipu_partition.engine.handed import Job
from ipu_partition.engine.pipeline import train
from ipu_partition.engine.reference import train_alone
from ipu_partition.engine.watch import Done
from ipu_partition.report.run import render_run
from ipu_partition.report.terminal import to_text

from .chained import modules, train_chained
from .conftest import Left
from .small import cut, odd, own, planned, rotary


@pytest.fixture(scope="module")
def plan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a GPT-2 whose head comes back to the device of its embedding."""
    folder = tmp_path_factory.mktemp("plan")
    planned("gpt2")[0].save(folder)
    return folder


def test_on_the_command_line(capfd: pytest.CaptureFixture[str], left: Left, tmp_path: Path) -> None:
    """A model that PyTorch's own tracer of pipelines fails on, of a folder that the plan cannot name."""
    rotary("llama").save_pretrained(tmp_path / "model")
    options = {"task": "text-generation", "target": "poptorch", "sequence_length": 8}
    partition(tmp_path / "model", mode="training", ipus=2, **options).save(tmp_path / "plan")  # type: ignore[arg-type]
    arguments = ["--plan", str(tmp_path / "plan"), "--engine", "torch", "--nproc", "2", "--steps", "3", "--json"]
    more = ["--model", str(tmp_path / "model"), "--learning-rate", "0.01", "--micro-batches", "3"]
    assert cli.main(["run", *arguments, *more]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["passed"] is True
    assert found["largest_difference"] <= 1e-4
    losses = [step["loss"] for step in found["steps"]]
    assert len(set(losses)) == 3
    assert [step["alone_loss"] for step in found["steps"]] == pytest.approx(losses, abs=1e-4)
    assert found["change"] is None
    assert found["gradient_difference"] < 1e-5
    assert (found["schedule"], found["micro_batches"], found["device"]) == ("1f1b", 3, "cpu")
    assert not left()
    assert not list(tmp_path.glob("ipu-partition-run-*"))


def test_four_processes(left: Left) -> None:
    module, given = odd()
    plan = partition(module, mode="training", ipus=2, target="poptorch", **given)
    told: list[str] = []
    options = Options(ranks=4, steps=2, schedule="gpipe", micro_batches=3, seed=4, learning_rate=0.01)
    ran = run(plan, options, module, told.append, **given)
    assert ran.first_difference is None
    assert ran.compared
    assert ran.steps[0].loss != ran.steps[1].loss
    assert len(ran.stages) == 4
    assert ran.gradient_difference is not None
    assert ran.gradient_difference < 1e-5
    assert any(text.startswith("step 2 of 2: loss ") for text in told)
    assert not left()
    shown = to_text(render_run(ran), 100)
    assert "Planned again, one stage on each process: the plan is for 2 devices, 4 processes were asked for" in shown
    assert f"{ran.steps[1].loss:.6f}" in shown


def test_by_hand(plan_folder: Path, tmp_path: Path) -> None:
    """As `emit.torch_pipelining` says, in a process group that the user made."""
    alone, seeds = own(cut("gpt2")), [numbers(0, step, 2) for step in (1, 2)]
    batches = [(s, together(micro_batches(alone.prepared, alone.reopened.spec, s))) for s in seeds]
    torch.save(batches, tmp_path / "batches.pt")
    script = str(Path(__file__).parent / "by_hand.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ranks = [
        subprocess.Popen([sys.executable, script, str(plan_folder), str(tmp_path), str(rank)], env=environment)
        for rank in range(2)
    ]
    assert [process.wait(120) for process in ranks] == [0, 0]
    first, last = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    tied = "transformer.wte.weight"
    torch.testing.assert_close(first["weights"][tied], last["weights"][tied], rtol=0, atol=0)
    job = Job(steps=2, micro_batches=2, schedule="1f1b", seed=0, learning_rate=1e-3, device="cpu")
    assert last["losses"] == pytest.approx([done.loss for done in train_alone(alone, job, lambda _: None)], abs=1e-5)
    torch.testing.assert_close(last["weights"][tied], alone.model.state_dict()[tied], rtol=0, atol=1e-5)


def _untied(pipeline: Any, job: Any, *_: Any) -> Iterator[Done]:
    """What the stages would do if the gradients of copied weights were not summed."""
    for loss in train_chained(pipeline, modules(pipeline), job):
        yield Done(loss, 0.5)


def test_losses_that_differ(
    plan_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.engine.chained._sum_copies", lambda stages: None)
    monkeypatch.setattr("ipu_partition.engine.pipeline._piped", lambda *given: list(_untied(*given)))
    code = cli.main(["run", "--plan", str(plan_folder), "--nproc", "2", "--steps", "3", "--learning-rate", "0.001"])
    shown = capsys.readouterr()
    assert code == 5
    assert "FAILED: the loss of step 2 differs" in shown.out
    assert shown.err.splitlines()[-1].startswith("ipu-partition: the loss of step 2 is ")


def test_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipu_partition.engine.pipeline._piped", lambda *given: list(_untied(*given)))
    ran = train(cut("gpt2"), Options(ranks=2, steps=1, compare=False), lambda _: None)
    assert not ran.compared
    assert ran.alone_step_seconds is None
    assert json.loads(ran.to_json())["passed"] is None
    assert "In one process" not in to_text(render_run(ran))


def test_no_number_is_no_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipu_partition.engine.pipeline._piped", lambda *given: [Done(float("nan"), 0.1)])
    ran = train(own(cut("gpt2")), Options(ranks=2, steps=1), lambda _: None)
    assert ran.first_difference is ran.steps[0]
    found = json.loads(ran.to_json(), parse_constant=lambda text: pytest.fail(text))
    assert (found["steps"][0]["loss"], found["passed"], found["first_difference"]) == (None, False, 1)


def test_importing_the_room_is_light() -> None:
    code = "import ipu_partition.engine, ipu_partition.emit.torch_pipelining, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("package", ["ipu_partition.engine", "ipu_partition.emit.torch_pipelining"])
def test_no_function_is_hidden_by_a_module(package: str) -> None:
    room = importlib.import_module(package)
    for file in Path(str(room.__file__)).parent.glob("[!_]*.py"):
        importlib.import_module(f"{package}.{file.stem}")
    assert not [name for name in room.__all__ if inspect.ismodule(getattr(room, name))]
