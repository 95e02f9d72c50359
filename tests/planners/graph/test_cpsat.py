"""The integer program against exhaustion, and how little its process is trusted with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from planners import Infeasible, Optimal, PlannerError, solve
from planners.auto import Auto
from planners.cpsat import CpSat, process, search
from planners.documents import read_problem
from planners.evaluate import TIE
from planners.graph.blocks import blocks_of
from planners.graph.problem import GraphProblem, Kind, Node, PricedTensor
from planners.graph.race import Race
from planners.problem import Device
from planners.registry import WrongAnswerError
from tests.planners.graph.literal import best
from tests.planners.graph.same import assert_optimal
from tests.planners.graph.test_limits import hard

pytest.importorskip("ortools", reason="planner 'cpsat' needs the optional extra: pip install 'ipu-partition[graphs]'")

ROOT = Path(__file__).parent.parent.parent.parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_rounds_find_the_optimum_of_random_graphs(first: int) -> None:
    command = [sys.executable, "-m", "tests.planners.graph.cpsat_many", str(first), "100"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 5, "too few graphs have several sequences of pools"


def chain(works: list[tuple[float, float]], accelerators: int, cpus: int, capacity: int = 100) -> GraphProblem:
    """Nodes in a row, of one byte, with times on an accelerator and on a CPU (negative: cannot run there)."""
    nodes = [Node(f"n{i}", tuple(None if t < 0 else t for t in times), 1) for i, times in enumerate(works)]
    return GraphProblem(
        tuple(nodes),
        (Kind("acc"), Kind("cpu", pays=False, bounded=False)),
        (Device(capacity),) * accelerators + (Device(0),) * cpus,
        (0,) * accelerators + (1,) * cpus,
        tuple(PricedTensor(i, (i + 1,), 1) for i in range(len(works) - 1)),
    )


@pytest.mark.parametrize("place", range(5))
def test_a_cpu_may_be_anywhere_among_the_accelerators(place: int) -> None:
    works = [(-1.0, 5.0) if node == place else (4.0, 90.0) for node in range(5)]
    built = chain(works, 2, 1, capacity=4)
    assert_optimal(built, solve(built, "cpsat"), best(built), place)


def test_memory_alone_makes_it_infeasible() -> None:
    built = chain([(1.0, -1.0)] * 7, 3, 0, capacity=2)
    found = solve(built, "cpsat")
    assert isinstance(found, Infeasible)
    assert found.proved


def test_without_ortools_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["planners.cpsat.search"], "find_spec", lambda name: None)
    with pytest.raises(PlannerError, match=r"pip install 'ipu-partition\[graphs\]'"):
        CpSat()(chain([(1.0, 1.0)], 1, 0))


@pytest.mark.parametrize("options", ["workers=0", "time_limit=-1"])
def test_options_that_make_no_sense_are_refused(options: str) -> None:
    with pytest.raises(ValueError, match="expected 1 or more, 0 or more"):
        solve(chain([(1.0, 1.0)], 1, 0), f"cpsat{{{options}}}")


class Liar:
    """In place of the solver's process; says what it is told to."""

    messages: tuple[Any, ...] = ()

    def __init__(self, task: Any) -> None:
        self._left = list(self.messages)

    def __enter__(self) -> Liar:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def hear(self, seconds: float) -> Any:
        if not self._left:
            raise EOFError
        return self._left.pop(0)

    def know(self, value_us: float) -> None:
        pass

    def failure(self) -> str | None:
        return None


