"""The exact planner against exhaustion, and the honesty of what it says about itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planners import (
    Device,
    Feasible,
    Infeasible,
    Optimal,
    Problem,
    Schedule,
    SharedGroup,
    Tensor,
    Unit,
    evaluate,
)
from planners.brute import Brute
from planners.chain import Chain
from tests.planners.problems import problems, returning_problems
from tests.planners.same import assert_same

thorough = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@thorough
@given(returning_problems(wide=True), st.integers(0, 6))
def test_claims_no_more_than_was_proved(problem: Problem, rows: int) -> None:
    found, best = Chain(rows=rows)(problem), Brute()(problem)
    if isinstance(found, Infeasible):
        assert not found.proved or isinstance(best, Infeasible)
        assert found.assignment is None or found.evaluation == evaluate(problem, found.assignment)
        return
    assert found.evaluation.valid
    assert found.evaluation.fits
    assert best.evaluation is not None
    least = best.evaluation.leading
    if isinstance(found, Optimal):
        assert found.evaluation.leading == pytest.approx(least, rel=1e-9)
    else:
        assert found.lower_bound <= least * (1 + 1e-9)


def tied_layers(layers: int, devices: int, *, sequential: bool, capacity_bytes: int = 10**9) -> Problem:
    """An embedding, layers, and a head tied to the embedding."""
    units = [Unit("embedding", 3.0, 6.0, live_bytes=9)]
    units += [Unit(f"layer {i}", 10.0, 20.0, 100, 50, 4, 30) for i in range(layers)]
    units += [Unit("head", 8.0, 16.0, live_bytes=30), Unit("loss", 1.0, 1.0, live_bytes=5)]
    return Problem(
        tuple(units),
        (Device(capacity_bytes),) * devices,
        Schedule.TRAINING,
        tuple(Tensor(f"hidden {i}", i, (i + 1,), 4, 4) for i in range(layers + 2)),
        (SharedGroup("table", (0, layers + 1), 500, colocate=True),),
        copy_us_per_byte=0.01,
        sequential=frozenset(range(1, layers + 1)) if sequential else frozenset(),
    )


def test_sequential_layers_leave_next_to_nothing_to_guess() -> None:
    found = Chain(rows=600)(tied_layers(97, 8, sequential=True))
    assert isinstance(found, Optimal)
    assert len(found.evaluation.stages) == 9


def test_a_free_return_stays_cheap() -> None:
    found = Chain(rows=3000)(tied_layers(60, 8, sequential=False))
    assert isinstance(found, Optimal)


def test_past_its_time_it_says_so() -> None:
    problem = tied_layers(30, 4, sequential=False)
    seconds = count()
    found = Chain(time_limit=3.0)(problem, clock=lambda: float(next(seconds)))
    best = Chain()(problem)
    assert isinstance(found, Feasible)
    assert isinstance(best, Optimal)
    assert 0 < found.lower_bound <= best.evaluation.objective_us <= found.evaluation.objective_us


def test_without_any_time_it_answers_with_what_needs_no_search() -> None:
    problem = tied_layers(10, 4, sequential=True)
    found, best = Chain(rows=0)(problem), Chain()(problem)
    assert isinstance(found, Feasible)
    assert isinstance(best, Optimal)
    assert 0 < found.lower_bound <= best.evaluation.objective_us <= found.evaluation.objective_us


def test_without_any_time_nothing_is_claimed() -> None:
    """Nothing fits, but that takes a search to know."""
    found = Chain(rows=0)(tied_layers(10, 4, sequential=True, capacity_bytes=500))
    assert isinstance(found, Infeasible)
    assert not found.proved
    assert found.least_shortfall_bytes == 0
    assert "in time" in found.reason


def test_least_lack_of_memory_names_the_device() -> None:
    found = Chain()(tied_layers(10, 2, sequential=True, capacity_bytes=900))
    assert isinstance(found, Infeasible)
    assert found.proved
    assert found.evaluation is not None
    assert found.evaluation.shortfall_bytes == found.shortfall_bytes > 0
    lacks = [load.shortfall_bytes for load in found.evaluation.devices]
    assert f"lacks {found.shortfall_bytes} bytes on device {lacks.index(found.shortfall_bytes)}" in found.reason


@given(problems())
@settings(max_examples=50, deadline=None)
def test_same_input_same_answer(problem: Problem) -> None:
    assert Chain()(problem) == Chain()(problem)


def test_a_tie_binds_where_nothing_is_pipelined_too() -> None:
    """Unit d would save a copy on device 2, but its partner b is on device 1."""
    problem = Problem(
        tuple(Unit(name, 1.0) for name in "abcd"),
        (Device(9),) * 3,
        Schedule.SHARDED,
        (Tensor("far", 0, (3,), 9), Tensor("near", 2, (3,), 1)),
        (SharedGroup("table", (1, 3), 1, colocate=True),),
        copy_us_per_byte=1.0,
        pins=((1, 1), (2, 2)),
    )
    found = Chain()(problem)
    assert_same(found, Brute()(problem))
    assert found.assignment == (0, 1, 2, 1)


def test_layers_stay_low_where_a_later_layer_returns() -> None:
    """The last layer is pinned to device 0, so no layer may be on device 1, however uneven that is."""
    units = tuple(Unit(name, 5.0) for name in "abcd")
    problem = Problem(units, (Device(9),) * 2, Schedule.INFERENCE, pins=((3, 0),), sequential=frozenset({0, 1, 3}))
    found = Chain()(problem)
    assert_same(found, Brute()(problem))
    assert found.assignment == (0, 0, 1, 0)


def test_a_later_return_may_take_over_work() -> None:
    """After the first return one device is still unvisited, but the second return takes unit e from it."""
    units = tuple(Unit(name, us) for name, us in zip("abcdef", (0.0, 0.0, 0.0, 0.0, 1.0, 1.0), strict=True))
    ties = (SharedGroup("first", (0, 2), 4, True), SharedGroup("second", (1, 3), 4, True))
    problem = Problem(units, (Device(99),) * 3, Schedule.INFERENCE, groups=ties)
    assert_same(Chain()(problem), Brute()(problem))


def test_a_later_return_may_make_sending_unnecessary() -> None:
    """Unit a would have to send to e, were e not to return to its device."""
    units = tuple(Unit(name, us) for name, us in zip("abcyde", (1.0, 8.0, 1.0, 4.0, 8.0, 1.0), strict=True))
    far = (Tensor("far", 0, (5,), 15),)
    pins = ((0, 0), (1, 1), (2, 0), (4, 1), (5, 0))
    problem = Problem(units, (Device(99),) * 2, Schedule.INFERENCE, far, copy_us_per_byte=1.0, pins=pins)
    found = Chain()(problem)
    assert_same(found, Brute()(problem))
    assert found.assignment == (0, 1, 0, 0, 1, 0)


def test_what_one_return_makes_and_another_reads_is_kept_between() -> None:
    """Five stages: made in stage 2 and read in stage 4 of the same device, so three steps pass before its backward."""
    units = tuple(Unit(name, 1.0) for name in "abcde")
    pins = tuple(enumerate((0, 1, 0, 1, 0)))
    problem = Problem(units, (Device(29),) * 2, Schedule.TRAINING, (Tensor("skip", 2, (4,), 10),), pins=pins)
    found = Chain()(problem)
    assert_same(found, Brute()(problem))
    assert isinstance(found, Infeasible)
    assert found.shortfall_bytes == 1


UNITS = tuple(Unit(name, 1.0) for name in "abcd")
PLAIN = Problem(UNITS, (Device(9),) * 3, Schedule.INFERENCE)
TIE = (SharedGroup("table", (0, 3), 1, colocate=True),)


@pytest.mark.parametrize(
    ("problem", "sides"),
    [
        (replace(PLAIN, groups=TIE, pins=((0, 0), (3, 1))), ("'a'", "'d' is pinned to device 1")),
        (replace(PLAIN, pins=((0, 2),)), ("'a' is pinned to device 2", "every device must hold a unit")),
        (
            replace(PLAIN, pins=((1, 0), (2, 1)), forbidden_cuts=frozenset({1})),
            ("'b' is pinned to device 0", "'c' is pinned to device 1"),
        ),
        (
            replace(PLAIN, pins=((1, 2), (2, 1)), sequential=frozenset({1, 2})),
            ("'b' is pinned to device 2", "'c' is pinned to device 1"),
        ),
        (replace(PLAIN, forbidden_cuts=frozenset({0, 1})), ("each of 3 devices", "only 2 sets of units")),
        (
            replace(PLAIN, pins=((1, 2),)),
            ("'b' is pinned to device 2", "each of the 2 devices before must hold a unit"),
        ),
        (
            replace(PLAIN, groups=TIE, pins=((2, 1),), forbidden_cuts=frozenset({2})),
            ("'c' is pinned to device 1", "'a' comes first"),
        ),
    ],
)
def test_contradictions_name_both_sides(problem: Problem, sides: tuple[str, str]) -> None:
    found = Chain()(problem)
    assert isinstance(found, Infeasible)
    assert found.proved
    assert found.assignment is None
    for side in sides:
        assert side in found.reason
    assert isinstance(Brute()(problem), Infeasible)
