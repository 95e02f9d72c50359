"""The judge against a second reading of the rules, and against sums done by hand."""

from __future__ import annotations

import time
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners import (
    Device,
    Evaluation,
    Preference,
    Problem,
    Schedule,
    SharedGroup,
    Tensor,
    Unit,
    evaluate,
    preferred,
    stages_of,
)
from tests.planners.literal import Literal
from tests.planners.problems import flowing_problems, problems, returning_problems


@given(problems(wide=True) | flowing_problems(), st.data())
def test_agrees_with_a_literal_reading_of_the_rules(problem: Problem, data: st.DataObject) -> None:
    devices = st.integers(0, len(problem.devices) - 1)
    assignment = data.draw(st.lists(devices, min_size=len(problem.units), max_size=len(problem.units)))
    found, literal = evaluate(problem, assignment), Literal(problem, assignment)
    times = [literal.time(d) for d in range(len(problem.devices))]
    assert [load.time_us for load in found.devices] == pytest.approx(times)
    assert [load.memory.total for load in found.devices] == [literal.memory(d) for d in range(len(times))]
    assert [load.memory.stash for load in found.devices] == [literal.stash(d) for d in range(len(times))]
    assert found.key() == pytest.approx(literal.key())
    assert found.key()[2] == literal.copied_bytes()
    assert found.leading == found.key()[0]
    assert list(found.violations) == literal.violations()


@given(returning_problems(wide=True), st.data())
def test_rules_are_broken_in_the_same_words_where_stages_return(problem: Problem, data: st.DataObject) -> None:
    devices = st.integers(0, len(problem.devices) - 1)
    assignment = data.draw(st.lists(devices, min_size=len(problem.units), max_size=len(problem.units)))
    assert list(evaluate(problem, assignment).violations) == Literal(problem, assignment).violations()


@given(problems(wide=True) | flowing_problems(), st.data())
def test_terms_add_up_and_none_is_negative(problem: Problem, data: st.DataObject) -> None:
    devices = st.integers(0, len(problem.devices) - 1)
    assignment = data.draw(st.lists(devices, min_size=len(problem.units), max_size=len(problem.units)))
    for load in evaluate(problem, assignment).devices:
        assert sum(astuple(load.memory)) == load.memory.total
        assert min(astuple(load.memory)) >= 0
        assert load.shortfall_bytes == max(0, load.memory.total - load.capacity_bytes)


TIED = Problem(
    units=(
        Unit("embedding", 10.0, 20.0, resident_bytes=5, live_bytes=2, transient_bytes=1, update_bytes=90),
        Unit("layer 0", 100.0, 200.0, resident_bytes=50, live_bytes=20, checkpoint_bytes=4, transient_bytes=7),
        Unit("layer 1", 100.0, 200.0, resident_bytes=50, live_bytes=20, checkpoint_bytes=4, transient_bytes=7),
        Unit("head", 30.0, 60.0, live_bytes=6, transient_bytes=9, code_bytes=3),
    ),
    devices=(Device(1000, base_bytes=11), Device(150, base_bytes=11)),
    schedule=Schedule.TRAINING,
    tensors=(
        Tensor("hidden 0", 0, (1,), 4, 4),
        Tensor("hidden 1", 1, (2,), 4, 4),
        Tensor("hidden 2", 2, (3,), 4, 4),
        Tensor("mask", None, (1, 2), 3),
        Tensor("ids", None, (0, 3), 2),
    ),
    groups=(SharedGroup("table", (0, 3), 40, colocate=True),),
    copy_us_per_byte=0.5,
)