WRONG = {
    "infeasible": {"infeasible": True},
    "bound above a plan": {"bound_us": 10.0},
    "endless bound": {"bound_us": float("inf")},
    "bound that is no number": {"bound_us": float("nan")},
    "plan that takes longer": {"plan": [[0, [0, 1]]], "most_us": 5.0},
    "plan without a block": {"plan": [[0, [0]]], "most_us": 5.0},
    "plan with a block twice": {"plan": [[0, [0, 1]], [0, [1]]], "most_us": 50.0},
    "plan against the order": {"plan": [[0, [1]], [0, [0]]], "most_us": 50.0},
    "plan with too many stages": {"plan": [[0, [0]], [0, [1]], [0, [2]]], "most_us": 50.0, "nodes": 3},
    "plan on a pool that does not exist": {"plan": [[0, [0]], [1, [1]]], "most_us": 50.0},
    "plan of a block that does not exist": {"plan": [[0, [0]], [0, [-1]]], "most_us": 50.0},
    "plan that lacks memory": {"plan": [[0, [0, 1]]], "most_us": 9.0, "capacity": 1},
    "nonsense": {"hello": 1},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_be_checked_is_not_believed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = dict(WRONG[name])
    built = chain([(4.0, 4.0)] * said.pop("nodes", 2), 2, 0, said.pop("capacity", 2))
    race = Race(blocks_of(built), 5.0)
    if "plan" not in said:
        race.offer([(0, [0]), (0, [1])])
    before = race.value_us, race.stages
    monkeypatch.setattr(process, "Solver", type("Told", (Liar,), {"messages": (said, {"bound_us": 4.5})}))
    with pytest.raises(PlannerError):
        search(race)
    assert race.bound_us == 0.0
    if race.stages is not None and race.stages != before[1]:
        assert race.value_us == 8.0, "a valid plan is kept, at the value that it has"


def test_what_is_so_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race(blocks_of(chain([(4.0, 4.0), (4.0, 4.0)], 2, 0)), 5.0)
    said = (None, {"plan": [[0, [0]], [0, [1]]], "most_us": 5.0}, {"bound_us": 4.5}, {"bound_us": 5.0})
    monkeypatch.setattr(process, "Solver", type("Told", (Liar,), {"messages": said}))
    search(race)
    assert race.solved
    assert (race.value_us, race.bound_us) == (5.0, 5.0)


def test_a_lie_never_reaches_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    built = chain([(7.0, 9.0), (2.0, 9.0), (5.0, 9.0), (4.0, 9.0)], 2, 1)
    least = best(built)
    assert least is not None
    monkeypatch.setattr(process, "Solver", type("Told", (Liar,), {"messages": ({"infeasible": True},)}))
    with pytest.raises(WrongAnswerError, match="does not believe its solver"):
        CpSat(time_limit=5)(built)
    found = Auto(time_limit=5)(built)
    assert isinstance(found, Optimal)
    assert found.lower_bound == pytest.approx(float(least), rel=TIE)


@linux
def test_a_solver_that_is_killed_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race(_hard(), 30.0)
    start = process.Solver.__init__

    def killed(self: process.Solver, task: Any) -> None:
        start(self, task)
        os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(process.Solver, "__init__", killed)
    with pytest.raises(PlannerError, match="ended with -9"):
        search(race)
    assert race.bound_us == 0.0
    assert race.seconds_left > 20


@linux
def test_a_solver_without_memory_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    race = Race(_hard(), 30.0)
    code = "import planners.cpsat.watch as w, planners.cpsat.child as c; w.MOST_BYTES = 10**8; c.main()"
    real = subprocess.Popen
    monkeypatch.setattr(process.subprocess, "Popen", lambda command, **k: real([command[0], "-c", code], **k))
    search(race)
    assert race.stages is None
    assert race.seconds_left > 20


@linux
def test_the_time_limit_holds_and_no_process_is_left() -> None:
    race = Race(_hard(), 3.0)
    begin = time.perf_counter()
    search(race)
    assert time.perf_counter() - begin < 3.3
    assert not _descendants(os.getpid())


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_it_is_interrupted(how: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(hard(400, 40)))
    command = [sys.executable, "-m", "planners", "solve", str(file), "--planner", "cpsat", "--time-limit", "60"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        children = _until(lambda: _descendants(running.pid), 10.0)
        assert len(children) == 1
        time.sleep(1.0)
        running.send_signal(how)
        running.wait(10)
    assert _until(lambda: not any(map(_alive, children)), 5.0)


def _hard() -> Any:
    loaded = read_problem(json.dumps(hard(200, 20))).problem
    assert isinstance(loaded, GraphProblem)
    return blocks_of(loaded)


def _until(asked: Any, seconds: float) -> Any:
    until = time.perf_counter() + seconds
    while not (found := asked()) and time.perf_counter() < until:
        time.sleep(0.05)
    return found


def _descendants(pid: int) -> list[int]:
    """Children of all threads that are the solver's."""
    return [child for child in _children(pid) if "planners.cpsat.child" in _command(child)]


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                yield from map(int, (thread / "children").read_text().split())


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _alive(pid: int) -> bool:
    return bool(_command(pid))
