"""Planners by name."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from planners import registry
from planners.brute import Brute
from planners.chain import Chain
from planners.registry import PlannerError, names, parse, specification
from planners.uniform import Uniform


@pytest.mark.parametrize(
    ("spec", "planner"),
    [
        ("chain", Chain()),
        ("chain{}", Chain()),
        (" chain { time_limit = 30 , rows=5 } ", Chain(30.0, 5)),
        ("chain{time_limit=0.5 rows=5}", Chain(0.5, 5)),
        ("uniform{layers=3,7,-1,-1}", Uniform((3, 7, -1, -1))),
        ("uniform{layers=3}", Uniform((3,))),
        ("brute{limit=9}", Brute(9)),
    ],
)
def test_specifications_are_understood_and_round_trip(spec: str, planner: registry.Planner) -> None:
    assert parse(spec) == planner
    assert parse(specification(planner)) == planner


def test_shortest_specification() -> None:
    assert specification(Chain()) == "chain"
    assert specification(Uniform((4, -1))) == "uniform{layers=4,-1}"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            "magic",
            "there is no planner 'magic'; there are auto, brute, chain, cpsat, flops, greedy, ideals, inline, linear, "
            "milp, parameters, uniform",
        ),
        ("chain{speed=3}", "'chain' has no option 'speed'; it has time_limit, rows"),
        ("chain{time_limit=soon}", "time_limit is 'soon', expected float"),
        ("chain{time_limit=1 time_limit=2}", "option time_limit is given twice: 1.0 and 2"),
        ("chain{rows=1.5}", "rows is '1.5', expected int"),
        ("uniform{layers=1,x}", "layers is '1,x'"),
        ("chain{30}", "options '30' are not understood"),
        ("chain{", "is not understood"),
    ],
)
def test_what_is_not_understood_is_named(spec: str, words: str) -> None:
    with pytest.raises(PlannerError) as refused:
        parse(spec)
    assert words in str(refused.value)


def test_other_packages_add_planners(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("exhaustive", "planners.brute:Brute", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert parse("exhaustive{limit=3}") == Brute(3)
    assert set(names()) == {*registry.BUILT_IN, "exhaustive"}
    assert names() == tuple(sorted(names()))


def test_two_planners_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("chain", "elsewhere:Chain", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(PlannerError, match="two planners are called 'chain'"):
        names()


def test_words_and_planners_load_without_numpy() -> None:
    code = "import planners, sys; planners.parse('chain'); planners.parse('uniform'); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
