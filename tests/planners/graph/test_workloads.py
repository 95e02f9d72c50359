"""The public workloads have the optima that were published, proven, in a reading of the files that is not ours."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from benchmarks.generated import WORKLOADS
from planners.documents import read_problem
from planners.judge import solve
from tests.planners.graph.documents import assigned, read
from tests.planners.graph.literal import Literal, classes, ordered_pairs

PUBLISHED = json.loads((WORKLOADS / "published.json").read_text(encoding="utf-8"))["workloads"]


@pytest.mark.parametrize("planner", ["ideals", "cpsat", "auto"])
@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known["name"])
def test_optima_are_those_published(known: dict[str, Any], planner: str) -> None:
    if planner == "cpsat":
        pytest.importorskip("ortools")
    text = (WORKLOADS / f"{known['name']}.json").read_text(encoding="utf-8")
    ours = read_problem(text)
    answer = json.loads(ours.answer(solve(ours.problem, planner)))
    assert answer["status"] == "optimal"
    assert answer["objective"] == pytest.approx(known["optimum"], rel=1e-9)
    assert answer["lower_bound"] == pytest.approx(known["optimum"], rel=1e-9)
    assert answer["gap"] == 0
    _is_so(text, answer)


@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known["name"])
def test_linear_is_within_a_few_per_cent(known: dict[str, Any]) -> None:
    text = (WORKLOADS / f"{known['name']}.json").read_text(encoding="utf-8")
    ours = read_problem(text)
    answer = json.loads(ours.answer(solve(ours.problem, "linear")))
    assert known["optimum"] * (1 - 1e-9) <= answer["objective"] <= known["optimum"] * 1.04
    assert answer["lower_bound"] <= known["optimum"] * (1 + 1e-9)
    _is_so(text, answer)


def _is_so(text: str, answer: dict[str, Any]) -> None:
    built, ids = read(text)
    said = Literal(built, assigned(built, ids, answer["assignment"]))
    assert all(len({said.a[node] for node in held}) == 1 for held in classes(built))
    pairs = {(said.a[a], said.a[b]) for a, b in ordered_pairs(built)}
    assert _orderable({(a, b) for a, b in pairs if a != b})
    assert said.fits()
    assert answer["objective"] == pytest.approx(float(said.value()), rel=1e-12)
    assert said.value() > Fraction()


def _orderable(pairs: set[tuple[int, int]]) -> bool:
    """Whether devices can be taken away one after another, each when no other one has to come before it."""
    left = {device for pair in pairs for device in pair}
    while left:
        ready = {d for d in left if not any(b == d and a in left for a, b in pairs)}
        if not ready:
            return False
        left -= ready
    return True


def test_the_files_are_those_that_were_published() -> None:
    """Bytes as in the source, by their count of nodes and edges, and the licence beside them."""
    counts = {
        "LayerGraphs_bert24_inference": (32, 55),
        "LayerGraphs_bert24_training": (64, 110),
        "LayerGraphs_resnet50_inference": (177, 193),
        "LayerGraphs_gnmt_inference": (96, 122),
        "OperatorGraphs_bert_l-3_inference": (235, 250),
        "OperatorGraphs_bert_l-3_training": (600, 817),
    }
    assert {known["name"] for known in PUBLISHED} == set(counts) == {path.stem for path in _graphs()}
    for path in _graphs():
        found = json.loads(path.read_text(encoding="utf-8"))
        assert (len(found["nodes"]), len(found["edges"])) == counts[path.stem]
    assert "Copyright (c) Microsoft Corporation." in (WORKLOADS / "README.md").read_text(encoding="utf-8")


def _graphs() -> list[Path]:
    return sorted(WORKLOADS.glob("*Graphs_*.json"))
