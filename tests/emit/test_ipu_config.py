"""ipu_config.json, checked against what optimum-graphcore 0.7.1 writes and accepts."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.ipu_config import IPUConfig
from tests.plans_edit import edited

DEFAULTS: dict[str, Any] = {
    "auto_loss_scaling": False,
    "device_iterations": 1,
    "embedding_serialization_factor": 1,
    "enable_half_partials": True,
    "executable_cache_dir": "",
    "execute_encoder_on_cpu_for_generation": False,
    "explicit_ir_inference": False,
    "gradient_accumulation_steps": 1,
    "inference_device_iterations": 1,
    "inference_embedding_serialization_factor": 1,
    "inference_ipus_per_replica": 1,
    "inference_layers_per_ipu": [-1],
    "inference_matmul_proportion": 0.2,
    "inference_parallelize_kwargs": {},
    "inference_projection_serialization_factor": 1,
    "inference_replication_factor": 1,
    "inference_serialized_embedding_splits_per_ipu": None,
    "inference_serialized_projection_splits_per_ipu": None,
    "ipus_per_replica": 1,
    "layers_per_ipu": [-1],
    "matmul_proportion": 0.2,
    "model_type": "",
    "optimizer_state_offchip": False,
    "optimum_version": "1.6.1",
    "output_mode": "final",
    "parallelize_kwargs": {},
    "projection_serialization_factor": 1,
    "recompute_checkpoint_every_layer": False,
    "replicated_tensor_sharding": False,
    "replication_factor": 1,
    "seed": None,
    "serialized_embedding_splits_per_ipu": None,
    "serialized_projection_splits_per_ipu": None,
    "transformers_version": "4.29.2",
}
"""`IPUConfig().to_dict()` of optimum-graphcore 0.7.1, as it ran."""

DERIVED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"layers_per_ipu": [3, 3, 3, 3]},
        {"ipus_per_replica": 4, "inference_layers_per_ipu": [3, 3, 3, 3], "inference_ipus_per_replica": 4},
    ),
    ({"layers_per_ipu": [3] * 4, "inference_layers_per_ipu": [-1]}, {"inference_ipus_per_replica": 1}),
    ({"ipus_per_replica": 4}, {"layers_per_ipu": [-1], "inference_ipus_per_replica": 4}),
    ({"ipus_per_replica": 4, "inference_layers_per_ipu": [6, 6]}, {"inference_ipus_per_replica": 2}),
    ({"ipus_per_replica": None, "layers_per_ipu": [-1, -1]}, {"ipus_per_replica": 2}),
    (
        {"layers_per_ipu": [6, 6], "inference_layers_per_ipu": [12], "matmul_proportion": [0.1, 0.3]},
        {"inference_matmul_proportion": 0.2},
    ),
    ({"matmul_proportion": 1.0}, {"matmul_proportion": 1.0, "inference_matmul_proportion": 1.0}),
    ({"model_type": "bert", "transformers_version": "4.25.1"}, {"model_type": "", "transformers_version": "4.29.2"}),
    (
        {"layers_per_ipu": [6, 6], "serialized_embedding_splits_per_ipu": [0, 2]},
        {"embedding_serialization_factor": None, "inference_embedding_serialization_factor": 1},
    ),
]
"""What is given and what the original derives from it."""

CASES: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "ipu_config_cases.json").read_text())
"""Recorded from the original, named in the file: (given, how `to_dict()` differs from the defaults; null: it raises),
and (layers_per_ipu, IPUs, layers of the model, layers on each IPU; null: it raises)."""

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replication_factor": True}, "replication_factor"),
    ({"replication_factor": {"default": 4}}, "replication_factor"),
    ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps"),
    ({"gradient_accumulation_steps": 16.0}, "gradient_accumulation_steps"),
    ({"matmul_proportion": 2.5}, r"2\.5, expected floats from 0\.0 to 1\.0"),
    ({"matmul_proportion": -0.1}, "expected floats from"),
    ({"matmul_proportion": 1}, r"matmul_proportion holds 1, which is no float; write 1\.0"),
    ({"inference_matmul_proportion": 0}, r"write 0\.0"),
    ({"layers_per_ipu": [6, 6], "matmul_proportion": [1, 0.2]}, r"write 1\.0"),
    ({"matmul_proportion": 10**400}, "a huge number"),
    ({"matmul_proportion": True}, "True, expected floats"),
    ({"matmul_proportion": "0.2"}, "matmul_proportion"),
    ({"matmul_proportion": float("nan")}, "matmul_proportion holds nan"),
    ({"matmul_proportion": float("inf")}, "matmul_proportion holds inf"),
    ({"layers_per_ipu": [6, 6], "matmul_proportion": [0.2]}, "matmul_proportion has 1 values, ipus_per_replica is 2"),
    ({"layers_per_ipu": [6, 6], "ipus_per_replica": 4}, "layers_per_ipu has 2 values, ipus_per_replica is 4"),
    ({"layers_per_ipu": [3, -1], "ipus_per_replica": 4}, "2 values with wildcards, ipus_per_replica is 4"),
    ({"layers_per_ipu": [-1, -1], "ipus_per_replica": 1}, "2 values with wildcards, ipus_per_replica is 1"),
    ({"layers_per_ipu": [-2]}, "layers_per_ipu"),
    ({"layers_per_ipu": "6"}, "layers_per_ipu"),
    ({"layers_per_ipu": (3, 3)}, "layers_per_ipu: Input should be a valid list"),
    ({"layers_per_ipu": [6, 6], "matmul_proportion": (1, 0.2)}, "matmul_proportion"),
    ({"layers_per_ipu": [6, 6], "serialized_embedding_splits_per_ipu": {1}}, "serialized_embedding_splits_per_ipu"),
    ({"layers_per_ipu": []}, "layers_per_ipu"),
    ({"layers_per_ipu": None}, "layers_per_ipu"),
    ({"layers_per_ipu": [10**12]}, "a number above 2147483647"),
    ({"inference_layers_per_ipu": ""}, "inference_layers_per_ipu is '', expected a list"),
    ({"inference_layers_per_ipu": [6, 6], "inference_ipus_per_replica": 1}, "inference_layers_per_ipu has 2 values"),
    ({"ipus_per_replica": False}, "ipus_per_replica is False, expected a whole number"),
    ({"ipus_per_replica": 65}, "one process can hold 64"),
    ({"output_mode": "some"}, "output_mode"),
    ({"seed": -1}, "seed is expected from 0"),
    ({"seed": 2**64}, "seed is expected from 0"),
    ({"executable_cache_dir": "a\0b"}, "executable_cache_dir"),
    ({"executable_cache_dir": b"cache"}, "executable_cache_dir"),
    ({"parallelize_kwargs": {"a": (1, 2)}}, "what JSON cannot say"),
    ({"parallelize_kwargs": {b"a": 1}}, "parallelize_kwargs"),
    ({"self": 1}, "'self' is no field"),
    ({"parallelize_kwargs": {"a": float("nan")}}, "what JSON cannot say"),
    ({"parallelize_kwargs": {"\ud800": 1}}, "what JSON cannot say"),
    ({"execute_encoder_on_cpu_for_generation": True}, "NotImplementedError"),
    ({"num_beams": 4}, "'num_beams' is no field of IPUConfig; it belongs to a model's configuration"),
    ({"layer_per_ipu": [4]}, "did you mean layers_per_ipu"),
    ({"embedding_serialization": 2}, "old name of embedding_serialization_factor"),
    ({"sharded_execution_for_inference": True}, "deprecated and does nothing"),
    ({"use_popdist": True}, "belongs to earlier releases"),
    ({"layers_per_ipu": [6, 6], "serialized_embedding_splits_per_ipu": [0, 0]}, "at least one split"),
    ({"layers_per_ipu": [4, 4, 4], "serialized_projection_splits_per_ipu": [1, 0, 1]}, "no zero between splits"),
    ({"serialized_embedding_splits_per_ipu": [2], "embedding_serialization_factor": 2}, "both given; keep one"),
    ({"layers_per_ipu": [3, 3, 3, 3], "gradient_accumulation_steps": 1}, "is 1, .* needs at least 7"),
    ({"layers_per_ipu": [3, 3, 3, 3], "gradient_accumulation_steps": 6}, "is 6, .* needs at least 7"),
    ({"layers_per_ipu": [0, 6, 6, 0], "gradient_accumulation_steps": 4}, "needs at least 5"),
    ({"ipus_per_replica": 2, "gradient_accumulation_steps": 2}, "needs at least 3"),
]
"""What the constructor does not take, and what it says."""


def test_golden(plans: ModuleType, golden: Path, tmp_path: Path) -> None:
    path = plans.gpt2_medium().ipu_config().save_pretrained(tmp_path)
    assert path.read_text(encoding="ascii") == (golden / "ipu_config.json").read_text(encoding="ascii")


def test_defaults_are_those_of_the_original() -> None:
    assert IPUConfig().to_dict() == DEFAULTS


@pytest.mark.parametrize(("given", "derived"), DERIVED)
def test_missing_fields_follow_the_others(given: dict[str, Any], derived: dict[str, Any]) -> None:
    found = IPUConfig(**given).to_dict()
    assert {name: found[name] for name in derived} == derived
    assert IPUConfig.from_dict(given).to_dict() == found


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_nonsense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        IPUConfig(**given)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("given", "least"),
    [
        ({}, 1),
        ({"layers_per_ipu": [12]}, 1),
        ({"layers_per_ipu": [0, 12]}, 3),
        ({"layers_per_ipu": [12, 0, 0, 0]}, 1),
        ({"ipus_per_replica": 4}, 7),
        ({"layers_per_ipu": [1, -1, 0, -1]}, 5),
    ],
)
def test_accumulation_that_a_pipeline_needs(given: dict[str, Any], least: int) -> None:
    """2 F - 1 for F IPUs with layers, IPU 0 always among them; the default of 1 is left alone."""
    assert IPUConfig(**given).least_accumulation == least
    assert IPUConfig(**given).gradient_accumulation_steps == 1
    assert IPUConfig(**given, gradient_accumulation_steps=least).gradient_accumulation_steps == least


def test_every_configuration_means_what_it_means_to_the_original() -> None:
    accepted = 0
    for given, changes in CASES["configurations"]:
        try:
            found = IPUConfig(**given).to_dict()
        except UsageError:
            continue
        assert changes is not None, f"only we take {given}"
        assert found == CASES["defaults"] | changes, given
        assert json.loads(IPUConfig(**given).to_json()) == found
        accepted += 1
    assert accepted >= 110


def test_what_the_original_refuses_is_refused() -> None:
    refused = [given for given, changes in CASES["configurations"] if changes is None]
    assert len(refused) >= 45
    for given in refused:
        with pytest.raises(UsageError):
            IPUConfig(**given)


def test_layers_are_those_of_the_original_unless_some_would_be_lost() -> None:
    """[10, -1, -1, 5] of 12 layers: the original puts 10 on IPU 0, 2 on IPU 3, and says nothing."""
    lost = []
    for layers, ipus, count, real in CASES["layers"]:
        for mode in ("", "inference_"):
            config = IPUConfig.from_dict({f"{mode}layers_per_ipu": layers, f"{mode}ipus_per_replica": ipus})
            try:
                assert config.layers_for(count, inference=bool(mode)) == real
            except UsageError:
                given = sum(n for n in layers if n > 0)
                assert real is None or given > count or (given < count and -1 not in layers)
                lost.append((tuple(layers), count))
    assert ((10, -1, -1, 5), 12) in lost
    assert ((3, -1), 12) not in lost


@pytest.mark.parametrize("count", [0, -1, True, 2.0, None])
def test_layers_of_no_model(count: Any) -> None:
    with pytest.raises(UsageError, match="expected a whole number of at least 1"):
        IPUConfig().layers_for(count)


def test_both_modes_come_from_the_plan(plans: ModuleType) -> None:
    config = plans.gpt2_medium().ipu_config()
    assert config.layers_per_ipu == [1, 3, 3, 3, 4, 4, 3, 3]
    assert config.inference_layers_per_ipu == [6, 6, 6, 6]
    assert (config.ipus_per_replica, config.inference_ipus_per_replica) == (8, 4)
    assert (config.replication_factor, config.inference_replication_factor) == (2, 1)
    assert config.gradient_accumulation_steps == 256
    assert config.matmul_proportion == [0.1, *[0.2] * 7]
    assert config.inference_matmul_proportion == 0.2
    assert config.optimizer_state_offchip
    assert config.recompute_checkpoint_every_layer
    assert config.enable_half_partials


def test_a_mode_that_was_not_planned_repeats_the_other(plans: ModuleType) -> None:
    only = plans.inference_only().ipu_config()
    assert only.layers_per_ipu == only.inference_layers_per_ipu == [6, 6]
    assert only.ipus_per_replica == 2
    assert only.gradient_accumulation_steps == 3
    training = plans.bart().ipu_config()
    assert training.inference_layers_per_ipu == [3, 3, 3, 3]
    assert training.inference_device_iterations == 1


def test_a_cut_that_layers_per_ipu_cannot_say_leaves_it_open(plans: ModuleType) -> None:
    config = plans.deberta().ipu_config()
    assert config.layers_per_ipu == config.inference_layers_per_ipu == [-1]
    assert (config.ipus_per_replica, config.inference_ipus_per_replica) == (4, 4)
    assert config.inference_device_iterations == 4


def test_ipus_that_even_shares_would_use_count_for_the_accumulation(plans: ModuleType) -> None:
    """The plan leaves them idle, and the file cannot say that."""
    data = plans.deberta().to_dict()
    for mode in ("training", "inference"):
        for placed in (*data[mode]["blocks"], *data[mode]["stages"]):
            placed["ipu"] = min(placed["ipu"], 1)
        data[mode]["minimum_accumulation"] = 3
    data["training"]["workload"]["gradient_accumulation"] = 4
    config = edited(data).ipu_config()
    assert (config.layers_per_ipu, config.gradient_accumulation_steps) == ([-1], 7)


def test_a_class_that_ignores_layers_per_ipu_keeps_its_ipus(plans: ModuleType) -> None:
    data = plans.bart().to_dict()
    data["training"]["layers_per_ipu"] = None
    config = edited(data).ipu_config()
    assert config.layers_per_ipu == [-1]
    assert config.ipus_per_replica == 4


@pytest.mark.parametrize(("precision", "half"), [("16.16", True), ("16.32", False), ("32.32", False)])
def test_partials_follow_the_precision(plans: ModuleType, precision: str, half: bool) -> None:
    data = plans.bart().to_dict()
    data["training"]["workload"]["precision"] = precision
    assert edited(data).ipu_config().enable_half_partials is half


def test_serialisation_is_written_for_the_mode_that_has_it(plans: ModuleType) -> None:
    data = plans.gpt2_medium().to_dict()
    data["training"]["workload"] |= {"embedding_serialization_factor": 5, "projection_serialization_factor": 3}
    splits = [2, 1, 0, 0]
    data["inference"]["workload"] |= {
        "embedding_serialization_factor": 3,
        "serialized_embedding_splits_per_ipu": splits,
    }
    config = edited(data).ipu_config()
    assert (config.embedding_serialization_factor, config.projection_serialization_factor) == (5, 3)
    assert config.serialized_embedding_splits_per_ipu is None
    assert config.inference_embedding_serialization_factor is None
    assert config.inference_serialized_embedding_splits_per_ipu == splits
    assert config.inference_projection_serialization_factor == 1


def test_findings_without_a_plan_write_nothing(plans: ModuleType) -> None:
    data = plans.bart().to_dict() | {"training": None, "inference": None, "fits": False, "checked": "file"}
    data["findings"] = [{"mode": None, "field": "layers_per_ipu", "text": "wrong", "fatal": True}]
    with pytest.raises(UsageError, match="nothing to write"):
        edited(data).ipu_config()
