"""The mixed-integer planner against exhaustion, and the honesty of what it says about itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
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
    PlannerError,
    Preference,
    Problem,
    Schedule,
    SharedGroup,
    Solution,
    Tensor,
    Unit,
    confirm,
    solve,
)
from planners.brute import Brute
from planners.milp import Milp
from tests.planners.problems import problems, returning_problems

pytest.importorskip("highspy", reason="planner 'milp' needs the optional extra: pip install 'ipu-partition[milp]'")


@st.composite
def demanding(draw: st.DrawFn, base: st.SearchStrategy[Problem]) -> Problem:
    """With what the base leaves at its defaults: preference, least units, numbers of layers."""
    problem = replace(draw(base), prefer=draw(st.sampled_from(Preference)))
    if draw(st.integers(0, 2)) == 0:
        devices = (replace(device, min_units=draw(st.integers(1, 3))) for device in problem.devices)
        problem = replace(problem, devices=tuple(devices))
    return _with_layers(draw, problem) if draw(st.integers(0, 2)) == 0 else problem


def _with_layers(draw: st.DrawFn, problem: Problem) -> Problem:
    left, asked = len(problem.sequential), []
    for _ in problem.devices:
        asked.append(draw(st.none() | st.integers(0, left)))
        left -= asked[-1] or 0
    if asked[-1] is not None:
        asked[-1] += left if None not in asked else 0
    devices = zip(problem.devices, asked, strict=True)
    return replace(problem, devices=tuple(replace(device, layers=layers) for device, layers in devices))


def assert_same(exact: Solution, oracle: Solution) -> None:
    """Every field of the score; and all that is claimed."""
    assert type(exact) is type(oracle)
    assert (exact.assignment is None) == (oracle.assignment is None)
    if isinstance(exact, Optimal):
        assert exact.refined
    if isinstance(exact, Infeasible) and isinstance(oracle, Infeasible):
        assert (exact.shortfall_bytes, exact.proved) == (oracle.shortfall_bytes, oracle.proved)
        assert exact.least_shortfall_bytes == oracle.least_shortfall_bytes
    if exact.evaluation is None or oracle.evaluation is None:
        return
    assert exact.evaluation.key() == pytest.approx(oracle.evaluation.key(), rel=1e-9)
    assert exact.evaluation.peak_bytes == oracle.evaluation.peak_bytes
    assert exact.evaluation.copied_bytes == oracle.evaluation.copied_bytes


def many(examples: int) -> Callable[..., Callable[..., None]]:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@many(130)
@given(demanding(problems()))
def test_equals_exhaustion(problem: Problem) -> None:
    assert_same(solve(problem, Milp()), Brute()(problem))


@many(130)
@given(demanding(returning_problems() | returning_problems(tight=True)))
def test_equals_exhaustion_where_stages_return(problem: Problem) -> None:
    assert_same(solve(problem, Milp()), Brute()(problem))


@many(60)
@given(demanding(problems(most_devices=4, capacity=st.integers(0, 60))))
def test_equals_exhaustion_where_memory_is_short(problem: Problem) -> None:
    assert_same(solve(problem, Milp()), Brute()(problem))


@many(60)
@given(demanding(problems(st.integers(1, 5), most_devices=4)))
def test_equals_exhaustion_where_equal_devices_may_be_empty(problem: Problem) -> None:
    alike = replace(problem, devices=problem.devices[:1] * len(problem.devices), allow_empty=True)
    if alike.devices[0].layers is not None:
        alike = replace(alike, devices=(replace(alike.devices[0], layers=None),) * len(alike.devices))
    assert_same(solve(alike, Milp()), Brute()(alike))


def tied_layers(layers: int, devices: int, capacity_bytes: int = 10**10, **changes: object) -> Problem:
    """An embedding, layers, and a head tied to the embedding, in numbers of a real size."""
    units = [Unit("embedding", 31.7, 63.1, live_bytes=9_000_001, checkpoint_bytes=400_000)]
    layer = Unit("layer", 101.3, 207.9, 28_000_003, 20_000_000, 400_000, 3_000_007, 7_000_000, 200_001)
    units += [replace(layer, name=f"layer {i}", forward_us=101.3 + i % 3) for i in range(layers)]
    units += [Unit("head", 161.9, 320.3, live_bytes=30_000_000), Unit("loss", 20.0, 20.0, live_bytes=30_000_000)]
    problem = Problem(
        tuple(units),
        (Device(capacity_bytes, base_bytes=30_000_000),) * devices,
        Schedule.TRAINING,
        tuple(Tensor(f"hidden {i}", i, (i + 1,), 400_000, 400_000) for i in range(layers + 2)),
        (SharedGroup("table", (0, layers + 1), 160_000_000, colocate=True, update_bytes=40_000_000),),
        copy_us_per_byte=1e-4,
        sequential=frozenset(range(1, layers + 1)),
    )
    return replace(problem, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", [schedule for schedule in Schedule if schedule.returns])
@pytest.mark.parametrize("capacity_bytes", [10**10, 330_000_000, 200_000_000])
def test_agrees_with_chain_where_exhaustion_cannot_go(schedule: Schedule, capacity_bytes: int) -> None:
    problem = tied_layers(17, 5, capacity_bytes, schedule=schedule)
    assert_same(solve(problem, Milp()), solve(problem, "chain"))


def test_a_tied_head_needs_a_stage_more() -> None:
    found = solve(tied_layers(23, 8), Milp())
    assert isinstance(found, Optimal)
    assert found.refined
    assert len(found.evaluation.stages) == 9


@many(60)
@given(demanding(returning_problems() | problems()), st.integers(0, 400))
def test_claims_no_more_than_was_proved(problem: Problem, ticks: int) -> None:
    """Each look at the clock takes a second."""
    seconds = count()
    found, best = Milp(float(ticks))(problem, clock=lambda: float(next(seconds))), Brute()(problem)
    confirm(problem, found)
    if isinstance(found, Infeasible):
        assert not found.proved or isinstance(best, Infeasible)
        least = best.shortfall_bytes if isinstance(best, Infeasible) else 0
        assert found.least_shortfall_bytes <= least
        return
    assert not isinstance(best, Infeasible)
    assert found.lower_bound <= best.evaluation.leading * (1 + 1e-9)


def test_past_its_time_it_says_so() -> None:
    unlike = tuple(Device(10**10, 1.0 + index / 37) for index in range(16))
    problem = replace(tied_layers(300, 16, sequential=frozenset(), allow_empty=True), devices=unlike)
    begin = time.perf_counter()
    found = solve(problem, Milp(time_limit=3.0))
    assert time.perf_counter() - begin < 3.0 * 1.1 + 2.0
    assert isinstance(found, Feasible)
    assert 0 < found.lower_bound < found.evaluation.objective_us


def test_too_large_a_problem_gets_what_needs_no_search() -> None:
    found = solve(tied_layers(4_000, 32, allow_empty=True, groups=()), Milp(time_limit=20.0))
    assert isinstance(found, Feasible)
    assert 0 < found.lower_bound < found.evaluation.objective_us


def test_without_any_time_it_answers_with_what_needs_no_search() -> None:
    problem = replace(tied_layers(4, 2), pins=((1, 1),))
    found, best = solve(problem, Milp(time_limit=0.0)), solve(problem, Milp())
    assert isinstance(found, Feasible)
    assert isinstance(best, Optimal)
    assert found.lower_bound <= best.evaluation.leading <= found.evaluation.leading


@many(30)
@given(demanding(problems() | returning_problems()))
def test_same_input_same_answer(problem: Problem) -> None:
    assert Milp()(problem) == Milp()(problem)


def test_contradictions_are_proved_and_told_from_lack_of_memory() -> None:
    units = tuple(Unit(name, 1.0) for name in "abcd")
    table = (SharedGroup("table", (0, 3), 1, colocate=True),)
    problem = Problem(units, (Device(9),) * 2, Schedule.INFERENCE, groups=table, pins=((0, 0), (3, 1)))
    found = solve(problem, Milp())
    assert isinstance(found, Infeasible)
    assert found.proved
    assert found.assignment is None
    for side in ("'d' is pinned to device 1", "'a' comes first"):
        assert side in found.reason


def test_a_solver_that_disagrees_with_the_judge_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    from planners.milp import search

    problem, honest = tied_layers(5, 3, prefer=Preference.MEMORY), search.solve
    assert isinstance(solve(problem, Milp()), Optimal)

    def loose(model: object, start: Sequence[int] | None, left: Callable[[], float]) -> object:
        outcome = honest(model, start, left)  # type: ignore[arg-type]
        return replace(outcome, bound=outcome.bound * 0.99)

    monkeypatch.setattr(search, "solve", loose)
    found = solve(problem, Milp())
    assert isinstance(found, Feasible)
    assert found.lower_bound < found.evaluation.leading


def test_missing_solver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(PlannerError, match=r"needs highspy.*pip install 'ipu-partition\[milp\]'"):
        Milp()(tied_layers(3, 2))


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_refuses_a_limit_that_is_none(limit: float) -> None:
    with pytest.raises(ValueError, match="time_limit"):
        Milp(time_limit=limit)
