"""The judge against a second reading of the rules, and against sums done by hand."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners import Device, Problem, Schedule, SharedGroup, Tensor, Unit, evaluate, preferred, stages_of
from tests.planners.literal import Literal
from tests.planners.problems import problems


@given(problems(), st.data())
def test_agrees_with_a_literal_reading_of_the_rules(problem: Problem, data: st.DataObject) -> None:
    devices = st.integers(0, len(problem.devices) - 1)
    assignment = data.draw(st.lists(devices, min_size=len(problem.units), max_size=len(problem.units)))
    found, literal = evaluate(problem, assignment), Literal(problem, assignment)
    times = [literal.time(d) for d in range(len(problem.devices))]
    assert [load.time_us for load in found.devices] == pytest.approx(times)
    assert [load.memory.total for load in found.devices] == [literal.memory(d) for d in range(len(times))]
    assert [load.memory.stash for load in found.devices] == [literal.stash(d) for d in range(len(times))]
    assert found.copied_bytes == sum(literal.received(d) for d in range(len(times)))
    total = sum(times) if problem.schedule is Schedule.SHARDED else max(times)
    assert found.objective_us == pytest.approx(total)
    assert found.evenness == pytest.approx(sum(time**2 for time in times))


@given(problems(), st.data())
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


def test_preference_is_lexicographic_with_tied_times() -> None:
    def candidate(objective_us: float, capacity: int) -> object:
        unit = Unit("u", objective_us, resident_bytes=capacity)
        return evaluate(Problem((unit,), (Device(100),), Schedule.INFERENCE), (0,))

    found = [candidate(1.0, 9), candidate(1.0 + 1e-12, 8), candidate(1.1, 1)]
    assert preferred(found) == 1  # type: ignore[arg-type]


def test_stages_are_maximal_runs() -> None:
    assert [(s.device, s.start, s.stop) for s in stages_of([0, 0, 2, 0])] == [(0, 0, 2), (2, 2, 3), (0, 3, 4)]
