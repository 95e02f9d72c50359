"""`python -m planners` with graphs: what is printed, and what is confirmed of an answer from outside."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks.generated import WORKLOADS
from planners.cli import main
from tests.planners.graph.documents import chained

KEYS = {"status", "objective", "lower_bound", "gap", "seconds", "assignment", "planner", "reason"}
FILE = str(WORKLOADS / "LayerGraphs_bert24_training.json")


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(list(arguments))
    out, error = capsys.readouterr()
    assert error == ""
    return code, json.loads(out)


def test_an_answer_has_all_that_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = answer(capsys, "solve", FILE, "--planner", "ideals", "--time-limit", "20")
    assert (code, found["status"], found["planner"], found["reason"]) == (0, "optimal", "ideals", None)
    assert set(found) >= KEYS
    nodes = json.loads(Path(FILE).read_text())["nodes"]
    assert set(found["assignment"]) == {str(node["id"]) for node in nodes}
    assert set(found["assignment"].values()) <= {*(f"acc{i}" for i in range(6)), "cpu0"}


def test_what_fits_nowhere_ends_with_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps({**chained(Random(1), 9), "maxSizePerFPGA": 8, "maxCPUs": 0}))
    code, found = answer(capsys, "solve", str(file), "--planner", "ideals")
    assert (code, found["status"], found["proved"]) == (3, "infeasible", True)
    assert found["reason"]
    assert {key: found[key] for key in ("objective", "lower_bound", "gap")} == dict.fromkeys(
        ("objective", "lower_bound", "gap")
    )
    assert set(found) >= KEYS


def test_the_standard_input_and_files_serve_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(FILE, encoding="utf-8") as given:
        monkeypatch.setattr("sys.stdin", given)
        target = tmp_path / "answer.json"
        assert main(["solve", "-", "--planner", "linear", "--output", str(target)]) == 0
    assert capsys.readouterr() == ("", "")
    assert set(json.loads(target.read_text())) >= KEYS


@pytest.mark.parametrize("planner", ["linear", "ideals"])
def test_the_same_graph_gets_the_same_answer(planner: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = [answer(capsys, "solve", FILE, "--planner", planner)[1] for _ in range(2)]
    for one in found:
        assert one.pop("seconds") > 0
    assert found[0] == found[1]


LIES: dict[str, dict[str, Any]] = {
    "a lower objective": {"objective": 30.0},
    "a bound above the objective": {"lower_bound": 50.0},
    "infeasible": {"status": "infeasible"},
    "all on one": {"assignment": "acc0"},
    "another gap": {"gap": 0.5},
    "a negative gap": {"gap": -3.0},
    "optimal without a bound": {"status": "optimal", "lower_bound": None},
    "a bound of nothing": {"status": "infeasible", "assignment": None},
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_so_is_not_confirmed(lie: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = answer(capsys, "solve", FILE, "--planner", "linear")
    target = tmp_path / "answer.json"
    target.write_text(json.dumps(found))
    assert answer(capsys, "evaluate", FILE, str(target))[0] == 0
    wrong = {**found, **LIES[lie]}
    if wrong["assignment"] == "acc0":
        wrong["assignment"] = dict.fromkeys(found["assignment"], wrong["assignment"])
    target.write_text(json.dumps(wrong))
    code, judged = answer(capsys, "evaluate", FILE, str(target))
    assert (code, judged["confirmed"]) == (5, False)
    assert judged["differences"]


def test_chain_planners_refuse_graphs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", FILE, "--planner", "chain"]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert "ideals" in error
