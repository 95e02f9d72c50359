"""The baselines keep every constraint, balance what they say they balance, and claim nothing more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planners import (
    Device,
    Feasible,
    Infeasible,
    Planner,
    Problem,
    Schedule,
    SharedGroup,
    Tensor,
    Unit,
    solve,
)
from planners.balanced import Flops, Parameters
from planners.greedy import Greedy
from planners.layers import weight_bytes, work_us
from planners.uniform import Uniform
from tests.planners.problems import problems, returning_problems

BASELINES = (Uniform(), Greedy(), Parameters(), Flops())
thorough = settings(max_examples=150, deadline=None)


def chain(sizes: Sequence[int], devices: int, capacity: int = 10**6, **changes: object) -> Problem:
    """Units of so many bytes, which take as many microseconds."""
    units = tuple(Unit(f"u{i}", float(size), resident_bytes=size) for i, size in enumerate(sizes))
    problem = Problem(units, (Device(capacity),) * devices, Schedule.INFERENCE)
    return replace(problem, **changes)  # type: ignore[arg-type]


def tied(*members: int) -> tuple[SharedGroup, ...]:
    return (SharedGroup("table", members, 0, colocate=True),)


@pytest.mark.parametrize(
    ("sizes", "devices", "expected"),
    [
        ([1, 1, 1, 1, 1, 1], 3, (0, 0, 1, 1, 2, 2)),
        ([5, 1, 1, 1, 1, 1], 2, (0, 1, 1, 1, 1, 1)),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 3, (0, 0, 0, 0, 0, 1, 1, 2, 2)),
        ([1, 1, 1, 9, 1, 1], 3, (0, 0, 0, 1, 2, 2)),
    ],
)
@pytest.mark.parametrize("planner", [Parameters(), Flops()])
def test_shares_are_balanced(planner: Planner, sizes: list[int], devices: int, expected: tuple[int, ...]) -> None:
    assert solve(chain(sizes, devices), planner).assignment == expected


@pytest.mark.parametrize("planner", [Parameters(), Flops()])
def test_what_returns_home_is_borne_there(planner: Planner) -> None:
    """Embedding and head leave device 0 room for one layer; a loss follows the head where layers are sequential."""
    assert solve(chain([4, 2, 2, 2, 2, 2, 2, 4], 2, groups=tied(0, 7)), planner).assignment == (0, 0, 1, 1, 1, 1, 1, 0)
    loss = chain([4, 2, 2, 2, 2, 2, 2, 4, 1], 2, groups=tied(0, 7), sequential=frozenset(range(1, 7)))
    assert solve(loss, planner).assignment == (0, 0, 1, 1, 1, 1, 1, 0, 0)


@pytest.mark.parametrize("planner", [Parameters(), Flops()])
def test_layers_around_a_return_are_parted_there(planner: Planner) -> None:
    """A decoder's embedding goes home to the encoder's: no device but 0 may have layers on both sides of it."""
    layers = frozenset({1, 2, 3, 5, 6, 7, 8, 9})
    both = chain([1, 1, 1, 1, 1, 9, 1, 1, 1, 1], 3, groups=tied(0, 4), sequential=layers)
    assert solve(both, planner).assignment == (0, 0, 0, 0, 0, 1, 2, 2, 2, 2)


def test_bytes_and_time_are_told_apart() -> None:
    problem = chain([1, 1, 1, 9], 2)
    problem = replace(problem, units=tuple(replace(u, forward_us=10 - u.forward_us) for u in problem.units))
    assert solve(problem, Parameters()).assignment == (0, 0, 0, 1)
    assert solve(problem, Flops()).assignment == (0, 0, 1, 1)


def test_a_faster_device_computes_more() -> None:
    problem = replace(chain([1] * 8, 2), devices=(Device(99), Device(99, speed=3.0)))
    assert solve(problem, Flops()).assignment == (0, 0, 1, 1, 1, 1, 1, 1)
    assert solve(problem, Parameters()).assignment == (0, 0, 0, 0, 1, 1, 1, 1)


def test_time_counts_recomputation_and_a_shared_weight_counts_once() -> None:
    units = (Unit("a", 1.0, 2.0, 5), Unit("b", 1.0, 2.0, 5, checkpoint_bytes=1), Unit("c", 1.0, 2.0, 5))
    groups = (SharedGroup("table", (0, 2), 7, colocate=True), SharedGroup("code", (1, 2), 3, colocate=False))
    problem = Problem(units, (Device(99),), Schedule.TRAINING, groups=groups)
    assert work_us(problem) == [4.0, 4.0, 3.0]
    assert work_us(replace(problem, schedule=Schedule.INFERENCE)) == [1.0, 1.0, 1.0]
    assert weight_bytes(problem) == [12, 8, 5]


@pytest.mark.parametrize(
    ("capacity", "planner", "expected"),
    [
        (50, Greedy(), (0, 0, 0, 1, 1, 2)),
        (30, Greedy(), (0, 0, 1, 1, 2, 2)),
        (30, Greedy((100,)), (0, 0, 0, 1, 1, 2)),
        (10**6, Greedy(), (0, 0, 0, 0, 1, 2)),
    ],
)
def test_devices_are_filled_in_order(capacity: int, planner: Greedy, expected: tuple[int, ...]) -> None:
    """60 % of 50 are three units of 10, of 30 only one, which leaves too many to the last; 70 % of 30 are two."""
    assert solve(chain([10] * 6, 3, capacity), planner).assignment == expected


def test_filling_may_leave_the_last_devices_empty() -> None:
    assert solve(chain([10] * 6, 3, 50, allow_empty=True), Greedy()).assignment == (0, 0, 0, 1, 1, 1)


def test_filling_that_never_fits_tells_the_least_lack() -> None:
    found = solve(chain([10] * 6, 3, 15), Greedy())
    assert isinstance(found, Infeasible)
    assert (found.assignment, found.shortfall_bytes, found.proved) == ((0, 1, 2, 2, 2, 2), 25, False)


@pytest.mark.parametrize("levels", [(), (0,), (60, 101)])
def test_fill_levels_are_percentages(levels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="percentages from 1 to 100"):
        Greedy(levels)


@pytest.mark.parametrize("planner", [Greedy(), Parameters(), Flops()])
def test_asked_counts_pins_and_cuts_are_kept(planner: Planner) -> None:
    devices = (Device(99, layers=2), Device(99, min_units=3), Device(99))
    problem = chain([1, 9, 1, 1, 1, 9, 1, 1], 3, pins=((7, 2),), forbidden_cuts=frozenset({4, 5}))
    problem = replace(problem, devices=devices, sequential=frozenset(range(8)))
    assert solve(problem, planner).assignment == (0, 0, 1, 1, 1, 1, 1, 2)


@pytest.mark.parametrize("planner", [Greedy(), Parameters(), Flops()])
def test_contradictions_are_no_solution(planner: Planner) -> None:
    found = solve(chain([1, 1, 1, 1], 2, pins=((1, 1), (2, 0)), sequential=frozenset(range(4))), planner)
    assert isinstance(found, Infeasible)
    assert (found.assignment, found.proved) == (None, False)
    assert "that obeys all constraints" in found.reason


@pytest.mark.parametrize("planner", BASELINES)
@thorough
@given(problem=st.one_of(problems(), returning_problems()))
def test_the_judge_agrees_and_nothing_is_claimed(planner: Planner, problem: Problem) -> None:
    found = solve(problem, planner)
    assert isinstance(found, Feasible | Infeasible)
    if isinstance(found, Feasible):
        assert found.lower_bound == 0.0
    else:
        assert not found.proved
        assert found.least_shortfall_bytes == 0
    assert found == solve(problem, planner)


@pytest.mark.parametrize("planner", BASELINES)
def test_large_problems_take_less_than_seconds(planner: Planner) -> None:
    count = 10_000
    units = tuple(
        Unit(f"u{i}", 1.0 + i % 7, 2.0, 1000 + i % 13, 10, 5 * (i % 3 == 0), code_bytes=1) for i in range(count)
    )
    problem = Problem(
        units,
        (Device(10**9),) * 64,
        Schedule.TRAINING,
        tuple(Tensor(f"t{i}", i, (i + 1,), 100, 100) for i in range(count - 1)),
        (SharedGroup("table", (0, count - 1), 500, True), SharedGroup("code", tuple(range(count)), 500, False)),
        forbidden_cuts=frozenset(range(1, count - 2, 2)),
    )
    begin = time.perf_counter()
    assert isinstance(solve(problem, planner), Feasible)
    assert time.perf_counter() - begin < 5.0
