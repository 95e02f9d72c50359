"""The planners of graphs against exhaustion: thousands of random problems, a third of which fit nowhere."""

from __future__ import annotations

from random import Random

import pytest

from planners import Feasible, Infeasible, Optimal, solve
from planners.graph.problem import GraphProblem
from tests.planners.graph.literal import best
from tests.planners.graph.problems import problem
from tests.planners.graph.same import assert_optimal, assert_possible

SHARDS = 10
EXACT = {"ideals": 150, "auto": 20, "brute": 10}
"""Problems in a shard."""


def _problems(first: int, count: int, most_nodes: int = 7) -> list[tuple[int, GraphProblem]]:
    return [(seed, problem(Random(seed), most_nodes)) for seed in range(first, first + count)]


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("planner", EXACT)
def test_exact_planners_find_the_optimum(planner: str, shard: int) -> None:
    count = EXACT[planner]
    for seed, built in _problems(shard * count, count, 5 if planner == "brute" else 7):
        assert_optimal(built, solve(built, planner), best(built), seed)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_linear_is_valid_and_never_below_the_optimum(shard: int) -> None:
    kinds = set()
    for seed, built in _problems(shard * 150, 150):
        found = solve(built, "linear")
        kinds.add(type(found))
        assert_possible(built, found, best(built), seed)
    assert kinds == {Optimal, Feasible, Infeasible}


@pytest.mark.parametrize("shard", range(5))
def test_the_integer_program_finds_the_optimum(shard: int) -> None:
    pytest.importorskip("ortools")
    for seed, built in _problems(shard * 12, 12):
        assert_optimal(built, solve(built, "cpsat"), best(built), seed)


@pytest.mark.parametrize("planner", ["linear", "ideals", "auto"])
@pytest.mark.parametrize("limit", [0, 0.001])
def test_what_is_claimed_in_no_time_is_true(planner: str, limit: float) -> None:
    for seed, built in _problems(0, 100):
        assert_possible(built, solve(built, f"{planner}{{time_limit={limit}}}"), best(built), seed)
