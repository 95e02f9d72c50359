"""The cuts the baselines choose among are the valid ones, and those they choose are the most balanced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, combinations_with_replacement

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planners import Device, Problem, Schedule, SharedGroup, Unit, evaluate, solve, violations
from planners.balanced import Flops, Parameters, least_cuts
from planners.cuts import completions, ends_of
from planners.filling import Filling, Needs
from planners.layers import weight_bytes, work_us
from planners.row import Row, row_of
from tests.planners.problems import problems

thorough = settings(max_examples=200, deadline=None)


@st.composite
def plain(draw: st.DrawFn) -> Problem:
    units = [
        Unit(f"u{i}", float(draw(st.integers(0, 20))), resident_bytes=draw(st.integers(0, 20)))
        for i in range(draw(st.integers(1, 9)))
    ]
    count = draw(st.integers(1, min(4, len(units))))
    devices = tuple(Device(10**6, draw(st.sampled_from((1.0, 2.0, 0.5)))) for _ in range(count))
    return Problem(tuple(units), devices, Schedule.INFERENCE)


@thorough
@given(plain())
def test_no_other_cuts_of_a_plain_chain_are_more_balanced(problem: Problem) -> None:
    count, devices = len(problem.units), len(problem.devices)
    every = [(0, *inner, count) for inner in combinations(range(1, count), devices - 1)]
    for planner, weights, rates in (
        (Parameters(), weight_bytes(problem), [1.0] * devices),
        (Flops(), work_us(problem), [device.speed for device in problem.devices]),
    ):
        least = min(_largest(weights, rates, cuts) for cuts in every)
        found = solve(problem, planner).assignment
        assert found is not None
        cuts = [sum(on < device for on in found) for device in range(devices + 1)]
        assert _largest(weights, rates, cuts) == pytest.approx(least, rel=1e-9)


def _largest(weights: Sequence[float], rates: Sequence[float], cuts: Sequence[int]) -> float:
    runs = zip(cuts, cuts[1:], rates, strict=False)
    return max(sum(weights[start:stop]) / rate for start, stop, rate in runs)


@st.composite
def homely(draw: st.DrawFn) -> Problem:
    """Some units tied to the first one, counts asked for: what real models are made of."""
    count = draw(st.integers(2, 9))
    home = sorted({0, *draw(st.sets(st.integers(1, count - 1), max_size=3))})
    others = [unit for unit in range(count) if unit not in home]
    layers = [unit for unit in others if draw(st.booleans())] if draw(st.booleans()) else []
    devices = draw(st.integers(1, 4))
    asked = _some_counts(draw, len(layers), devices)
    return Problem(
        tuple(Unit(f"u{i}", 1.0, resident_bytes=draw(st.integers(0, 9))) for i in range(count)),
        tuple(Device(10**6, min_units=draw(st.sampled_from((1, 1, 2))), layers=asked[i]) for i in range(devices)),
        Schedule.INFERENCE,
        groups=(SharedGroup("table", tuple(home), 0, colocate=True),),
        forbidden_cuts=frozenset(draw(st.sets(st.sampled_from(others), max_size=2)) if others else ()) - {count - 1},
        sequential=frozenset(layers),
        allow_empty=draw(st.booleans()) or devices > count,
    )


def _some_counts(draw: st.DrawFn, layers: int, devices: int) -> list[int | None]:
    if not layers or draw(st.booleans()):
        return [None] * devices
    cuts = sorted(draw(st.lists(st.integers(0, layers), min_size=devices - 1, max_size=devices - 1)))
    counts = [stop - start for start, stop in zip((0, *cuts), (*cuts, layers), strict=True)]
    return [n if draw(st.booleans()) else None for n in counts]


@thorough
@given(homely())
def test_cuts_are_those_that_obey_the_constraints(problem: Problem) -> None:
    row = row_of(problem)
    ends = ends_of(row)
    valid = [cuts for cuts in _every(row) if not violations(problem, row.assignment(cuts))]
    allowed = [
        cuts
        for cuts in _every(row)
        if all(
            (start == stop and end.stay[start]) or (start < stop and end.first[start] <= stop <= end.last[start])
            for end, start, stop in zip(ends, (0, *cuts), cuts, strict=False)
        )
    ]
    assert allowed == valid
    assert bool(completions(ends)[0][0]) == bool(valid)
    best = least_cuts(row, weight_bytes(problem), [1.0] * len(problem.devices), 1.0)
    assert (best in valid) if valid else (best is None)
    shares = [_held(problem, row.assignment(cuts)) for cuts in valid]
    assert best is None or _held(problem, row.assignment(best)) == min(shares)


def _every(row: Row) -> Iterator[tuple[int, ...]]:
    count = len(row.blocks)
    return ((*cuts, count) for cuts in combinations_with_replacement(range(count + 1), len(row.fixed) - 1))


def _held(problem: Problem, assignment: Sequence[int]) -> int:
    held = [0] * len(problem.devices)
    for weight, device in zip(weight_bytes(problem), assignment, strict=True):
        held[device] += weight
    return max(held)


@thorough
@given(problems(), st.data())
def test_filling_estimates_a_plain_pipeline_as_the_judge_does(problem: Problem, data: st.DataObject) -> None:
    groups = tuple(replace(group, colocate=False) for group in problem.groups)
    devices = problem.devices[: len(problem.units)]
    plain = replace(
        problem, devices=devices, pins=(), groups=groups, forbidden_cuts=frozenset(), sequential=frozenset()
    )
    row, count = row_of(plain), len(plain.units)
    inner = st.sets(st.integers(1, count - 1), min_size=len(devices) - 1, max_size=len(devices) - 1)
    cuts = [*sorted(data.draw(inner) if len(devices) > 1 else ()), count]
    judged = evaluate(plain, row.assignment(cuts))
    for device, (start, stop) in enumerate(zip((0, *cuts), cuts, strict=False)):
        filling = Filling(Needs.of(row), device, start)
        held = [filling.with_block(row.blocks[block]) for block in range(start, stop)]
        assert held[-1] == judged.devices[device].memory.total
