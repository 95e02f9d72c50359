"""What a search claims is printed only where the judge and the other searches do not contradict it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

import planners.graph.answer as answer
import planners.linear
from planners import Feasible, Infeasible, Optimal, solve
from planners.cli import main
from planners.graph.document import graph_from_dict
from planners.graph.problem import GraphProblem
from planners.graph.race import Race
from planners.registry import WrongAnswerError
from tests.planners.graph.documents import chained
from tests.planners.graph.literal import Literal

Search = Callable[[Race], None]
DOCUMENT = chained(Random(5), 6)
PROBLEM = graph_from_dict(DOCUMENT).problem


def good(race: Race) -> None:
    planners.linear.search(race)


def missing(race: Race) -> None:
    race.offer([(0, tuple(range(len(race.blocks.members) - 1)))])


def double(race: Race) -> None:
    everything = tuple(range(len(race.blocks.members)))
    race.offer([(0, everything), (1, everything[:1])])


def reversed_(race: Race) -> None:
    early, late = race.blocks.before[0]
    rest = tuple(block for block in range(len(race.blocks.members)) if block not in (early, late))
    race.offer([(0, (late,)), (0, (early, *rest))])


def crowded(race: Race) -> None:
    race.offer([(1, (block,)) for block in range(len(race.blocks.members))])


def lost(race: Race) -> None:
    race.offer([(7, tuple(range(len(race.blocks.members))))])


def forged(race: Race) -> None:
    """A plan that lacks memory and a value that it has not, past the door."""
    race.stages, race.value_us = ((0, tuple(range(len(race.blocks.members)))),), 1e-3


def raising(race: Race) -> None:
    raise RuntimeError("the solver fell over")


def nothing(race: Race) -> None:
    pass


NONSENSE = (missing, double, reversed_, crowded, lost, raising)


@pytest.mark.parametrize("search", NONSENSE)
def test_nonsense_beside_a_good_search_changes_nothing(search: Search) -> None:
    expected = answer.run(PROBLEM, "test", [good, nothing], 5.0)
    found = answer.run(PROBLEM, "test", [good, search], 5.0, forgiving=True)
    assert found == expected
    assert isinstance(found, (Feasible, Optimal))
    assert Literal(PROBLEM, found.assignment).valid()


@pytest.mark.parametrize("search", NONSENSE)
def test_a_planner_whose_own_search_fails_has_no_answer(search: Search) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"plan|fell over"):
        answer.run(PROBLEM, "test", [good, search], 5.0)


@pytest.mark.parametrize("search", NONSENSE)
def test_nonsense_alone_is_no_answer(search: Search) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"plan|fell over"):
        answer.run(PROBLEM, "test", [search], 5.0)


@pytest.mark.parametrize("search", NONSENSE)
def test_nonsense_first_leaves_the_others_their_chance(search: Search) -> None:
    found = answer.run(PROBLEM, "test", [search, good], 5.0, forgiving=True)
    assert isinstance(found, (Feasible, Optimal))
    assert Literal(PROBLEM, found.assignment).valid()


@pytest.mark.parametrize("bound", [lambda value: value * 1.001, lambda value: value * 2, lambda _: float("inf")])
def test_a_bound_above_a_known_plan_is_never_an_optimum(bound: Callable[[float], float]) -> None:
    def boasting(race: Race) -> None:
        race.prove(bound(race.value_us))

    with pytest.raises(WrongAnswerError, match="bound"):
        answer.run(PROBLEM, "test", [good, boasting], 5.0)


def test_a_plan_after_nothing_was_said_to_fit_is_a_contradiction() -> None:
    def hopeless(race: Race) -> None:
        race.prove(float("inf"))
        race.offer([(1, tuple(range(len(race.blocks.members))))])

    with pytest.raises(WrongAnswerError, match="bound"):
        answer.run(PROBLEM, "test", [hopeless], 5.0)


@pytest.mark.parametrize("bound", [float("nan"), -1.0])
def test_bounds_that_say_nothing_prove_nothing(bound: float) -> None:
    found = answer.run(PROBLEM, "test", [lambda race: race.prove(bound), good], 5.0)
    assert isinstance(found, (Feasible, Optimal))
    assert found.lower_bound <= float(Literal(PROBLEM, found.assignment).value())


def test_a_value_that_is_not_so_is_not_believed() -> None:
    roomy = replace(PROBLEM, devices=tuple(replace(device, capacity_bytes=99) for device in PROBLEM.devices))
    found = answer.run(roomy, "test", [forged], 5.0)
    assert isinstance(found, Feasible)
    assert found.evaluation.objective_us == float(Literal(roomy, found.assignment).value())


def test_memory_that_lacks_is_found_by_the_judge() -> None:
    with pytest.raises(WrongAnswerError, match="memory"):
        answer.run(PROBLEM, "test", [forged], 5.0)


class Liar:
    """Says what it is told to, as a solution."""

    takes = GraphProblem

    def __init__(self, change: Callable[[Optimal], object]) -> None:
        self.change = change

    def __call__(self, problem: GraphProblem) -> object:
        best = _best(problem)
        return self.change(Optimal(best.assignment, best.evaluation, "liar"))


def _best(problem: GraphProblem) -> Feasible | Optimal:
    found = solve(problem, "linear")
    assert isinstance(found, (Feasible, Optimal))
    return found


LIES: dict[str, Callable[[Optimal], object]] = {
    "other numbers": lambda s: replace(s, evaluation=replace(s.evaluation, objective_us=1.0)),
    "another assignment": lambda s: replace(s, assignment=(3,) * len(s.assignment)),
    "too short an assignment": lambda s: replace(s, assignment=s.assignment[:-1]),
    "no such device": lambda s: replace(s, assignment=(99,) * len(s.assignment)),
    "too high a bound": lambda s: Feasible(s.assignment, s.evaluation, "liar", s.evaluation.objective_us * 2),
    "infeasible though it fits": lambda s: Infeasible("liar", "no", 5, True, s.assignment, s.evaluation, 5),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_solve_refuses_what_the_judge_does_not_confirm(lie: str) -> None:
    with pytest.raises(ValueError, match="the judge rejects"):
        solve(PROBLEM, Liar(LIES[lie]))  # type: ignore[arg-type]


@pytest.mark.parametrize("search", [*NONSENSE, forged])
def test_the_command_prints_nothing_that_is_not_so(
    search: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planners.linear.planner, "search", lambda race, *_: search(race))
    file = tmp_path / "graph.json"
    file.write_text(json.dumps({**DOCUMENT, "maxSizePerFPGA": 1}))
    code = main(["solve", str(file), "--planner", "linear"])
    out, error = capsys.readouterr()
    assert (code in (1, 2), out) == (True, "")
    assert error.count("\n") == 1
