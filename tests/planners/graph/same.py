"""Whether a planner of graphs says what exhaustion says."""

from __future__ import annotations

from fractions import Fraction

import pytest

from planners import Feasible, Infeasible, Optimal, Solution
from planners.evaluate import TIE
from planners.graph.problem import GraphProblem
from tests.planners.graph.literal import Literal


def assert_optimal(problem: GraphProblem, found: Solution, least: Fraction | None, where: object) -> None:
    """``least``: the value of the best assignment; ``None`` where none fits."""
    if least is None:
        assert isinstance(found, Infeasible), where
        assert found.proved, where
        return
    assert isinstance(found, Optimal), (where, found)
    assert assert_confirmed(problem, found, where) == pytest.approx(float(least), rel=TIE), where


def assert_possible(problem: GraphProblem, found: Solution, least: Fraction | None, where: object) -> None:
    """Valid, no better than the best, and a bound that is true; nothing at all where nothing fits."""
    if isinstance(found, Infeasible):
        assert least is None or not found.proved, where
        return
    assert least is not None, where
    value = assert_confirmed(problem, found, where)
    assert value >= float(least) * (1 - TIE), where
    assert found.lower_bound <= float(least) * (1 + TIE), where


def assert_confirmed(problem: GraphProblem, found: Optimal | Feasible, where: object) -> float:
    """The value, by the oracle."""
    said = Literal(problem, found.assignment)
    assert said.valid(), where
    assert said.fits(), where
    assert found.evaluation.objective_us == float(said.value()), where
    return float(said.value())
