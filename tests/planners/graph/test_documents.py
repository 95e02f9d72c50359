"""Graphs in the public form against an independent reading of it: what is read, judged and answered."""

from __future__ import annotations

import json
from random import Random

import pytest

from planners.documents import read_problem
from planners.judge import solve
from tests.planners.graph.documents import assigned, document, read
from tests.planners.graph.literal import Literal, best

SHARDS, DOCUMENTS = 4, 150


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("planner", ["linear", "ideals"])
def test_answers_hold_in_another_reading_of_the_file(planner: str, shard: int) -> None:
    kinds = set()
    for seed in range(shard * DOCUMENTS, (shard + 1) * DOCUMENTS):
        text = json.dumps(document(Random(seed)))
        ours = read_problem(text)
        answer = json.loads(ours.answer(solve(ours.problem, planner)))
        kinds.add(answer["status"])
        _holds(text, answer, planner == "ideals", seed)
        judged = ours.judgement(json.dumps(answer))
        assert judged["confirmed"], (seed, judged)
    assert kinds >= {"optimal", "infeasible"}


def _holds(text: str, answer: dict[str, object], exact: bool, seed: int) -> None:
    built, ids = read(text)
    least = best(built)
    if answer["status"] == "infeasible":
        assert least is None or not (exact or answer["proved"]), seed
        assert (answer["objective"], answer["lower_bound"], answer["gap"]) == (None, None, None)
        return
    assert least is not None, seed
    assert isinstance(answer["assignment"], dict)
    said = Literal(built, assigned(built, ids, answer["assignment"]))
    assert said.valid(), seed
    assert said.fits(), seed
    assert answer["objective"] == pytest.approx(float(said.value()), rel=1e-12), seed
    assert answer["lower_bound"] <= float(least) * (1 + 1e-9), seed  # type: ignore[operator]
    if exact:
        assert answer["status"] == "optimal", seed
        assert answer["objective"] == pytest.approx(float(least), rel=1e-9), seed


@pytest.mark.parametrize("seed", range(60))
def test_every_device_is_judged_as_in_another_reading(seed: int) -> None:
    """Loads in the unit of the file and memory in bytes, whatever fractions are in it; of any assignment."""
    random = Random(seed)
    text = json.dumps(document(random))
    ours, (built, ids) = read_problem(text), read(text)
    names = [f"acc{i}" for i in range(built.kind_of.count(0))] + [f"cpu{i}" for i in range(built.kind_of.count(1))]
    chosen = {name: random.choice(names) for name in ids}
    said = Literal(built, assigned(built, ids, chosen))
    judged = ours.judgement(json.dumps({"assignment": chosen}))
    assert (judged["valid"], judged["fits"]) == (said.valid(), said.valid() and said.fits())
    assert judged["objective"] == pytest.approx(float(said.value()), rel=1e-12)
    for device, name in enumerate(names):
        found = judged["devices"][name]
        assert found["load"] == pytest.approx(float(said.time(device)), rel=1e-12)
        assert found["bytes"] == pytest.approx(float(said.memory(device)), rel=1e-12)
        lack = float(said.lack(device))
        assert (found["shortfall_bytes"] > 0) == (lack > 0)
        assert lack - 1e-9 <= found["shortfall_bytes"] < lack + 1, "up to the next whole part that sizes have"


@pytest.mark.parametrize("wrong", ["acc9", "cpu", "", None, 0])
def test_devices_that_do_not_exist_are_refused(wrong: object) -> None:
    text = json.dumps({**document(Random(2)), "maxFPGAs": 2})
    ours, ids = read_problem(text), read(text)[1]
    with pytest.raises(ValueError, match="expected one of acc0, acc1"):
        ours.judgement(json.dumps({"assignment": dict.fromkeys(map(str, ids), wrong)}))
