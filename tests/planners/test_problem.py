"""What is refused as a problem, and the JSON form."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from planners import Device, Problem, ProblemError, Schedule, SharedGroup, Tensor, Unit, validate
from planners.problem_json import from_dict, from_json, to_dict, to_json
from tests.planners.problems import problems

GOOD = Problem(
    units=(Unit("a", 1.0), Unit("b", 2.0)),
    devices=(Device(10), Device(10)),
    schedule=Schedule.TRAINING,
    tensors=(Tensor("x", 0, (1,), 4),),
    groups=(SharedGroup("w", (0, 1), 3, colocate=False),),
)


@given(problems())
def test_random_problems_are_well_formed_and_survive_json(problem: Problem) -> None:
    validate(problem)
    text = to_json(problem)
    assert from_json(text) == problem
    assert to_json(from_json(text)) == text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": ()}, "no unit"),
        ({"devices": ()}, "0 devices, expected 1 to 64"),
        ({"devices": (Device(1),) * 65, "allow_empty": True}, "65 devices"),
        ({"devices": (Device(1),) * 3}, "3 devices for 2 units"),
        ({"devices": (Device(1, speed=0.0),)}, "speed 0"),
        ({"devices": (Device(-1),)}, "device 0: capacity_bytes is -1"),
        ({"units": (Unit("a", float("nan")),) * 2}, "unit 'a': forward_us is nan"),
        ({"units": (Unit("a", 1.0, -2.0),) * 2}, "backward_us is -2.0"),
        ({"units": (Unit("a", 1.0, live_bytes=1.5),) * 2}, "live_bytes is 1.5, expected an integer"),  # type: ignore[arg-type]
        ({"copy_us_per_byte": float("inf")}, "copy_us_per_byte is inf"),
        ({"tensors": (Tensor("x", 1, (0, 1), 4),)}, "unit 0 reads it, but only unit 1 makes it"),
        ({"tensors": (Tensor("x", 0, (2,), 4),)}, "readers: index 2 is out of range, expected 0 to 1"),
        ({"tensors": (Tensor("x", None, (1, 0), 4),)}, "expected them to ascend"),
        ({"groups": (SharedGroup("w", (0, 5), 1, False),)}, "group 'w': members: index 5"),
        ({"pins": ((0, 0), (0, 1))}, "'a' is pinned to device 0 and to device 1"),
        ({"pins": ((0, 2),)}, "pins: device: index 2"),
        ({"forbidden_cuts": frozenset({1})}, "forbidden_cuts: index 1"),
        ({"sequential": frozenset({-1})}, "sequential: index -1"),
    ],
)
def test_malformed_problems_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemError) as refused:
        validate(replace(GOOD, **changes))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "planning-problem/9"}, "format 'planning-problem/9'"),
        ({"colour": 1}, "unknown keys ['colour']"),
        ({"schedule": "fast"}, "schedule is 'fast', expected one of"),
        ({"units": [{"name": "a"}]}, "unit 0 lacks the keys ['forward_us']"),
        ({"units": 3}, "is 3, expected a list"),
        ({"units": [3]}, "unit 0 is 3, expected an object"),
        ({"pins": [3]}, "a pin is 3"),
        ({"pins": [["a", 0]]}, "'a' is not an index"),
    ],
)
def test_malformed_documents_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemError) as refused:
        from_dict({**to_dict(GOOD), **changes})
    assert words in str(refused.value)


def test_text_that_is_no_document() -> None:
    with pytest.raises(ProblemError, match="not JSON"):
        from_json("{")
    with pytest.raises(ProblemError, match="expected an object"):
        from_json("[]")


def test_defaults_may_be_left_out() -> None:
    document = {
        "units": [{"name": "a", "forward_us": 1.0}],
        "devices": [{"capacity_bytes": 5}],
        "schedule": "sharded-inference",
    }
    expected = Problem((Unit("a", 1.0),), (Device(5),), Schedule.SHARDED)
    assert from_json(json.dumps(document)) == expected
