"""What is refused as a problem, and the JSON form."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners import Device, Preference, Problem, ProblemError, Schedule, SharedGroup, Tensor, Unit, validate
from planners.problem_json import from_dict, from_json, to_dict, to_json
from tests.planners.problems import problems

GOOD = Problem(
    units=(Unit("a", 1.0), Unit("b", 2.0)),
    devices=(Device(10), Device(10)),
    schedule=Schedule.TRAINING,
    tensors=(Tensor("x", 0, (1,), 4),),
    groups=(SharedGroup("w", (0, 1), 3, colocate=False),),
)


@given(problems(wide=True))
def test_random_problems_are_well_formed_and_survive_json(problem: Problem) -> None:
    validate(problem)
    text = to_json(problem)
    assert from_json(text) == problem
    assert to_json(from_json(text)) == text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"units": ()}, "0 units, expected 1 to 100000"),
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
        ({"units": (Unit("a", True),) * 2}, "unit 'a': forward_us is True, expected a number"),
        ({"units": (Unit("a", 1.0, resident_bytes=True),) * 2}, "resident_bytes is True, expected an integer"),
        ({"units": (Unit("a", 1.0, resident_bytes=3.0),) * 2}, "resident_bytes is 3.0, expected an integer"),
        ({"units": (Unit("a", 10**400),) * 2}, "an integer of more than 30 digits, expected a finite number"),
        ({"units": (Unit("a", 1.0, resident_bytes=10**5000),) * 2}, "an integer of more than 30 digits"),
        ({"units": (Unit(3, 1.0),) * 2}, "unit 0: name is 3, expected a string"),
        ({"units": (Unit("a" * 1001, 1.0),) * 2}, "unit 0: name has 1001 characters, expected at most 1000"),
        ({"units": (Unit("a\n\x1b[31m", -1.0),) * 2}, r"unit 'a\n\x1b[31m': forward_us is -1.0"),
        ({"units": (Unit("a", 1.0, 2**50),) * 2}, "backward_us is 1125899906842624, expected a finite number"),
        ({"units": (Unit("a", 1.0, 1.0, 10**15),) * 2}, "bytes add up to more than"),
        ({"units": [Unit("a", 1.0)] * 2}, "expected a tuple"),
        ({"devices": (Device(10, speed=1e-9),) * 2}, "device 0 has speed 1e-09, expected at least 1e-06"),
        ({"devices": (Device(10, min_units=-1),) * 2}, "device 0: min_units is -1"),
        ({"devices": (Device(10, min_units=1.0),) * 2}, "min_units is 1.0, expected an integer"),
        ({"devices": (Device(10, layers=True), Device(10))}, "device 0: layers is True, expected an integer"),
        ({"devices": (Device(10, layers="3"), Device(10))}, "device 0: layers is '3', expected an integer"),
        ({"devices": (Device(10, layers=1), Device(10))}, "ask for [1, None] sequential units, but the problem has 0"),
        ({"tensors": (Tensor("x", 0, (0, 1), 4),)}, "unit 0 reads it, but only unit 0 makes it"),
        ({"tensors": (Tensor("x", True, (1,), 4),)}, "producer: True is not an index"),
        ({"tensors": (Tensor("x", 0, [1], 4),)}, "readers is [1], expected a tuple"),
        ({"groups": (SharedGroup("w", (0, 0), 1, False),)}, "group 'w': members are (0, 0), expected them to ascend"),
        ({"groups": (SharedGroup("w", (0, "1"), 1, False),)}, "members: '1' is not an index"),
        ({"groups": (SharedGroup("w", (0, 1), 1, 1),)}, "group 'w': colocate is 1, expected true or false"),
        ({"groups": (SharedGroup("w", tuple(range(5000)), 1, False),)}, "index 2 is out of range"),
        ({"pins": ((0, True),)}, "pins: device: True is not an index"),
        ({"pins": ((0, 1, 2),)}, "a pin is (0, 1, 2)"),
        ({"pins": ((0, 0),) * 1_000_001}, "1000006 tensors, groups, readers, members and pins"),
        ({"sequential": {1}}, "expected a frozenset"),
        ({"schedule": "pipelined-training"}, "schedule is 'pipelined-training', expected a Schedule"),
        ({"prefer": "time"}, "prefer is 'time', expected a Preference"),
        ({"units": (Unit("a", 5e-324),) * 2}, "forward_us is 5e-324, expected 0 or at least 1e-12"),
        ({"allow_empty": 1}, "allow_empty is 1, expected true or false"),
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
        ({"pins": [[0, 1, 2]]}, "a pin is [0, 1, 2], expected [unit, device]"),
        ({"forbidden_cuts": [[1]]}, "forbidden_cuts: [1] is not an index"),
        ({"forbidden_cuts": [False]}, "forbidden_cuts: False is not an index"),
        ({"forbidden_cuts": None}, "forbidden_cuts is None, expected a list"),
        ({"sequential": [1.0]}, "sequential: 1.0 is not an index"),
        ({"sequential": [0, 1, 0]}, "sequential has 3 entries, but only 2 of them differ"),
        ({"schedule": ["sharded-inference"]}, "schedule is ['sharded-inference'], expected one of"),
        ({"prefer": "money"}, "prefer is 'money', expected one of ['time', 'memory']"),
        ({"prefer": None}, "prefer is None, expected one of"),
        ({"groups": [{"name": "g", "members": 3, "bytes": 1, "colocate": True}]}, "group 0: members is 3"),
        ({"devices": [{"capacity_bytes": 1, "layer": 3}]}, "device 0 has unknown keys ['layer']"),
        ({"devices": {}}, "devices is {}, expected a list"),
        ({"devices": []}, "0 devices, expected 1 to 64"),
        ({"x" * 5000: 1}, "unknown keys ['xxxx"),
        ({"units": [{"name": "a", "forward_us": 1}] * 1_000_000}, "1000000 units, expected 1 to 100000"),
    ],
)
def test_malformed_documents_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProblemError) as refused:
        from_dict({**to_dict(GOOD), **changes})
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "the problem is [], expected an object"),
        ("null", "the problem is None, expected an object"),
        ("3", "the problem is 3, expected an object"),
        ("{}", "lacks the keys ['devices', 'schedule', 'units']"),
        ('{"units": [], "units": []}', "an object has the key 'units' more than once"),
        ('{"copy_us_per_byte": NaN}', "it holds NaN, expected a finite number"),
        ('{"copy_us_per_byte": -Infinity}', "it holds -Infinity"),
        ("[" * 100_000, "nested too deep"),
        ('{"units": ' * 50_000, "nested too deep"),
        ("1" * 100_000, "is not JSON"),
        ("\x00\x01", "is not JSON"),
    ],
)
def test_text_that_is_no_document(text: str, words: str) -> None:
    with pytest.raises(ProblemError) as refused:
        from_json(text)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 401, "-1", '"1"', "true", "null", "[1]", "{}"])
@pytest.mark.parametrize("key", ["forward_us", "resident_bytes"])
def test_numbers_that_are_none(number: str, key: str) -> None:
    document = to_dict(GOOD)
    document["units"] = [{"name": "a", "forward_us": 1.0, key: "HERE"}]
    with pytest.raises(ProblemError) as refused:
        from_json(json.dumps({**document, "tensors": [], "groups": [], "allow_empty": True}).replace('"HERE"', number))
    assert f"unit 'a': {key} is " in str(refused.value)


def test_messages_are_one_short_line_whatever_the_names_are() -> None:
    document = to_dict(GOOD)
    document["units"] = [{"name": "\ud800\n\x00" * 300, "forward_us": "x" * 10_000}]
    with pytest.raises(ProblemError) as refused:
        from_dict(document)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 5000
    message.encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda j: st.lists(j, max_size=3) | st.dictionaries(st.text(), j, max_size=3),
        max_leaves=5,
    ),
    st.data(),
)
def test_any_value_anywhere_is_taken_or_refused_in_words(value: Any, data: st.DataObject) -> None:
    """Nothing but ProblemError, wherever a value of the wrong kind may be."""
    document = json.loads(to_json(GOOD))
    place: Any = document
    while data.draw(st.booleans()) and place and isinstance(place, (dict, list)):
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], (dict, list)):
            place[key] = value
            break
        place = place[key]
    found = read(document)
    assert found.isprintable() if isinstance(found, str) else from_json(to_json(found)) == found


def read(document: dict[str, Any]) -> Problem | str:
    """The problem, or why it is refused."""
    try:
        return from_dict(document)
    except ProblemError as error:
        return str(error)


def test_ties_may_overlap_and_go_in_circles() -> None:
    ties = tuple(SharedGroup(name, members, 1, True) for name, members in (("a", (0, 1)), ("b", (1, 2)), ("c", (0, 2))))
    validate(replace(GOOD, units=(*GOOD.units, Unit("c", 1.0)), groups=ties))


def test_large_problems_are_read_at_once() -> None:
    """10,000 units and tensors: some 0.2 s; the bound tells linear work from quadratic."""
    units = [{"name": f"u{i}", "forward_us": 1.0, "resident_bytes": i} for i in range(10_000)]
    tensors = [{"name": f"t{i}", "producer": i, "readers": [i + 1], "bytes": 4} for i in range(9_999)]
    text = json.dumps(
        {**to_dict(GOOD), "units": units, "tensors": tensors, "groups": [], "sequential": [*range(10_000)]}
    )
    begin = time.perf_counter()
    problem = from_json(text)
    assert time.perf_counter() - begin < 3.0
    assert len(problem.units) == 10_000


def test_defaults_may_be_left_out() -> None:
    document = {
        "units": [{"name": "a", "forward_us": 1.0}],
        "devices": [{"capacity_bytes": 5}],
        "schedule": "sharded-inference",
    }
    expected = Problem((Unit("a", 1.0),), (Device(5, 1.0, 0, 1, None),), Schedule.SHARDED, prefer=Preference.TIME)
    assert from_json(json.dumps(document)) == expected
