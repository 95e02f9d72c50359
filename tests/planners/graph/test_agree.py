"""Graphs too large for exhaustion: two exact planners that share no search, and `linear`, say the same."""

from __future__ import annotations

import json
from random import Random

import pytest

from planners import Feasible, Infeasible, Optimal, solve
from planners.documents import read_problem
from planners.evaluate import TIE
from planners.graph.problem import GraphProblem
from tests.planners.graph.documents import chained
from tests.planners.graph.literal import Literal
from tests.planners.graph.problems import problem
from tests.planners.graph.same import assert_confirmed

SECONDS = 8


def _problem(seed: int) -> GraphProblem:
    random = Random(seed)
    if seed % 2:
        return problem(random, most_nodes=60, most_devices=5, least_nodes=20)
    found = read_problem(json.dumps(chained(random, random.randint(20, 60)))).problem
    assert isinstance(found, GraphProblem)
    return found


@pytest.mark.parametrize("seed", range(24))
def test_ideals_and_the_integer_program_agree(seed: int) -> None:
    pytest.importorskip("ortools")
    built = _problem(seed)
    found = [solve(built, f"{name}{{time_limit={SECONDS}}}") for name in ("ideals", "cpsat")]
    exact = [answer for answer in found if not isinstance(answer, Feasible)]
    assert exact, found
    if any(isinstance(answer, Infeasible) for answer in exact):
        assert all(isinstance(answer, Infeasible) for answer in found)
        return
    values = [assert_confirmed(built, answer, seed) for answer in found if not isinstance(answer, Infeasible)]
    least = min(answer.evaluation.objective_us for answer in exact if isinstance(answer, Optimal))
    assert all(value >= least * (1 - TIE) for value in values)
    assert all(answer.lower_bound <= least * (1 + TIE) for answer in found if isinstance(answer, Feasible))
    if len(exact) == 2:
        assert values[0] == pytest.approx(values[1], rel=TIE)


@pytest.mark.parametrize("seed", range(24))
def test_linear_is_never_better_than_ideals(seed: int) -> None:
    built = _problem(seed)
    exact, quick = solve(built, f"ideals{{time_limit={SECONDS}}}"), solve(built, "linear")
    if isinstance(quick, Infeasible):
        assert not quick.proved or isinstance(exact, Infeasible)
        return
    assert not isinstance(exact, Infeasible)
    assert Literal(built, quick.assignment).valid()
    assert quick.evaluation.objective_us >= exact.lower_bound * (1 - TIE)
