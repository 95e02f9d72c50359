"""Configurations that others wrote: what is translated and said, what is refused, and that nothing else is touched."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.ipu_config import IPUConfig

OLD: dict[str, Any] = {
    "embedding_serialization_factor": 0,
    "enable_half_first_order_momentum": True,
    "gradient_accumulation_steps": {"pod4": 64, "pod16": 16, "default": 16},
    "inference_replication_factor": {"pod4": 1, "pod16": 4, "default": 4},
    "ipus_per_replica": 4,
    "layers_per_ipu": [0, 4, 4, 4],
    "matmul_proportion": [0.25],
    "num_beams": 1,
    "profile_dir": "",
    "replication_factor": {"pod4": 1, "pod16": 4, "default": 4},
    "sharded_execution_for_inference": True,
    "transformers_version": "4.20.1",
    "use_popdist": False,
}
"""In the manner of the files that the Hub had before release 0.4."""
HOSTILE = [
    "",
    "[]",
    "null",
    "{",
    '{"layers_per_ipu": [1, 2',
    '{"layers_per_ipu": 3}',
    '{"matmul_proportion": NaN}',
    '{"matmul_proportion": 1e999}',
    '{"seed": 1, "seed": 2}',
    '{"__class__": "os.system"}',
    '{"gradient_accumulation_steps": {"__import__": "os"}}',
    '{"executable_cache_dir": "\\ud800"}',
    "[" * 100_000,
    '{"a":' * 100_000,
    "9" * 5000,
    "\x00",
    json.dumps({"executable_cache_dir": "x" * (1 << 20)}),
]


def _texts(config: IPUConfig) -> str:
    return " ".join(note.text for note in config.notes)


def test_an_old_file_is_translated_and_that_is_said() -> None:
    with pytest.warns(UserWarning, match="a table by machine") as warned:
        config = IPUConfig.from_dict(OLD, "old.json")
    assert len(warned) == 1
    assert str(warned[0].message).startswith("old.json: ")
    assert (config.replication_factor, config.inference_replication_factor) == (4, 4)
    assert config.gradient_accumulation_steps == 16
    assert config.embedding_serialization_factor == 1
    assert config.matmul_proportion == config.inference_matmul_proportion == 0.25
    untouched = {"ipus_per_replica", "layers_per_ipu", "transformers_version"}
    assert {note.field for note in config.notes} == set(OLD) - untouched
    assert all(note.text in str(warned[0].message) for note in config.notes)


def test_what_was_translated_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Taken: 'default'"):
        old = IPUConfig.from_dict(OLD)
    new = IPUConfig(**old.to_dict())
    assert old.notes
    assert new.notes == ()
    assert old == new
    assert old.to_json() == new.to_json()
    assert pickle.loads(pickle.dumps(old)) == old
    old.save_pretrained(tmp_path)
    assert IPUConfig.from_pretrained(tmp_path).notes == ()


def test_a_machine_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "ipu_config.json").write_text(json.dumps(OLD))
    with pytest.warns(UserWarning, match="Taken: 'pod4'"):
        assert IPUConfig.from_pretrained(tmp_path, pod="pod4").gradient_accumulation_steps == 64
    with pytest.raises(UsageError, match="an entry 'pod64', expected one of default, pod16, pod4"):
        IPUConfig.from_dict(OLD, pod="pod64")
    with pytest.raises(UsageError, match="no table by machine"):
        IPUConfig.from_dict({}, pod="pod4")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"matmul_proportion": 1}, "matmul_proportion", 1.0),
        ({"inference_matmul_proportion": 0}, "inference_matmul_proportion", 0.2),
        ({"layers_per_ipu": [6, 6], "matmul_proportion": [0.3]}, "inference_matmul_proportion", 0.3),
        ({"gradient_accumulation_steps": 16.0}, "gradient_accumulation_steps", 16),
        ({"embedding_serialization": 4}, "embedding_serialization_factor", 4),
        ({"projection_serialization_factor": 0}, "projection_serialization_factor", 1),
        ({"compile_only": False, "torch_dtype": "float16"}, "replication_factor", 1),
    ],
)
def test_what_is_translated(given: dict[str, Any], field: str, value: object) -> None:
    with pytest.warns(UserWarning, match=r"0\.7\.1|without a word"):
        config = IPUConfig.from_dict(given)
    assert getattr(config, field) == value
    assert type(getattr(config, field)) is type(value)
    assert config.notes
    with pytest.raises(UsageError):
        IPUConfig(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layer_per_ipu": [4]}, "'layer_per_ipu' is no field"),
        ({"matmul_proportion": 2.5}, r"2\.5, expected above 0 and up to 1\.$"),
        ({"matmul_proportion": [0, 0.2], "layers_per_ipu": [6, 6]}, "is 0, expected above 0"),
        ({"replication_factor": {"pod4": 0, "default": 0}}, "does not run there"),
        ({"replication_factor": {}}, "replication_factor"),
        ({"execute_encoder_on_cpu_for_generation": True}, "NotImplementedError"),
        ({"layers_per_ipu": [6, 6], "gradient_accumulation_steps": 2}, "needs at least 3"),
        ({"layers_per_ipu": [3, -1], "ipus_per_replica": 4}, "2 values with wildcards"),
        ({"ipus_per_replica": False}, "ipus_per_replica is False"),
        ({"optimizer_state_offchip": "yes"}, "optimizer_state_offchip"),
        ({"gradient_accumulation_steps": 10**400}, "too large"),
        ({3: 4}, "a key 3"),
        ([("seed", 1)], "is a list, expected a mapping"),
        (None, "expected a mapping"),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        IPUConfig.from_dict(given)


def test_the_default_accumulation_is_accepted_with_a_note_and_without_a_warning(tmp_path: Path) -> None:
    """Every file that the original writes has the key, and trainers set it on their command line."""
    IPUConfig(layers_per_ipu=[3, 3, 3, 3]).save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = IPUConfig.from_pretrained(tmp_path)
        assert IPUConfig.from_dict({"layers_per_ipu": [3, 3, 3, 3]}).notes == ()
    assert config.gradient_accumulation_steps == 1
    assert "needs at least 7" in _texts(config)


def test_wildcards_that_one_ipu_does_not_look_at_are_noted() -> None:
    config = IPUConfig.from_dict({"layers_per_ipu": [-1, -1], "inference_ipus_per_replica": 1})
    assert "2 values with wildcards, inference_ipus_per_replica is 1" in _texts(config)
    assert config.layers_for(12, inference=True) == [12]


def test_reading_what_was_written(tmp_path: Path) -> None:
    config = IPUConfig(layers_per_ipu=[0, 12], matmul_proportion=[0.1, 0.0], gradient_accumulation_steps=3, seed=7)
    path = config.save_pretrained(tmp_path)
    for source in (tmp_path, path, str(path), os.fspath(tmp_path)):
        read = IPUConfig.from_pretrained(source)
        assert read == config
        assert read.notes == ()
    (tmp_path / "link").symlink_to(path)
    assert IPUConfig.from_pretrained(tmp_path / "link") == config


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_a_file_that_is_no_configuration_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "ipu_config.json").write_text(text)
    for source in (tmp_path, tmp_path / "ipu_config.json"):
        with pytest.raises(UsageError, match=r"ipu_config\.json") as caught:
            IPUConfig.from_pretrained(source)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "source", ["", " ", "no/such/file", ".", "a\0b", "x" * 5000, "/dev/zero", 5, None, b"x", "~no"]
)
def test_what_is_no_file_is_refused(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        IPUConfig.from_pretrained(source)


def test_a_file_has_no_revisions(tmp_path: Path) -> None:
    IPUConfig().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="has no revisions"):
        IPUConfig.from_pretrained(tmp_path, "main")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "ipu_config.json").mkdir()
    with pytest.raises(UsageError, match=r"holds no file ipu_config\.json"):
        IPUConfig.from_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"ipu_config\.json is a folder"):
        IPUConfig().save_pretrained(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = IPUConfig().save_pretrained(tmp_path)

    def denied(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(UsageError, match="Permission denied"):
        IPUConfig.from_pretrained(path)
