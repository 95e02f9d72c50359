"""Time limits on a real clock, and Ctrl-C: where code between two looks at the clock would show."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from planners import Problem, SharedGroup, solve
from planners.problem_json import to_json
from tests.planners.test_chain import tied_layers

ROOT = Path(__file__).parent.parent.parent
GRACE_S = 2.0
"""For set-up, and for the machines that tests run on."""


def hard(units: int, devices: int, ties: int) -> Problem:
    """Far from solved in seconds: tied units all over the chain, and nothing that keeps others in order."""
    problem, random = tied_layers(units - 3, devices, sequential=False), Random(units)
    groups = (SharedGroup(f"tie {i}", tuple(sorted(random.sample(range(units), 2))), 9, True) for i in range(ties))
    return replace(problem, groups=(*problem.groups, *groups))


@pytest.mark.parametrize("planner", ["chain{time_limit=2}", "milp{time_limit=2}"])
@pytest.mark.parametrize(("units", "devices", "ties"), [(60, 8, 4), (300, 16, 20), (1000, 16, 10)])
def test_limits_hold_where_much_may_return(planner: str, units: int, devices: int, ties: int) -> None:
    if planner.startswith("milp"):
        pytest.importorskip("highspy")
    begin = time.perf_counter()
    solve(hard(units, devices, ties), planner)
    assert time.perf_counter() - begin < 2 * 1.1 + GRACE_S


def test_constraints_by_the_ten_thousand_are_read_in_time() -> None:
    problem = tied_layers(20_000, 16, sequential=False)
    cuts = replace(problem, groups=(), forbidden_cuts=frozenset(range(0, 20_000, 2)))
    begin = time.perf_counter()
    solve(cuts, "chain{time_limit=2}")
    assert time.perf_counter() - begin < 2 * 1.1 + 2 * GRACE_S


@pytest.mark.parametrize("planner", ["chain{time_limit=60}", "milp{time_limit=60}"])
def test_interrupting_ends_the_search(planner: str, tmp_path: Path) -> None:
    if planner.startswith("milp"):
        pytest.importorskip("highspy")
    file = tmp_path / "problem.json"
    file.write_text(to_json(hard(100, 12, 3)))
    command = [sys.executable, "-m", "planners", "solve", str(file), "--planner", planner]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(5)
        assert process.poll() is None, "the problem is too easy for this test"
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in error
