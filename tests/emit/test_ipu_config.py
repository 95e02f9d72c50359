"""ipu_config.json, checked against what optimum-graphcore 0.7.1 writes and accepts."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.ipu_config import IPUConfig

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
    ({"matmul_proportion": 1}, {"matmul_proportion": 1.0, "inference_matmul_proportion": 1.0}),
    (
        {"layers_per_ipu": [6, 6], "serialized_embedding_splits_per_ipu": [0, 2]},
        {"embedding_serialization_factor": None, "inference_embedding_serialization_factor": 1},
    ),
]
"""What is given and what the original derives from it."""

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replication_factor": True}, "replication_factor"),
    ({"replication_factor": {"default": 4}}, "replication_factor"),
    ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps"),
    ({"matmul_proportion": 2.5}, "less than or equal to 1"),
    ({"matmul_proportion": "0.2"}, "matmul_proportion"),
    ({"matmul_proportion": float("nan")}, "matmul_proportion"),
    ({"layers_per_ipu": [6, 6], "matmul_proportion": [0.2]}, "matmul_proportion has 1 values, ipus_per_replica is 2"),
    ({"layers_per_ipu": [6, 6], "ipus_per_replica": 4}, "layers_per_ipu has 2 values, ipus_per_replica is 4"),
    ({"layers_per_ipu": [-2]}, "layers_per_ipu"),
    ({"layers_per_ipu": "6"}, "layers_per_ipu"),
    ({"inference_layers_per_ipu": [6, 6], "inference_ipus_per_replica": 1}, "inference_layers_per_ipu has 2 values"),
    ({"output_mode": "some"}, "output_mode"),
    ({"num_beams": 4}, "num_beams: Extra inputs"),
    ({"layers_per_ipu": [6, 6], "serialized_embedding_splits_per_ipu": [0, 0]}, "at least one split"),
    ({"layers_per_ipu": [4, 4, 4], "serialized_projection_splits_per_ipu": [1, 0, 1]}, "no zero between splits"),
    ({"serialized_embedding_splits_per_ipu": [2], "embedding_serialization_factor": 2}, "both given; keep one"),
]


def test_golden(plans: ModuleType, golden: Path, tmp_path: Path) -> None:
    path = plans.gpt2_medium().ipu_config().save_pretrained(tmp_path)
    assert path.read_text(encoding="ascii") == (golden / "ipu_config.json").read_text(encoding="ascii")


def test_defaults_are_those_of_the_original() -> None:
    assert IPUConfig().to_dict() == DEFAULTS


@pytest.mark.parametrize(("given", "derived"), DERIVED)
def test_missing_fields_follow_the_others(given: dict[str, Any], derived: dict[str, Any]) -> None:
    found = IPUConfig.from_dict(given).to_dict()
    assert {name: found[name] for name in derived} == derived


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_nonsense_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        IPUConfig.from_dict(given)


def test_reading_what_was_written(tmp_path: Path) -> None:
    config = IPUConfig.from_dict({"layers_per_ipu": [0, 12], "matmul_proportion": [0.1, 0.3], "seed": 7})
    path = config.save_pretrained(tmp_path)
    assert IPUConfig.from_pretrained(tmp_path) == IPUConfig.from_pretrained(path) == config


def test_proportions_are_written_as_floats() -> None:
    text = IPUConfig.from_dict({"layers_per_ipu": [6, 6], "matmul_proportion": [1, 0]}).to_json()
    assert [type(p) for p in json.loads(text)["matmul_proportion"]] == [float, float]


@pytest.mark.parametrize("content", ["", "[]", '{"layers_per_ipu": 3}'])
def test_an_unreadable_file_is_a_usage_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "ipu_config.json").write_text(content)
    with pytest.raises(UsageError, match=r"ipu_config\.json"):
        IPUConfig.from_pretrained(tmp_path)


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


def test_a_class_that_ignores_layers_per_ipu_keeps_its_ipus(plans: ModuleType) -> None:
    data = plans.bart().to_dict()
    data["training"]["layers_per_ipu"] = None
    config = type(plans.bart()).from_dict(data).ipu_config()
    assert config.layers_per_ipu == [-1]
    assert config.ipus_per_replica == 4


@pytest.mark.parametrize(("precision", "half"), [("16.16", True), ("16.32", False), ("32.32", False)])
def test_partials_follow_the_precision(plans: ModuleType, precision: str, half: bool) -> None:
    data = plans.bart().to_dict()
    data["training"]["workload"]["precision"] = precision
    assert type(plans.bart()).from_dict(data).ipu_config().enable_half_partials is half


def test_serialisation_is_written_for_the_mode_that_has_it(plans: ModuleType) -> None:
    data = plans.gpt2_medium().to_dict()
    data["training"]["workload"] |= {"embedding_serialization_factor": 5, "projection_serialization_factor": 3}
    splits = [2, 1, 0, 0]
    data["inference"]["workload"] |= {
        "embedding_serialization_factor": 3,
        "serialized_embedding_splits_per_ipu": splits,
    }
    config = type(plans.bart()).from_dict(data).ipu_config()
    assert (config.embedding_serialization_factor, config.projection_serialization_factor) == (5, 3)
    assert config.serialized_embedding_splits_per_ipu is None
    assert config.inference_embedding_serialization_factor is None
    assert config.inference_serialized_embedding_splits_per_ipu == splits
    assert config.inference_projection_serialization_factor == 1


def test_findings_without_a_plan_write_nothing(plans: ModuleType) -> None:
    data = plans.bart().to_dict() | {"training": None, "inference": None, "fits": False, "checked": "file"}
    data["findings"] = [{"mode": None, "field": "layers_per_ipu", "text": "wrong", "fatal": True}]
    with pytest.raises(UsageError, match="nothing to write"):
        type(plans.bart()).from_dict(data).ipu_config()