def test_tied_head_by_hand() -> None:
    """Three stages on two devices: the embedding, both layers, and the head back on device 0."""
    found = evaluate(TIED, (0, 1, 1, 0))
    assert found.valid
    assert [(s.device, s.start, s.stop) for s in found.stages] == [(0, 0, 1), (1, 1, 3), (0, 3, 4)]
    first, second = found.devices
    # Embedding forward twice, head once (last stage, no checkpoint); sends hidden 0, receives hidden 2: 16 bytes.
    assert first.time_us == (10 + 20 + 10) + (30 + 60) + 16 * 0.5
    assert second.time_us == 2 * (100 + 200 + 100) + 16 * 0.5
    # Stash: ids copied in at stage 0 (depth 5) for the head too; hidden 2 enters the last stage and is live there.
    assert astuple(first.memory) == (11, 5, 40, 3, 5 * 2, 6, 9, 90 - 15)
    # Stage 1 of 3 has depth 3: two checkpoints, hidden 0 and the mask.
    assert astuple(second.memory) == (11, 100, 0, 0, 3 * (4 + 4 + 4 + 3), 20, 7, 0)
    assert second.shortfall_bytes == 11 + 100 + 45 + 27 - 150
    assert found.copied_bytes == 16
    assert found.key() == (808.0, 183, 16, 138.0**2 + 808.0**2)


def test_forward_only_keeps_and_recomputes_nothing() -> None:
    pipelined = evaluate(replace(TIED, schedule=Schedule.INFERENCE), (0, 1, 1, 0))
    assert [load.time_us for load in pipelined.devices] == [10 + 30 + 8 * 0.5, 200 + 8 * 0.5]
    assert [load.memory.live for load in pipelined.devices] == [0, 0]
    assert [load.memory.stash for load in pipelined.devices] == [2 + 4, 4 + 3]
    sharded = evaluate(replace(TIED, schedule=Schedule.SHARDED), (0, 1, 1, 0))
    assert sharded.objective_us == 240 + 8 * 0.5


def test_skip_connection_is_kept_from_the_making_to_the_reading_stage() -> None:
    skip = replace(TIED, tensors=(Tensor("skip", 0, (1, 3), 10),))
    assert evaluate(skip, (0, 1, 1, 0)).devices[0].memory.stash == 10 * 3
    forward = replace(skip, schedule=Schedule.INFERENCE)
    assert evaluate(forward, (0, 1, 1, 0)).devices[0].memory.stash == 10 * 3
    assert evaluate(replace(skip, schedule=Schedule.SHARDED), (0, 1, 1, 0)).devices[0].memory.stash == 10


def test_the_host_gives_an_input_once() -> None:
    shared = replace(TIED, tensors=(Tensor("mask", None, (0, 1, 2), 8),))
    first, second = evaluate(shared, (0, 1, 1, 0)).devices
    assert (first.copy_us, second.copy_us) == (4.0, 4.0)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ((0, 1, 1), "3 devices are given for 4 units"),
        ((0, 1, 1, 2), "unit 'head' is on device 2 of 2"),
        ((0, 0, 1, 1), "group 'table' must be on one device but is on [0, 1]"),
        ((0, 0, 0, 0), "devices [1] hold no unit"),
        ((1, 0, 0, 1), "device 0 is first visited after device 1"),
        ((0, 1, 0, 0), "units 'layer 0' and 'layer 1' may not be parted but are on 1 and 0"),
        ((0, 1, 0, 0), "sequential units 'layer 0' and 'layer 1' step back from device 1 to 0"),
        ((0, 0, 1, 1), "unit 'layer 0' is pinned to device 1 but is on 0"),
    ],
)
def test_violations_in_words(assignment: tuple[int, ...], words: str) -> None:
    problem = replace(TIED, pins=((1, 1),), forbidden_cuts=frozenset({1}), sequential=frozenset({1, 2}))
    found = evaluate(problem, assignment)
    assert words in found.violations
    assert not found.valid


def test_a_return_needs_a_reason() -> None:
    free = replace(TIED, groups=())
    assert evaluate(free, (0, 1, 0, 0)).violations == ("the stage of units 2 to 3 returns to device 0 for no reason",)
    assert evaluate(replace(free, pins=((3, 0),)), (0, 1, 0, 0)).valid
    copies = (SharedGroup("copied", (0, 3), 1, colocate=False),)
    assert not evaluate(replace(free, groups=copies), (0, 1, 1, 0)).valid
    assert not evaluate(replace(TIED, schedule=Schedule.SHARDED), (0, 1, 1, 1)).valid


