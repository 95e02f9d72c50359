"""A slice of the fidelity benchmark, so that a change of the models that moves published numbers is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import fitting, scores
from benchmarks.judging import evaluate
from benchmarks.records import Record
from ipu_partition.machine.constants import MEMORY, TIME, TimeModel

MEASURED_WITHIN = 0.25
"""Single rates; the median of all is what the benchmark is about."""


def judged(part: str, *names: str) -> list[dict[str, Any]]:
    found = evaluate(only=[part], ids=names, jobs=1)[part]
    assert {row["id"] for row in found} == {*names}
    assert not [row["error"] for row in found if "error" in row]
    return found


def test_mt5_runs_out_of_memory_as_measured_and_fits_as_shipped() -> None:
    shipped = "112-mt5-small-text2text-generation-training-s128-t128-b1"
    plain = "113-mt5-small-text2text-generation-training-s128-t128-b1"
    rows = judged("memory", shipped, plain)
    assert [row["fits"] for row in rows] == [True, False]
    for row in judged("compiles", "mt5-small-bars"):
        assert abs(row["error_share"]) <= 0.15, row["what"]


def test_stages_of_bert_large_take_what_was_measured() -> None:
    for row in judged("compiles", "popliner-bert-large-stages"):
        assert abs(row["error_share"]) <= 0.05, row["what"]
        assert row["predicted_tile_bytes"] == pytest.approx(row["measured_tile_bytes"], rel=0.05)


def test_the_tiny_training_graph_takes_what_was_measured() -> None:
    (row,) = judged("compiles", "popliner-tiny-bert-training")
    assert abs(row["error_share"]) <= 0.25


def test_vit_in_single_precision_fits_with_a_small_batch_alone() -> None:
    rows = judged(
        "memory", "145-vit-base-image-classification-inference-b64", "146-vit-base-image-classification-inference-b2"
    )
    assert [row["fits"] for row in rows] == [False, True]
    assert rows[0]["fullest_share"] == pytest.approx(826_928 / 638_976, rel=0.1)


def test_gpt2_fits_and_runs_as_fast_as_measured() -> None:
    (row,) = judged("memory", "060-gpt2-text-generation-training-s1024-b1")
    assert row["fits"]
    (rate,) = judged("rates", "perf-66")
    assert abs(rate["error_share"]) <= MEASURED_WITHIN
    (plan,) = judged("plans", "060-gpt2-text-generation-training-s1024-b1")
    assert plan["ratio"] <= 1


def test_bert_base_fits_and_runs_as_fast_as_measured() -> None:
    (row,) = judged("memory", "190-bert-base-question-answering-training-s384-b1")
    assert row["fits"]
    (rate,) = judged("rates", "perf-56")
    assert abs(rate["error_share"]) <= MEASURED_WITHIN


def test_weights_that_exceed_memory_are_refused() -> None:
    (row,) = judged("memory", "weights-bert-large-uncased-1-ipus")
    assert not row["fits"]
    assert row["terms"]["weights"] > 897 * 2**20


def test_constants_are_those_given_and_only_there() -> None:
    """Twice the tile imbalance leaves less room."""
    name = "weights-bert-large-uncased-1-ipus"
    before = evaluate(only=["memory"], ids=[name], jobs=1)["memory"][0]
    more = replace(MEMORY, tile_imbalance_bytes=2 * MEMORY.tile_imbalance_bytes)
    changed = evaluate(more, only=["memory"], ids=[name], jobs=1)["memory"][0]
    assert changed["margin_bytes"] < before["margin_bytes"]
    assert evaluate(only=["memory"], ids=[name], jobs=1)["memory"][0] == before


def test_rank_correlation() -> None:
    assert scores.rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert scores.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert scores.rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
    assert scores.rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9486833)
    assert scores.rank_correlation([1, 2], [1, 2]) is None
    assert scores.rank_correlation([1, 1, 1], [1, 2, 3]) is None


def test_what_cannot_be_judged_is_wrong() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "known_to_fit": True, "error": "no plan"},
        {"id": "b", "known_to_fit": False, "fits": False, "mode": "training", "fullest_share": 1.2},
        {"id": "c", "known_to_fit": None, "fits": True, "mode": "training", "fullest_share": 0.5},
    ]
    found = scores.memory_scores(rows)
    assert (found["known"], found["right"], found["wrong"]) == (2, 1, ["a"])
    assert (found["refused"], found["impossible"], found["unknown_fit"]) == (1, 1, 1)


def test_rates_that_do_not_count_move_no_score() -> None:
    row = {"id": "a", "counted": True, "fitted": True, "machine": "mk2", "measured": 1.0, "predicted": 1.1}
    rows = [row | {"error_share": 0.1}, row | {"counted": False, "error_share": 9.0}]
    assert scores.rate_scores(rows)["all"] == {"rates": 1, "median": 0.1, "worst": 0.1}


def test_a_fit_finds_the_constants_that_rates_were_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("matmul_efficiency", "op_overhead_cycles")

    def made(model: TimeModel, rates: Sequence[Record]) -> list[float]:
        return [1e9 / (r["work"] / model.matmul_efficiency + r["ops"] * model.op_overhead_cycles) for r in rates]

    true = replace(
        TIME, matmul_efficiency=TIME.matmul_efficiency * 1.3, op_overhead_cycles=TIME.op_overhead_cycles // 2
    )
    runs = [{"work": work, "ops": ops} for work in (1e4, 1e6, 1e8) for ops in (1, 30, 1000)]
    rates = [run | {"samples_per_second": rate} for run, rate in zip(runs, made(true, runs), strict=True)]
    monkeypatch.setattr(fitting, "predictions", made)
    found = fitting.fit(rates, names)
    assert found.matmul_efficiency == pytest.approx(true.matmul_efficiency, rel=0.02)
    assert found.op_overhead_cycles == pytest.approx(true.op_overhead_cycles, rel=0.05)
