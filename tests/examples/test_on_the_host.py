"""train.py under Python 3.8 with the real optimum-graphcore, where `make conformance` has built that environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from ipu_partition import PartitionPlan
from tests.conformance.environment import REQUIREMENTS, NoInterpreterError, find_interpreter, place, ready

HERE = Path(__file__).resolve().parent
STEPS = 4
GRADIENT_ACCUMULATION = 64


@pytest.fixture
def host_python() -> Path:
    try:
        interpreter = find_interpreter(os.environ, Path.home())
    except NoInterpreterError as error:
        pytest.skip(str(error))
    python = ready(place(interpreter, REQUIREMENTS.read_bytes(), os.environ, Path.home()))
    if python is None:
        pytest.skip("the environment of the IPU host is not built; `make conformance` builds it")
    return python


def test_the_real_ipu_trainer_trains_the_plan(
    host_python: Path, scripts: SimpleNamespace, example: Path, xrays: Path, tmp_path: Path
) -> None:
    """Data, precision, schedule and placement are those of an IPU; only the computing is done by the CPU."""
    plan_arguments = ["--model", str(example / "tiny"), "--gradient-accumulation", str(GRADIENT_ACCUMULATION)]
    scripts.plan.main([*plan_arguments, "--output", str(tmp_path / "plan")])
    record = train_on(host_python, example, xrays, tmp_path)

    assert record["batches"] == [GRADIENT_ACCUMULATION] * STEPS
    assert record["dtypes"] == [["torch.float16"]] * 2
    plan = PartitionPlan.from_pretrained(tmp_path / "plan")
    for mode, planned in plan.modes().items():
        counted = [0] * 4
        for layer in range(4):
            (ipu,) = record["ipus"][mode][f"vit.encoder.layer.{layer}.layernorm_before.weight"]
            counted[ipu] += 1
        assert counted == planned.layers_per_ipu
        assert record["ipus"][mode]["vit.embeddings.cls_token"] == [0]
        assert record["ipus"][mode]["classifier.weight"] == [3]

    history = json.loads((tmp_path / "results" / "trainer_state.json").read_text())["log_history"]
    rates = [entry["learning_rate"] for entry in history if "loss" in entry]
    assert rates == pytest.approx([1e-3, 0.75e-3, 0.25e-3, 0], abs=1e-9)
    metrics = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert metrics["eval_images"] == 81
    assert metrics["eval_findings"] == 14
    written = json.loads((tmp_path / "results" / "ipu_config.json").read_text())
    assert written["gradient_accumulation_steps"] == GRADIENT_ACCUMULATION
    assert written["layers_per_ipu"] == plan.modes()["training"].layers_per_ipu


def train_on(python: Path, example: Path, xrays: Path, folder: Path) -> dict[str, dict[str, dict[str, list[int]]]]:
    """What tests/examples/ipu_host.py recorded."""
    standin = HERE.parents[1] / "ipu_partition" / "verify"
    where = {
        "--data": xrays,
        "--model": example / "tiny",
        "--ipu-config": folder / "plan",
        "--output": folder / "results",
    }
    how = {"--epochs": 1, "--learning-rate": 1e-3, "--logging-steps": 1}
    arguments = [str(part) for pair in (where | how).items() for part in pair]
    command = [str(python), "-B", str(HERE / "ipu_host.py"), str(folder / "record.json"), *arguments, "--from-config"]
    paths = os.pathsep.join([str(standin), str(example)])
    env = os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert ran.returncode == 0, ran.stderr[-2000:]
    record: dict[str, dict[str, dict[str, list[int]]]] = json.loads((folder / "record.json").read_text())
    return record
