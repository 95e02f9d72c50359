"""`ipu-partition batch` in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipu_partition import cli
from ipu_partition.batch import SUMMARY_NAME
from ipu_partition.batch import run as running
from ipu_partition.batch.worker import work

from .small import listed, tree

ROOT = Path(__file__).parents[2]
KILLER = """
import os, signal
from transformers import GPT2Config

class Killer(GPT2Config):
    def __init__(self, **fields):
        print("on standard output")
        super().__init__(**fields)
        if fields.get("n_layer") == 9:
            os.kill(os.getpid(), signal.SIGKILL)
        if fields.get("n_layer") == 8:
            raise SystemExit("that is all")
"""
"""Remote code that kills its process, or ends it."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ipu_partition", "batch", *map(str, arguments)]


def called(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=240)


def test_one_process_and_none_give_the_same_bytes(tmp_path: Path, finished: Path) -> None:
    """Two are in the next test."""
    out = tmp_path / "again"
    run = called("--models", listed(tmp_path, "gpt2", "bert"), "--output", out, "--pods", 4, "--jobs", 1, "--json")
    assert run.returncode == 0, run.stderr
    assert run.stdout == (out / SUMMARY_NAME).read_text()
    assert tree(out) == tree(finished)
    assert len(tree(out)) == 1 + 2 * 3


def test_a_killed_process_and_hostile_code_cost_their_models_alone(tmp_path: Path, finished: Path) -> None:
    for name, layers in (("killer", 9), ("leaver", 8)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "killer.py").write_text(KILLER)
        config = {"model_type": "gpt2", "n_layer": layers, "auto_map": {"AutoConfig": "killer.Killer"}}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    more = "".join(json.dumps({"model": str(tmp_path / name)}) + "\n" for name in ("killer", "leaver"))
    models = listed(tmp_path, "gpt2", "bert", more=more)
    out = tmp_path / "killed"
    run = called("--models", models, "--output", out, "--pods", 4, "--jobs", 2, "--json", "--trust-remote-code")
    assert run.returncode == 3, run.stderr
    results = {r["folder"]: r for r in json.loads(run.stdout)["results"]}
    assert [results[f"pod4/{name}-ipu"]["error"] for name in ("killer", "leaver")] == ["killed", "internal"]
    assert "SIGKILL" in results["pod4/killer-ipu"]["reason"]
    assert results["pod4/leaver-ipu"]["reason"] == "SystemExit: that is all"
    assert sorted(r["status"] for r in results.values()) == ["failed", "failed", "fits", "fits"]
    assert tree(out / "pod4") == tree(finished / "pod4")


def test_an_interruption_leaves_whole_folders_and_no_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = listed(tmp_path, *["gpt2"] * 4)
    out = tmp_path / "out"
    arguments = ("--models", models, "--output", out, "--pods", 4, "--jobs", 2)
    process = subprocess.Popen(
        command(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: (out / SUMMARY_NAME).exists())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.splitlines()[-1].startswith("ipu-partition: interrupted; ")
    assert "Traceback" not in stderr
    wait_for(lambda: not in_group(process.pid))
    results = json.loads((out / SUMMARY_NAME).read_text())["results"]
    assert 1 <= len(results) < 4
    assert f"{len(results)} fit" in stdout
    assert len(tree(out)) == 1 + 3 * len(results)
    assert here([*arguments], capsys)[0] == 0
    assert len(tree(out)) == 1 + 3 * 4


def test_going_on_with_nothing_left_needs_no_torch(tmp_path: Path, finished: Path) -> None:
    models = listed(tmp_path, "gpt2", "bert")
    arguments = ["--models", str(models), "--output", str(finished), "--pods", "4"]
    code = (
        f"import sys; from ipu_partition.cli import main; code = main({['batch', *arguments]!r}); "
        "print(code, [name for name in ('torch', 'transformers') if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "0 []"
    assert "2 of them were there already" in run.stdout


def wait_for(done: object) -> None:
    end = time.monotonic() + 120
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def in_group(group: int) -> list[str]:
    """What still runs of a process group."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of, *_ = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(of) == group and state != "Z":
            found.append(status.parent.name)
    return found


def here(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """In this process, where torch is loaded already."""
    code = cli.main(["batch", *map(str, arguments), "--backend", "sequential"])
    return code, *capsys.readouterr()


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    models = listed(tmp_path, "gpt2", more='{"model": "nowhere/at-all"}\n')
    arguments = ["--models", models, "--output", tmp_path / "out", "--pods", 4, 16]
    code, out, err = here(arguments, capsys)
    assert (code, err) == (3, "")
    assert "1 x 16" in out
    assert "nowhere/at-all, pod 4, 16: 'nowhere/at-all' is neither" in out.replace("\n", "")
    assert "4 configurations: 2 fit, 0 do not fit, 2 failed. 0 of them were there already." in out
    assert all(len(line) <= 80 for line in out.splitlines())
    monkeypatch.setenv("COLUMNS", "150")
    code, out, _ = here(arguments, capsys)
    assert code == 3
    assert "text-generation" in out
    assert "2 of them were there already" in out


def test_options_reach_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []
    monkeypatch.setattr(running, "work", lambda job: jobs.append(job) or work(job))
    options = [
        "--sequence-length",
        8,
        "--precision",
        "16.32",
        "--no-outlining",
        "--machines",
        "bow",
        "--mode",
        "inference",
    ]
    code, out, _ = here(
        ["--models", listed(tmp_path, "gpt2"), "--output", tmp_path / "out", "--pods", 2, *options, "--json"], capsys
    )
    assert code == 0
    (job,) = jobs
    assert job.machines == ("bow",)
    assert job.options["sequence_length"] == 16  # the list goes first
    assert (job.options["precision"], job.options["outlining"], job.options["mode"]) == ("16.32", False, "inference")
    (result,) = json.loads(out)["results"]
    assert result["training"] is None


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--output", "x"], "one of the arguments --models --catalogue is required"),
        (["--catalogue", "gpt2"], "--output"),
        (["--catalogue", "gtp2", "--output", "x"], "Did you mean gpt2"),
        (["--catalogue", "gpt2", "--models", "x", "--output", "x"], "not allowed with"),
        (["--models", "/nowhere/at/all", "--output", "x"], "cannot be read"),
        (["--catalogue", "--output", "x", "--pods", "5"], "The pods are 5"),
        (["--catalogue", "--output", "/dev/null"], "no folder"),
        (["--catalogue", "--output", "x", "--jobs", "0"], "0 jobs"),
        (["--catalogue", "--output", "x", "--planner", "nowhere"], "nowhere"),
        (["--catalogue", "--output", "x", "--image-size", "0"], "image_size is 0"),
    ],
)
def test_usage_errors(
    arguments: list[str],
    found: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["batch", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert found in err
    assert err.count("\n") == 1
    assert tree(tmp_path) == {}


def test_a_backend_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipu_partition.batch.backends.find_spec", lambda _: None)
    assert cli.main(["batch", "--catalogue", "--output", str(tmp_path / "x"), "--backend", "dask"]) == 2
    assert "pip install" in capsys.readouterr().err


def test_help_says_what_the_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["batch", "--help"])
    out = capsys.readouterr().out
    for word in ("Exit codes", "130", "--catalogue", "summary.json", "pod size / IPUs", "checked before anything runs"):
        assert word in " ".join(out.split())
