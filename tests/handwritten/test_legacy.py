"""Published files, also of earlier releases: what is translated, what is refused, and that both are said."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.handwritten import Handwritten, read, side
from ipu_partition.ipu_config import IPUConfig
from ipu_partition.workload import Mode

HUB_2022: dict[str, Any] = {
    "embedding_serialization_factor": 0,
    "enable_half_first_order_momentum": True,
    "gradient_accumulation_steps": {"pod4": 64, "pod16": 16, "default": 16},
    "inference_replication_factor": {"pod4": 1, "pod16": 4, "default": 4},
    "ipus_per_replica": 4,
    "layers_per_ipu": [0, 4, 4, 4],
    "matmul_proportion": [0.25],
    "optimizer_state_offchip": False,
    "profile_dir": "",
    "replication_factor": {"pod4": 1, "pod16": 4, "default": 4},
    "sharded_execution_for_inference": True,
    "use_popdist": False,
}
"""In the manner of the files that the Hub had before release 0.4."""


def _fields(hand: Handwritten) -> set[str]:
    return {finding.field for finding in hand.findings}


def test_everything_that_an_old_file_says_is_understood_and_said() -> None:
    hand = read(HUB_2022)
    fields = hand.fields
    assert (fields.replication_factor, fields.inference_replication_factor) == (4, 4)
    assert fields.gradient_accumulation_steps == 16
    assert fields.embedding_serialization_factor == 1
    assert fields.matmul_proportion == fields.inference_matmul_proportion == 0.25
    assert _fields(hand) == set(HUB_2022) - {"ipus_per_replica", "layers_per_ipu", "optimizer_state_offchip"}
    assert not any(finding.fatal for finding in hand.findings)


def test_a_machine_can_be_chosen() -> None:
    fields = read(HUB_2022, "pod4").fields
    assert (fields.replication_factor, fields.gradient_accumulation_steps) == (1, 64)
    with pytest.raises(UsageError, match=r"an entry 'pod32', expected one of default, pod16, pod4"):
        read(HUB_2022, "pod32")
    with pytest.raises(UsageError, match="no table by machine"):
        read({"replication_factor": 4}, "pod4")


def test_without_a_default_the_machine_with_fewest_replicas_is_taken_for_all() -> None:
    tables = {"replication_factor": {"pod16": 4, "pod8": 2}, "gradient_accumulation_steps": {"pod16": 8, "pod8": 99}}
    fields = read(tables).fields
    assert (fields.replication_factor, fields.gradient_accumulation_steps) == (2, 99)


def test_no_replica_at_all_means_that_it_does_not_run_there() -> None:
    table = {"replication_factor": {"pod4": 0, "pod16": 2, "default": 2}}
    assert read(table).fields.replication_factor == 2
    (finding,) = read(table, "pod4").findings
    assert finding.fatal
    assert "does not run there" in finding.text


def test_keys_that_optimum_refuses_are_fatal_and_those_it_drops_are_not() -> None:
    found = {f.field: f.fatal for f in read({"layer_per_ipu": [4], "num_beams": 4, "torch_dtype": "x"}).findings}
    assert found == {"layer_per_ipu": True, "num_beams": False}


@pytest.mark.parametrize(
    ("given", "used", "fatal"),
    [
        ([2.5, 0.2], [1.0, 0.2], [True]),
        ([0, 0.2], [0.05, 0.2], [True, False]),
        ([0.04, 0.2], [0.04, 0.2], [False]),
        ([1, 0.2], [1.0, 0.2], [False]),
        (1, 1.0, [False]),
        (-3, 0.05, [True, False]),
    ],
)
def test_proportions_are_brought_into_range(given: Any, used: Any, fatal: list[bool]) -> None:
    hand = read({"layers_per_ipu": [2, 2], "matmul_proportion": given})
    assert hand.fields.matmul_proportion == used
    assert sorted(f.fatal for f in hand.findings) == sorted(fatal)


@pytest.mark.parametrize(
    "data",
    [
        {"layers_per_ipu": "3,3"},
        {"layers_per_ipu": [1.5]},
        {"layers_per_ipu": []},
        {"layers_per_ipu": None},
        {"layers_per_ipu": [-2]},
        {"layers_per_ipu": [10**30]},
        {"ipus_per_replica": -1},
        {"gradient_accumulation_steps": 10**400},
        {"matmul_proportion": float("nan")},
        {"matmul_proportion": [0.2, float("inf")]},
        {"matmul_proportion": {"pod4": 0.2}},
        {"replication_factor": {}},
        {"replication_factor": {"pod4": "one"}},
        {"replication_factor": {"pod4": True}},
        {"optimizer_state_offchip": "yes"},
        {"seed": "x"},
        {3: 4},
    ],
    ids=repr,
)
def test_what_means_nothing_is_refused(data: dict[Any, Any]) -> None:
    with pytest.raises(UsageError):
        read(data)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"a": NaN}', "9" * 5000, "[" * 10**5, "\x00"])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "ipu_config.json").write_text(text)
    for source in (tmp_path, tmp_path / "ipu_config.json"):
        with pytest.raises(UsageError):
            read(source)


@pytest.mark.parametrize("source", ["", "no/such/file", ".", "a\0b", "x" * 5000, "/dev/zero", 5, None, b"x"])
def test_what_is_no_file_is_refused(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        read(source)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "ipu_config.json"
    file.write_text(json.dumps({"x": "y" * (1 << 20)}))
    with pytest.raises(UsageError, match="at most 1048576 bytes"):
        read(file)


def test_a_valid_configuration_is_read_as_it_is_and_in_silence(tmp_path: Path) -> None:
    """Whatever optimum accepts means the same here: a thousand valid configurations, made at random."""
    choose = random.Random(7)
    for _ in range(1000):
        config = _valid(choose)
        hand = read(config.to_dict())
        assert hand.fields.model_dump() == config.model_dump()
        assert hand.findings == ()
        assert all(side(hand, mode).predictable for mode in Mode)
    assert read(config) == read(config.to_dict())
    config.save_pretrained(tmp_path)
    assert read(tmp_path).fields.model_dump() == config.model_dump()


def _valid(choose: random.Random) -> IPUConfig:
    data: dict[str, Any] = {}
    for start in ("", "inference_"):
        ipus = choose.choice([1, 2, 4, 8])
        wild = choose.random() < 0.3
        data[f"{start}layers_per_ipu"] = [-1] if wild else [choose.randrange(5) for _ in range(ipus)]
        data[f"{start}ipus_per_replica"] = ipus
        data[f"{start}replication_factor"] = choose.choice([1, 2, 4])
        data[f"{start}matmul_proportion"] = (
            0.2 if choose.random() < 0.5 else [choose.choice([0.05, 0.2, 1.0]) for _ in range(ipus)]
        )
        splits = choose.random() < 0.3
        name = f"{start}serialized_embedding_splits_per_ipu" if splits else f"{start}embedding_serialization_factor"
        data[name] = [2, *[0] * (ipus - 1)] if splits else choose.choice([1, 2, 8])
    data["gradient_accumulation_steps"] = choose.choice([1, 16, 512])
    if data["matmul_proportion"] != 0.2 and data["ipus_per_replica"] == 1:
        data["matmul_proportion"] = 0.3
    return IPUConfig.from_dict(data)
