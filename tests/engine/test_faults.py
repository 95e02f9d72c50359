"""Stages that fail, hang or are killed, and users that interrupt: the run says the right word and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ipu_partition.engine import Options
from ipu_partition.engine.failures import EngineError
from ipu_partition.engine.faults import VARIABLE
from ipu_partition.engine.files import JOB
from ipu_partition.engine.interruptions import interruptions
from ipu_partition.engine.orphans import children
from ipu_partition.engine.pipeline import train

from .conftest import Left
from .small import cut, planned

ROOT = str(Path(__file__).parents[2])
SOON_S = 30.0
"""In which a run is to be over that has lost a stage."""


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("fault", "timeout_s", "said"),
    [
        ("crash:1:2", None, r"^rank 1 \(stage 1\) failed in step 2: InjectedError: the stage was told to fail$"),
        ("kill:0:2", None, r"^rank 0 \(stage 0\) was killed by signal 9 \(SIGKILL\), perhaps for lack of memory"),
        ("hang:1:2", 3.0, r"^rank 1 \(stage 1\) has not finished step 2 for 3 s: it was computing micro-batch 1"),
        ("freeze:0:2", 3.0, r"^rank 0 \(stage 0\) has not finished step 2 for 3 s: it has given no sign of life"),
    ],
)
def test_a_stage(
    fault: str, timeout_s: float | None, said: str, monkeypatch: pytest.MonkeyPatch, left: Left, tmp_path: Path
) -> None:
    first: list[float] = []

    def progress(text: str) -> None:
        if text.startswith("step 1 of 3"):
            first.append(time.monotonic())

    monkeypatch.setenv(VARIABLE, fault)
    options = Options(ranks=2, steps=3, micro_batches=2, timeout_s=timeout_s)
    before = children(os.getpid())
    with pytest.raises(EngineError, match=said) as caught:
        train(cut("gpt2"), options, progress)
    assert first, "the first step was done"
    assert time.monotonic() - first[0] < SOON_S
    assert "\n" not in str(caught.value)
    assert not left()
    assert children(os.getpid()) == before
    assert not list(tmp_path.iterdir())


def test_an_interruption_while_a_stage_hangs(left: Left, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    planned("gpt2")[0].save(plan)
    command = [sys.executable, "-m", "ipu_partition", "run", "--plan", str(plan), "--nproc", "2", "--no-compare"]
    environment = {**os.environ, VARIABLE: "hang:1:2", "PYTHONPATH": ROOT}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: any(tmp_path.glob("ipu-partition-run-*/done-0.jsonl")))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SOON_S)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "ipu-partition: interrupted."
    assert not left()
    assert not list(tmp_path.glob("ipu-partition-run-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interruptions_wait_until_processes_can_be_stopped(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruptions() as interrupted:
        interrupted.check()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            interrupted.check()
    with interruptions() as interrupted:
        interrupted.at_once = True
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)  # while it stops, others change nothing
    assert signal.getsignal(number) is before


def test_nothing_outlives_a_run_that_is_killed(left: Left, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / JOB)  # the ranks wait for somebody to write
    code = (
        "import pathlib, sys, time\nfrom ipu_partition.engine.launch import Torchrun\n"
        "Torchrun(pathlib.Path(sys.argv[1]), 2)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": ROOT})
    try:
        until(lambda: len(list(tmp_path.glob("state-*.json"))) == 2)
        assert len(left()) == 4
    finally:
        process.kill()
        process.wait()
    until(lambda: not left(), 10.0)
