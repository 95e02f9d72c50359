"""Time limits on a real clock, Ctrl-C, and memory, with graphs that no planner solves in the time it has."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from planners.documents import read_problem
from tests.planners.graph.documents import Document

ROOT = Path(__file__).parent.parent.parent.parent
GRACE_S = 3.0
"""For starting Python and the solvers, reading the file and the machines that tests run on."""
MOST_BYTES = 2 * 10**9
PLANNERS = ("ideals", "cpsat", "auto")


def hard(nodes: int, chains: int) -> Document:
    """Chains side by side that trade data here and there: astronomically many orders, and no time is like another."""
    random = Random(nodes)
    pairs = {(i - chains, i) for i in range(chains, nodes)}
    for _ in range(nodes // 2):
        early, late = sorted(random.sample(range(nodes), 2))
        pairs.add((early, late))
    costs = [random.uniform(0, 3) for _ in range(nodes)]
    return {
        "maxSizePerFPGA": 9 * nodes // 6,
        "maxFPGAs": 8,
        "maxCPUs": 2,
        "nodes": [
            {"id": i, "supportedOnFpga": 1, "isBackwardNode": 0, "size": random.randint(0, 18), "colorClass": None}
            | {"fpgaLatency": random.uniform(1, 9), "cpuLatency": random.uniform(30, 90)}
            for i in range(nodes)
        ],
        "edges": [{"sourceId": a, "destId": b, "cost": costs[a]} for a, b in sorted(pairs)],
    }  # fmt: skip


def _needs(planner: str) -> None:
    if planner != "ideals":
        pytest.importorskip("ortools")


def _command(folder: Path, document: Document, planner: str, seconds: float) -> list[str]:
    file = folder / "graph.json"
    file.write_text(json.dumps(document))
    return [sys.executable, "-m", "planners", "solve", str(file), "--planner", planner, "--time-limit", str(seconds)]


def _honest(document: Document, answer: dict[str, Any]) -> None:
    assert answer["status"] == "feasible"
    assert 0 < answer["lower_bound"] < answer["objective"]
    assert answer["gap"] == pytest.approx(1 - answer["lower_bound"] / answer["objective"])
    judged = read_problem(json.dumps(document)).judgement(json.dumps(answer))
    assert (judged["fits"], judged["differences"]) == (True, [])


@pytest.mark.parametrize(
    ("nodes", "chains", "planner"),
    [(400, 40, "auto"), (15000, 1, "auto"), *((2000, 20, planner) for planner in PLANNERS)],
)
def test_limits_hold_and_the_gap_is_honest(nodes: int, chains: int, planner: str, tmp_path: Path) -> None:
    _needs(planner)
    document = hard(nodes, chains)
    begin = time.perf_counter()
    command = _command(tmp_path, document, planner, 4)
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    seconds = time.perf_counter() - begin
    assert (run.returncode, run.stderr) == (0, "")
    answer = json.loads(run.stdout)
    assert answer["seconds"] < 4 * 1.1 + GRACE_S / 10
    assert seconds < 4 * 1.1 + GRACE_S
    _honest(document, answer)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_BYTES


@pytest.mark.parametrize("planner", PLANNERS)
def test_interrupting_prints_the_best_plan_so_far(planner: str, tmp_path: Path) -> None:
    _needs(planner)
    document = hard(400, 40)
    command = _command(tmp_path, document, planner, 60)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(4)
        assert process.poll() is None, "the problem is too easy for this test"
        begin = time.perf_counter()
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert time.perf_counter() - begin < GRACE_S
    assert "Traceback" not in error
    assert process.returncode == 0, error
    _honest(document, json.loads(out))


def test_a_limit_of_nothing_is_refused(tmp_path: Path) -> None:
    command = _command(tmp_path, hard(20, 3), "ideals", 0)
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout) == (2, "")
    assert "--time-limit" in run.stderr
