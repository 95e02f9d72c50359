"""The published records are whole, say where they are from, and mean something to the package."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from benchmarks import records
from benchmarks.judging import kind_of
from benchmarks.prepared import request_of
from benchmarks.records import Record
from ipu_partition.models.tasks import find_task
from ipu_partition.workload import PRECISIONS

RUNS = (*records.configurations(), *records.compiles(), *(records.run_of(rate) for rate in records.rates()))


def test_every_record_has_one_name_and_a_source() -> None:
    for found in (records.configurations(), records.rates(), records.compiles()):
        names = [record["id"] for record in found]
        assert len({*names}) == len(names)
        assert all(record["source"].strip() for record in found)


def test_what_is_left_out_has_a_reason_and_is_not_judged() -> None:
    judged = {record["id"] for record in chain(records.configurations(), records.rates())}
    out = list(records.left_out())
    assert out
    for record in out:
        assert record["reason"].strip()
        assert record["source"].strip()
        assert record["id"] not in judged


@pytest.mark.parametrize("record", RUNS, ids=lambda record: record["id"])
def test_every_run_is_a_request(record: Record) -> None:
    given = record["ipu_config"]
    request = request_of(record)
    assert request.wanted_ipus == given["ipus_per_replica"] == len(given["layers_per_ipu"])
    assert given["execution_mode"] in ("pipelined", "sharded")
    assert (record["mode"] == "training") <= (given["execution_mode"] == "pipelined")
    assert record["precision"] in PRECISIONS
    assert find_task(record["task"]).name == record["task"]
    assert kind_of(record["machine"]).name == record["machine"]


def test_what_is_known_of_a_configuration_has_evidence() -> None:
    for record in records.configurations():
        assert record["known_to_fit"] in (True, False, None)
        assert record["evidence"].strip()


def test_a_training_configuration_says_where_its_optimizer_state_is_or_that_nobody_does() -> None:
    for record in RUNS:
        if record["mode"] == "training":
            assert record["ipu_config"]["optimizer_state_offchip"] in (True, False, None)
            assert isinstance(record["ipu_config"]["recompute_checkpoint_every_layer"], bool)


def test_weights_that_exceed_all_memory_are_among_the_configurations() -> None:
    impossible = [record for record in records.configurations() if record["id"].startswith("weights-")]
    assert len(impossible) >= 3
    assert not any(record["known_to_fit"] for record in impossible)


def test_a_rate_that_does_not_score_says_why() -> None:
    for rate in records.rates():
        assert rate["samples_per_second"] > 0
        assert rate["counted"] or rate["reason"].strip()
        assert rate["counted"] or not rate["fitted"]


def test_rates_are_parted_into_fitted_and_held_out() -> None:
    counted = [rate for rate in records.rates() if rate["counted"]]
    fitted = {rate["family"] for rate in counted if rate["fitted"]}
    assert fitted
    assert {rate["family"] for rate in counted} > fitted, "some families are seen by no fit"


def test_changes_of_a_rate_change_what_is_there() -> None:
    for rate in records.rates():
        base = next(c for c in records.configurations() if c["id"] == rate["config"])
        run = records.run_of(rate)
        assert set(run) <= {*base}
        assert run["ipu_config"] == base["ipu_config"] | rate["changes"].get("ipu_config", {})


def test_terms_of_a_measured_compile_add_up() -> None:
    for compile_ in records.compiles():
        assert 0 < compile_["limit"] < 1
        for measured in compile_["measured"]:
            assert measured["ipu"] < compile_["ipu_config"]["ipus_per_replica"]
            assert measured["bytes"] == sum(measured["terms"].values()) or not measured["terms"]


def test_records_are_plain_text_with_one_record_on_a_line() -> None:
    for name in ("configurations", "rates", "compiles"):
        text = (records.DATA / f"{name}.json").read_text(encoding="utf-8")
        lines = [line.strip().rstrip(",") for line in text.splitlines()]
        found = [json.loads(line) for line in lines if line.startswith('{"id"')]
        assert len(found) == sum(len(part) for part in json.loads(text).values() if isinstance(part, list))
