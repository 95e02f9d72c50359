"""Solutions as documents, and what documents from outside may claim."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from planners import (
    Device,
    Feasible,
    Infeasible,
    Optimal,
    Preference,
    Problem,
    ProblemError,
    Schedule,
    SharedGroup,
    Unit,
)
from planners import evaluate as judge
from planners.brute import Brute
from planners.claims import judgement
from planners.solution_json import assignment_from_json, claims_from_json, to_dict, to_json
from planners.uniform import Uniform
from tests.planners.problems import problems

TIED = Problem(
    units=(Unit("embedding", 2.0, 4.0, 10), Unit("layer", 8.0, 16.0, 20, 5), Unit("head", 3.0, 6.0, 0, 7)),
    devices=(Device(100, base_bytes=1), Device(90)),
    schedule=Schedule.TRAINING,
    groups=(SharedGroup("table", (0, 2), 30, colocate=True),),
)
COMMON = {
    *("format", "status", "planner", "prefer", "reason", "seconds", "assignment", "objective", "lower_bound", "gap"),
    *("shortfall_bytes", "least_shortfall_bytes", "score", "stages", "devices"),
}


def small(capacity_bytes: int) -> Problem:
    return replace(TIED, devices=(Device(capacity_bytes),) * 2)


def test_an_optimum_as_a_document() -> None:
    solution = replace(Brute()(TIED), seconds=0.25)
    document = to_dict(TIED, solution)
    assert set(document) == COMMON | {"refined"}
    assert document["assignment"] == [0, 1, 0]
    assert document["stages"][2] == {"device": 0, "start": 2, "stop": 3}
    assert document["score"] == {"time_us": 32.0, "peak_bytes": 48, "copied_bytes": 0, "evenness_us2": 32.0**2 + 17**2}
    assert (document["objective"], document["lower_bound"], document["gap"]) == (32.0, 32.0, 0.0)
    assert (document["status"], document["refined"], document["seconds"]) == ("optimal", True, 0.25)
    assert (document["planner"], document["prefer"], document["reason"]) == ("brute", "time", None)
    assert (document["shortfall_bytes"], document["least_shortfall_bytes"]) == (0, 0)
    memory = {"base": 1, "resident": 10, "shared": 30, "code": 0, "stash": 0, "live": 7, "transient": 0}
    assert document["devices"][0] == {
        "time_us": 17.0,
        "copy_us": 0.0,
        "capacity_bytes": 100,
        "shortfall_bytes": 0,
        "memory_bytes": {**memory, "update_excess": 0, "total": 48},
    }


def test_a_baseline_claims_no_more_than_it_knows() -> None:
    document = to_dict(TIED, Uniform()(TIED))
    assert set(document) == COMMON
    assert (document["status"], document["lower_bound"], document["gap"]) == ("feasible", 0.0, 1.0)


def test_the_leading_criterion_is_bytes_where_memory_is_preferred() -> None:
    problem = replace(TIED, prefer=Preference.MEMORY)
    document = to_dict(problem, Brute()(problem))
    assert (document["prefer"], document["objective"], document["score"]["time_us"]) == ("memory", 48, 32.0)


def test_lack_of_memory_as_a_document() -> None:
    document = to_dict(small(40), Brute()(small(40)))
    assert set(document) == COMMON | {"proved"}
    assert (document["status"], document["proved"], document["shortfall_bytes"]) == ("infeasible", True, 7)
    assert (document["least_shortfall_bytes"], document["lower_bound"], document["gap"]) == (7, None, None)
    assert "lacks 7 bytes" in document["reason"]
    assert document["devices"][0]["shortfall_bytes"] == 7


def test_contradictions_have_nothing_to_measure() -> None:
    problem = replace(TIED, pins=((0, 0), (2, 1)))
    document = to_dict(problem, Brute()(problem))
    for key in ("assignment", "objective", "score", "shortfall_bytes", "stages", "devices"):
        assert document[key] is None


@given(problems(wide=True))
def test_documents_are_deterministic_and_confirmed(problem: Problem) -> None:
    solution = Brute()(problem)
    text = to_json(problem, solution)
    assert to_json(problem, Brute()(problem)) == text
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    found = judgement(problem, claims_from_json(text))
    assert (found["confirmed"], found["differences"], found["violations"]) == (True, [], [])
    assert found["fits"] == isinstance(solution, Optimal)


def test_nan_is_never_written() -> None:
    unsound = Feasible((0, 1, 0), judge(TIED, (0, 1, 0)), "mine", lower_bound=float("nan"))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(TIED, unsound)


@pytest.mark.parametrize(
    "text", ['{"assignment": [0, 1, 0]}', "[0, 1, 0]", '{"assignment": [0, 1, 0], "status": "feasible"}']
)
def test_bare_assignments_are_read(text: str) -> None:
    assert assignment_from_json(text) == (0, 1, 0)
    found = judgement(TIED, claims_from_json(text))
    assert (found["valid"], found["fits"], found["confirmed"]) == (True, True, True)
    assert found["score"]["time_us"] == 32.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the solution is not JSON"),
        ("3", "the solution is 3, expected an object"),
        ("{}", "lacks the keys ['assignment']"),
        ('{"assignment": null}', "has no assignment"),
        ('{"assignment": 3}', "assignment is 3, expected list or null"),
        ('{"assignment": [0, 0.0]}', "unit 1 has 0.0, expected the index of a device"),
        ("[true]", "unit 0 has True"),
        ("[[0]]", "unit 0 has [0]"),
        (f"[{10**400}]", "unit 0 has an integer of more than 30 digits"),
        ('{"assignment": [0], "stages": 3}', "stages is 3, expected list or null"),
        ('{"assignment": [0], "gap": true}', "gap is True, expected int or float or null"),
        ('{"assignment": [0], "lower_bound": 1e400}', "lower_bound is inf, expected a finite number"),
        ('{"assignment": [0], "status": "best"}', "status is 'best', expected one of"),
        ('{"assignment": [0], "status": []}', "status is [], expected one of"),
        ('{"assignment": [0], "format": "planning-problem/1"}', "format 'planning-problem/1'"),
        ('{"assignment": [0], "devises": []}', "unknown keys ['devises']"),
        ('{"assignment": [0], "assignment": [1]}', "'assignment' more than once"),
        ('{"assignment": [0], "seconds": NaN}', "it holds NaN"),
        ("[" * 100_000, "nested too deep"),
        (json.dumps([0] * 100_001), "has 100001 units, expected at most 100000"),
    ],
)
def test_documents_that_are_none(text: str, words: str) -> None:
    with pytest.raises(ProblemError) as refused:
        claims_from_json(text)
    assert words in str(refused.value)


def test_a_document_without_assignment_has_none_to_give() -> None:
    text = '{"assignment": null, "status": "infeasible"}'
    assert claims_from_json(text).assignment is None
    with pytest.raises(ProblemError, match="expected a list with the device of every unit"):
        assignment_from_json(text)


def judged(problem: Problem, document: dict[str, Any]) -> dict[str, Any]:
    return judgement(problem, claims_from_json(json.dumps(document)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": {"time_us": 31.0}}, "score.time_us: claimed 31.0, found 32.0"),
        ({"score": {"peak_bytes": 47}}, "score.peak_bytes: claimed 47, found 48"),
        ({"score": {"cost": 1}}, "score: 'cost' is claimed, but is no part of it"),
        ({"score": None}, "score: claimed None, found {"),
        ({"objective": 33.0}, "objective: claimed 33.0, found 32.0"),
        ({"stages": []}, "stages: claimed 0 of them, found 3"),
        ({"stages": [{"device": 0, "start": 0, "stop": 3}]}, "stages[0].stop: claimed 3, found 1"),
        ({"devices": [{"time_us": 1.0}, {}]}, "devices[0].time_us: claimed 1.0, found 17.0"),
        ({"devices": [{"memory_bytes": {"live": "7"}}, {}]}, "devices[0].memory_bytes.live: claimed '7', found 7"),
        ({"devices": [[], {}]}, "devices[0]: claimed [], found {"),
        ({"prefer": "memory"}, "prefer: claimed 'memory', found 'time'"),
        ({"status": "infeasible"}, "the assignment fits"),
        ({"shortfall_bytes": 1}, "shortfall_bytes: claimed 1, found 0"),
        ({"least_shortfall_bytes": 1}, "least_shortfall_bytes: claimed 1, but the assignment lacks 0"),
        ({"status": "feasible", "lower_bound": 32.1}, "lower_bound: claimed 32.1, but the value is 32.0"),
        ({"lower_bound": 31.0}, "lower_bound: claimed 31.0 of an optimum, but the value is 32.0"),
        ({"lower_bound": -(10**90)}, "of an optimum"),
        (
            {"status": "feasible", "lower_bound": 16.0, "gap": 0.25},
            "gap: claimed 0.25, but value and bound make it 0.5",
        ),
        ({"assignment": [0, 0, 1]}, "status: claimed 'optimal', but the assignment breaks rules: group 'table'"),
        ({"assignment": [0, 1]}, "status: claimed 'optimal', but the assignment breaks rules: 2 devices are given"),
        ({"assignment": None}, "status: claimed 'optimal', but there is no assignment"),
    ],
)
def test_claims_that_do_not_hold_are_named(changes: dict[str, Any], words: str) -> None:
    document = {**to_dict(TIED, Brute()(TIED)), **changes}
    found = judged(TIED, document)
    assert not found["confirmed"]
    assert any(words in line for line in found["differences"])


def test_times_are_confirmed_within_the_ties_of_the_judge() -> None:
    document = to_dict(TIED, Brute()(TIED))
    assert judged(TIED, {**document, "objective": 32.0 * (1 + 1e-12)})["confirmed"]
    assert not judged(TIED, {**document, "objective": 32.0 * (1 + 1e-6)})["confirmed"]


def test_lack_of_memory_is_confirmed_and_denied() -> None:
    document = to_dict(small(40), Brute()(small(40)))
    assert judged(small(40), document)["confirmed"]
    claimed = judged(small(40), {**document, "status": "optimal"})["differences"]
    assert claimed == ["status: claimed 'optimal', but the assignment lacks 7 bytes on one device"]


def test_an_assignment_that_cannot_be_measured_is_judged_in_words() -> None:
    found = judged(TIED, {"assignment": [0, 1, 9]})
    assert (found["valid"], found["fits"], found["confirmed"]) == (False, False, True)
    assert found["violations"] == ["unit 'head' is on device 9 of 2"]
    assert (found["score"], found["stages"], found["devices"]) == (None, None, None)


def test_many_violations_are_counted() -> None:
    problem = Problem((Unit("u", 1.0),) * 200, (Device(9),) * 3, Schedule.INFERENCE)
    found = judged(problem, {"assignment": [0, 1, 0, 2] * 50})
    assert len(found["violations"]) == 21
    assert found["violations"][-1].startswith("and ")


def test_infeasible_without_assignment_claims_nothing_that_can_be_denied() -> None:
    solution = Infeasible("mine", "no time")
    assert judged(TIED, to_dict(TIED, solution))["confirmed"]