def test_devices_may_be_skipped_where_they_may_be_empty() -> None:
    problem = replace(TIED, allow_empty=True, groups=())
    assert evaluate(problem, (1, 1, 1, 1)).valid
    assert evaluate(problem, (1, 1, 1, 1)).devices[0].memory.total == 0


@pytest.mark.parametrize(
    ("layers", "min_units", "words"),
    [
        ((None, None), (1, 2), ()),
        ((None, None), (3, 2), ("device 0 holds 2 units, expected at least 3",)),
        ((0, 2), (0, 0), ()),
        ((1, None), (1, 1), ("device 0 holds 0 sequential units, expected 1",)),
        (
            (None, 1),
            (1, 3),
            ("device 1 holds 2 units, expected at least 3", "device 1 holds 2 sequential units, expected 1"),
        ),
    ],
)
def test_devices_count_units_and_layers(
    layers: tuple[int | None, int | None], min_units: tuple[int, int], words: tuple[str, ...]
) -> None:
    """The embedding and the tied head on device 0, both layers on device 1."""
    asked = zip(TIED.devices, layers, min_units, strict=True)
    devices = tuple(replace(device, layers=count, min_units=least) for device, count, least in asked)
    problem = replace(TIED, devices=devices, sequential=frozenset({1, 2}))
    assert evaluate(problem, (0, 1, 1, 0)).violations == words


def test_an_empty_device_needs_no_units_but_its_layers() -> None:
    devices = (Device(1000), Device(1000, min_units=4), Device(1000, layers=1))
    problem = replace(TIED, devices=devices, groups=(), allow_empty=True, sequential=frozenset({1, 2}))
    expected = ("device 2 holds 0 sequential units, expected 1",)
    assert evaluate(problem, (0, 0, 0, 0)).violations == expected


def candidate(objective_us: float, peak_bytes: int, prefer: Preference = Preference.TIME) -> Evaluation:
    unit = Unit("u", objective_us, resident_bytes=peak_bytes)
    return evaluate(Problem((unit,), (Device(100),), Schedule.INFERENCE, prefer=prefer), (0,))


def test_preference_is_lexicographic_with_tied_times() -> None:
    assert preferred([candidate(1.0, 9), candidate(1.0 + 1e-12, 8), candidate(1.1, 1)]) == 1
    assert preferred([candidate(1.0, 9), candidate(1.0, 9)]) == 0


def test_memory_leads_where_it_is_preferred() -> None:
    found = [candidate(us, peak, Preference.MEMORY) for us, peak in ((1.0, 9), (3.0, 8), (2.0, 8), (2.0 + 1e-12, 8))]
    assert preferred(found) == 2
    assert (found[2].leading, found[2].key()[:2]) == (8, (8, 2.0))


def test_a_large_problem_is_judged_at_once() -> None:
    """10,000 units on 64 devices: some 20 ms; quadratic work would take minutes."""
    units = tuple(Unit(f"u{i}", 1.0, 2.0, 3, 4, i % 2) for i in range(10_000))
    tensors = tuple(Tensor(f"t{i}", i, (i + 1,), 4, 4) for i in range(9_999))
    groups = (SharedGroup("table", (0, 9_999), 9, True), SharedGroup("code", tuple(range(10_000)), 9, False))
    problem = Problem(
        units,
        (Device(10**9),) * 64,
        Schedule.TRAINING,
        (*tensors, Tensor("mask", None, tuple(range(10_000)), 1)),
        groups,
        0.1,
    )
    assignment = [*(i * 64 // 10_000 for i in range(9_999)), 0]
    begin = time.perf_counter()
    found = evaluate(problem, assignment)
    scattered = evaluate(problem, [i * 7 % 64 for i in range(10_000)])
    seconds = time.perf_counter() - begin
    assert found.valid
    assert len(scattered.stages) == 10_000
    assert seconds < 3.0


def test_stages_are_maximal_runs() -> None:
    assert [(s.device, s.start, s.stop) for s in stages_of([0, 0, 2, 0])] == [(0, 0, 2), (2, 2, 3), (0, 3, 4)]
