"""The command line as a user meets it: exit codes, clean stdout, nothing half written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipu_partition.cli import main

SMALL = ["--config", "num_hidden_layers=4", "hidden_size=32", "num_attention_heads=2", "intermediate_size=64"]
BERT = ["--model", "bert-base-uncased", "--sequence-length", "16", *SMALL]


def test_files_and_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BERT, "--ipus", "2", "--output", str(tmp_path / "plan")]) == 0
    names = sorted(p.name for p in (tmp_path / "plan").iterdir())
    assert names == ["ipu_config.json", "ipu_partition_plan.json", "parallelize.py"]
    out, err = capsys.readouterr()
    assert "layers_per_ipu" in out
    assert err == ""


def test_json_is_the_document_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BERT, "--ipus", "2", "--json", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out == (tmp_path / "ipu_partition_plan.json").read_text()
    document = json.loads(out)
    assert document["schema_version"] == 3
    for mode in ("training", "inference"):
        assert {
            "workload",
            "status",
            "fits",
            "layers_per_ipu",
            "stages",
            "blocks",
            "ipus",
            "predicted",
            "solution",
        } <= set(document[mode])


def test_what_does_not_fit_says_by_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", "gpt2", "--ipus", "1", "--mode", "training", "--micro-batch-size", "4"]
    assert main(arguments) == 3
    out = capsys.readouterr().out
    assert "DOES NOT FIT" in out
    assert "--ipus " in out


def test_the_smallest_count_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "gpt2", "--mode", "inference", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["inference"]["workload"]["ipus"]
    assert found in (1, 2, 4)
    if found > 1:
        assert main(["--model", "gpt2", "--mode", "inference", "--json", "--ipus", str(found // 2)]) == 3


def test_a_count_that_is_no_power_of_two_warns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BERT, "--ipus", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["training"]["ipus"]) == 3
    assert any("power of two" in w for w in document["training"]["warnings"])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", ""],
        ["--model", "no-such-model-anywhere"],
        [*BERT, "--ipus", "zero"],
        [*BERT, "--bogus"],
        ["--model", "bert-base-uncased", "--config", "novalue"],
        ["models", "extra"],
    ],
)
def test_usage_errors_are_one_line_on_stderr(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("ipu-partition: ")


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"model_type": "bert", "num_hidden_layers": -1}', '{"model_type": "none-such"}', "[" * 9999]
)
def test_a_corrupt_configuration_is_a_usage_error(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(text)
    output = tmp_path / "out"
    assert main(["--model", str(tmp_path), "--ipus", "2", "--output", str(output)]) == 2
    assert not output.exists()


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    begin = time.perf_counter()
    assert main([*BERT, "--ipus", "2", "--output", str(tmp_path / "file" / "plan")]) == 2
    assert time.perf_counter() - begin < 2
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_traced_exits_4(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from ipu_partition.errors import TraceError

    def refuse(*_: object, **__: object) -> None:
        raise TraceError("BertForMaskedLM cannot be traced. Try another task.")

    monkeypatch.setattr("ipu_partition.prepare.trace", refuse)
    assert main([*BERT, "--ipus", "2"]) == 4
    assert "cannot be traced" in capsys.readouterr().err


def test_the_catalogue_lists_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    from ipu_partition.models import catalogue

    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert all(entry.name in out for entry in catalogue())


def test_help_is_quick_and_needs_no_torch() -> None:
    command = [sys.executable, "-m", "ipu_partition", "--help"]
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - begin)
    assert "--ipus" in run.stdout
    assert min(seconds) < 1.0


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    output = tmp_path / "plan"
    command = [sys.executable, "-m", "ipu_partition", "--model", "gpt2-xl", "--ipus", "8", "--output", str(output)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2.5)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not output.exists()
