"""The baseline splits layers as optimum-graphcore does.

The counts below are what `_expand_layers_per_ipu_wildcard` of optimum-graphcore 0.7.1 itself returned for these
arguments; a sweep of 31,080 small ones differed only where that returns negative counts.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners import Device, Feasible, Infeasible, Problem, Schedule, SharedGroup, Unit, evaluate
from planners.uniform import Uniform, layer_counts


@pytest.mark.parametrize(
    ("layers", "devices", "count", "expected"),
    [
        ([-1], 4, 24, [6, 6, 6, 6]),
        ([-1], 2, 9, [4, 5]),
        ([-1, -1, -1], 3, 8, [2, 2, 4]),
        ([3, -1, -1, 2], 4, 12, [3, 3, 4, 2]),
        ([-1, 0, -1, 5], 4, 12, [3, 0, 4, 5]),
        ([3, 7, 7, 7], 4, 24, [3, 7, 7, 7]),
        ([3, 7, 7, 7], 1, 24, [24]),
        ([-1], 8, 6, [0, 0, 0, 0, 0, 0, 0, 6]),
        ([-1], 3, 0, [0, 0, 0]),
        ([0, -1], 2, 7, [0, 7]),
        ([12, -1], 2, 12, [12, 0]),
        ([-1, 20, -1], 3, 23, [1, 20, 2]),
        ([5, 5], 1, 24, [24]),
    ],
)
def test_counts_of_published_forms(layers: list[int], devices: int, count: int, expected: list[int]) -> None:
    assert layer_counts(layers, devices, count) == expected


@pytest.mark.parametrize(
    ("layers", "devices", "words"),
    [
        ([-2, 3], 2, "expected counts of at least 0"),
        ([-2], 1, "expected counts of at least 0"),
        ([3, 7], 4, "are for 2 devices, but there are 4"),
        ([-1, -1], 4, "are for 2 devices, but there are 4"),
        ([-1, -1, 3], 4, "are for 3 devices, but there are 4"),
        ([3, 7], 2, "add up to 10 without wildcards, but there are 24"),
        ([30, -1], 2, "add up to 30 without wildcards, but there are 24"),
    ],
)
def test_impossible_counts_say_why(layers: list[int], devices: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        layer_counts(layers, devices, 24)


@given(st.lists(st.integers(-1, 9), min_size=2, max_size=8), st.integers(0, 60))
def test_counts_cover_all_layers_and_keep_what_was_asked(layers: list[int], count: int) -> None:
    fixed = sum(n for n in layers if n >= 0)
    if fixed > count or (-1 not in layers and fixed != count):
        with pytest.raises(ValueError, match="add up"):
            layer_counts(layers, len(layers), count)
        return
    counts = layer_counts(layers, len(layers), count)
    assert sum(counts) == count
    assert all(asked in (-1, given) for asked, given in zip(layers, counts, strict=True))
    shares = [given for asked, given in zip(layers, counts, strict=True) if asked == -1]
    assert len(set(shares[:-1])) <= 1
    assert not shares or shares[0] <= shares[-1] < shares[0] + len(shares)


def problem(names: str, devices: int) -> Problem:
    """Capital letters are sequential layers."""
    units = tuple(Unit(name, 1.0) for name in names)
    layers = frozenset(i for i, name in enumerate(names) if name.isupper())
    return Problem(units, (Device(100),) * devices, Schedule.TRAINING, sequential=layers)


def test_the_others_stay_with_the_unit_before_them() -> None:
    assert Uniform()(problem("eLLLLLpl", 2)).assignment == (0, 0, 0, 1, 1, 1, 1, 1)


def test_tied_head_returns_to_the_embedding() -> None:
    tied = replace(problem("eLLLLhl", 2), groups=(SharedGroup("table", (0, 5), 9, colocate=True),))
    found = Uniform()(tied)
    assert isinstance(found, Feasible)
    assert found.assignment == (0, 0, 0, 1, 1, 0, 0)
    assert found.lower_bound == 0.0


def test_pins_and_forbidden_cuts_are_kept() -> None:
    pinned = replace(problem("LLnLLp", 2), pins=((5, 0),), forbidden_cuts=frozenset({2}))
    assert Uniform()(pinned).assignment == (0, 0, 1, 1, 1, 0)


def test_without_sequential_units_the_free_ones_are_the_layers() -> None:
    free = replace(problem("eabcdh", 2), groups=(SharedGroup("table", (0, 5), 9, colocate=True),))
    assert Uniform((1, 3))(free).assignment == (0, 0, 1, 1, 1, 0)


def test_counts_that_the_devices_ask_for_are_completed() -> None:
    asked = replace(problem("LLLLLLLL", 3), devices=(Device(100), Device(100, layers=1), Device(100)))
    assert Uniform()(asked).assignment == (0, 0, 0, 1, 2, 2, 2, 2)
    other = Uniform((2, 3, 3))(asked)
    assert isinstance(other, Infeasible)
    assert "device 1 holds 3 sequential units, expected 1" in other.reason


def test_a_split_that_does_not_fit_is_no_solution() -> None:
    large = problem("LLLL", 2)
    large = replace(large, units=tuple(replace(unit, resident_bytes=60) for unit in large.units))
    found = Uniform()(large)
    assert isinstance(found, Infeasible)
    assert found.assignment == (0, 0, 1, 1)
    assert found.evaluation == evaluate(large, found.assignment)
    assert (found.shortfall_bytes, found.least_shortfall_bytes, found.proved) == (20, 0, False)


def test_a_split_that_breaks_a_rule_is_no_assignment() -> None:
    found = Uniform()(problem("LLLabcd", 4))
    assert isinstance(found, Infeasible)
    assert (found.assignment, found.evaluation, found.shortfall_bytes) == (None, None, 0)
    assert "devices [0, 1, 2] hold no unit" in found.reason


def test_of_many_broken_rules_the_first_few_are_named() -> None:
    odd = replace(problem("LLLLLLLLLLLLLLLL", 2), pins=tuple((unit, unit % 2) for unit in range(16)))
    found = Uniform()(odd)
    assert isinstance(found, Infeasible)
    assert found.reason.count("step back") == 5
    assert found.reason.endswith("and 2 more")


def test_counts_that_do_not_match_the_problem_are_no_solution() -> None:
    found = Uniform((3, 3))(problem("LLLL", 2))
    assert isinstance(found, Infeasible)
    assert "add up to 6" in found.reason
