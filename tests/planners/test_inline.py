"""The planner of stages in device order against exhaustion, and the 1F1B schedule against sums done by hand."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from ipu_partition.testing import planner_contract
from planners import (
    Device,
    Infeasible,
    Optimal,
    Preference,
    Problem,
    Schedule,
    SharedGroup,
    Tensor,
    Unit,
    confirm,
    evaluate,
    solve,
)
from planners.brute import Brute
from planners.inline import Inline
from planners.inline.places import in_order, places_of
from tests.planners.problems import few, flowing_problems, problems
from tests.planners.same import assert_same

FLOWING = Problem(
    units=tuple(Unit(f"u{i}", 1.0, 2.0, resident_bytes=10, live_bytes=5, transient_bytes=3) for i in range(4)),
    devices=(Device(100),) * 2,
    schedule=Schedule.ONE_F_ONE_B,
    tensors=tuple(Tensor(f"t{i}", i, (i + 1,), 4, 4) for i in range(3)),
    groups=(SharedGroup("table", (0, 3), 20, colocate=False),),
    copy_us_per_byte=0.25,
)


def in_device_order(problem: Problem) -> Problem:
    """The same with all units in order."""
    devices = tuple(replace(device, layers=None) for device in problem.devices)
    return replace(problem, devices=devices, sequential=frozenset(range(len(problem.units))))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(flowing_problems() | problems(few, wide=True).map(in_device_order))
def test_every_field_equals_that_of_the_oracle(problem: Problem) -> None:
    found, best = Inline()(problem), Brute()(problem)
    confirm(problem, found)
    if problem.schedule is Schedule.SHARDED:
        assert type(found) is type(best)
        if isinstance(found, Optimal) and isinstance(best, Optimal):
            assert not found.refined
            assert found.evaluation.leading == pytest.approx(best.evaluation.leading, rel=1e-9)
    else:
        assert_same(found, best)


def test_it_keeps_the_contract_of_planners() -> None:
    """On problems with returns it proves nothing; in 1F1B everything."""
    report = planner_contract("inline", examples=150, most_units=6)
    assert report.optimal > 20
    assert report.feasible > 10
    exact = planner_contract("inline", examples=150, exact=True, most_units=6, schedules=[Schedule.ONE_F_ONE_B])
    assert exact.optimal > 50
    assert exact.infeasible > 10
    assert exact.feasible == exact.missed == 0


def test_one_f_one_b_by_hand() -> None:
    """Two units and a tensor each way on both devices; the first of two stages has two micro-batches under way."""
    found = evaluate(FLOWING, (0, 0, 1, 1))
    assert found.objective_us == 2 * 3.0 + 0.25 * 8
    first, last = found.devices[0].memory, found.devices[1].memory
    assert (first.resident, first.shared, first.live, first.stash, first.transient) == (20, 20, 2 * 10, 0, 3)
    assert (last.resident, last.shared, last.live, last.stash, last.transient) == (20, 20, 10, 4, 3)
    single = evaluate(replace(FLOWING, micro_batches=1), (0, 0, 1, 1))
    assert single.devices[0].memory.live == 10
    slow = evaluate(replace(FLOWING, copy_us=5.0), (0, 0, 1, 1))
    assert slow.objective_us == found.objective_us + 2 * 5.0
    assert "which runs one stage" in evaluate(FLOWING, (0, 1, 1, 0)).violations[0]


def test_the_faster_device_gets_more_units() -> None:
    problem = replace(FLOWING, devices=(Device(1000, 1.0), Device(1000, 3.0)), copy_us_per_byte=0.0)
    assert solve(problem, "inline").assignment == (0, 1, 1, 1)


def test_memory_decides_where_it_is_short_and_is_reported_where_it_never_suffices() -> None:
    """The first stage keeps twice the activations: 3 of 4 units do not fit there, nor do 2 in less."""
    assert solve(replace(FLOWING, devices=(Device(63), Device(100))), "inline").assignment == (0, 0, 1, 1)
    problem = replace(FLOWING, devices=(Device(62), Device(40)))
    found, best = solve(problem, "inline"), Brute()(problem)
    assert isinstance(found, Infeasible)
    assert isinstance(best, Infeasible)
    assert found.proved
    assert found.shortfall_bytes == found.least_shortfall_bytes == best.shortfall_bytes


def test_contradictions_are_named() -> None:
    found = Inline()(replace(FLOWING, pins=((0, 1), (3, 0))))
    assert isinstance(found, Infeasible)
    assert found.proved
    assert "each of 2 devices must hold a unit; unit 'u3' is pinned to device 0" in found.reason
    assert "in the order of the devices" in found.reason


def test_where_a_run_may_begin() -> None:
    problem = replace(FLOWING, forbidden_cuts=frozenset({2}), groups=(SharedGroup("tie", (0, 1), 1, colocate=True),))
    assert places_of(problem) == [0, 2, 4]
    assert in_order(problem)
    returning = replace(problem, schedule=Schedule.TRAINING)
    assert not in_order(returning)
    assert in_order(replace(returning, sequential=frozenset(range(4))))


@pytest.mark.parametrize("planner", ["chain", "milp"])
def test_other_exact_planners_refuse_what_they_do_not_know(planner: str) -> None:
    if planner == "milp":
        pytest.importorskip("highspy")
    with pytest.raises(ValueError, match=f"planner '{planner}' does not know the schedule '1f1b-training'; use inline"):
        solve(FLOWING, planner)
    with pytest.raises(ValueError, match="does not know copy_us"):
        solve(replace(FLOWING, schedule=Schedule.INFERENCE, copy_us=1.0), planner)


@pytest.mark.parametrize(
    ("planner", "assignment"),
    [("uniform", (0, 0, 1, 1)), ("flops", (0, 0, 1, 1)), ("greedy", (0, 0, 1, 1)), ("parameters", (0, 1, 1, 1))],
)
def test_baselines_know_it(planner: str, assignment: tuple[int, ...]) -> None:
    assert solve(FLOWING, planner).assignment == assignment


def test_too_many_places_are_refused() -> None:
    with pytest.raises(ValueError, match="4 places, more than its limit of 3"):
        Inline(limit=3)(FLOWING)
    with pytest.raises(ValueError, match="limit 0"):
        Inline(limit=0)


def test_memory_first() -> None:
    """Most activations wait in the first stage, so the least memory is needed where that is short."""
    problem = replace(FLOWING, groups=(), prefer=Preference.MEMORY)
    found = solve(problem, "inline")
    assert isinstance(found, Optimal)
    assert_same(found, Brute()(problem))
    assert found.assignment == (0, 0, 1, 1)
    assert found.lower_bound == 20 + 20 + 3


def test_hundreds_of_units_on_many_devices_take_seconds() -> None:
    units = tuple(Unit(f"u{i}", 1.0 + i % 7, 2.0, 10, 5, transient_bytes=3) for i in range(400))
    tensors = tuple(Tensor(f"t{i}", i, tuple(range(i + 1, min(i + 3, 400))), 4, 4) for i in range(399))
    problem = Problem(units, (Device(10_000),) * 32, Schedule.ONE_F_ONE_B, tensors, copy_us_per_byte=0.01)
    begin = time.perf_counter()
    assert isinstance(solve(problem, "inline"), Optimal)
    assert time.perf_counter() - begin < 30
