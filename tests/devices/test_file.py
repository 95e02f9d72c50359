"""Machine files: what is read, and that anything else is refused with the key, what was found and what was expected."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ipu_partition.devices import TorchDevice, TorchMachine, parse, read_machine
from ipu_partition.devices.kinds import rate
from ipu_partition.devices.measure import to_toml
from ipu_partition.errors import UsageError
from tests.devices.machines import ALIKE, LISTED, ONE, TOML, without

GPU = TorchDevice("cuda", 40 << 30, {"float32": 19.5e12, "float16": 312e12}, 1.5e12, 5.0, 25e9, 10.0)


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TOML)
    (tmp_path / "a.json").write_text(json.dumps(ALIKE))
    (tmp_path / "plain").write_text(TOML)
    (tmp_path / "braces").write_text(json.dumps(ALIKE))
    for name in ("a.toml", "a.json", "plain", "braces"):
        assert read_machine(tmp_path / name) == TorchMachine("two", (GPU, GPU))


def test_devices_are_listed_one_by_one() -> None:
    found = parse(LISTED, "x")
    assert [d.kind for d in found.devices] == ["cuda", "cpu"]
    assert [d.memory_bytes >> 30 for d in found.devices] == [40, 8]
    assert not found.alike
    assert parse(ALIKE, "x").alike
    assert found.first(1).devices == (GPU,)
    with pytest.raises(UsageError, match="3 devices were asked for, machine 'mixed' has 2"):
        found.first(3)


def test_what_may_be_left_out() -> None:
    least = {"kind": "cpu", "memory_bytes": 1 << 30, "flops_per_s": 1e11, "bytes_per_s": 1e10}
    found = parse({"name": "one", "device": least}, "x")
    assert found.devices == (TorchDevice("cpu", 1 << 30, {"float32": 1e11, "float16": 1e11}, 1e10),)
    assert found.slowest_link() == (float("inf"), 0.0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (without(ALIKE, "name"), "name is None, expected a printable text"),
        ({**ALIKE, "name": "a\nb"}, "name is 'a\\nb', expected a printable text"),
        ({**ALIKE, "name": "bow"}, "name is 'bow', which is a kind of IPU"),
        ({**ALIKE, "gpus": 2}, "the file has a key 'gpus', expected name, count, device, devices"),
        (without(ALIKE, "device"), "neither is there, expected either `device`"),
        ({**ALIKE, "devices": [ONE]}, "both are there"),
        ({**LISTED, "count": 2}, "count is there beside `devices`"),
        ({**ALIKE, "count": 0}, "count is 0, expected a whole number from 1 to 64"),
        ({**ALIKE, "count": 2.0}, "count is 2.0, expected a whole number"),
        ({**ALIKE, "count": True}, "count is True, expected a whole number"),
        ({"name": "none", "devices": []}, "devices is 0 of them, expected a list of 1 to 64"),
        ({"name": "none", "devices": ONE}, "expected a list of 1 to 64"),
        ({"name": "none", "devices": [3]}, "devices[0] is 3, expected a table of kind"),
        ({**ALIKE, "device": {**ONE, "tflops": 3}}, "device has a key 'tflops', expected kind, memory_gib"),
        ({**ALIKE, "device": {**ONE, "kind": "tpu"}}, "device.kind is 'tpu', expected cuda or cpu"),
        ({**ALIKE, "device": {**ONE, "kind": ["cuda"]}}, "device.kind is ['cuda'], expected cuda or cpu"),
        ({**ALIKE, "device": without(ONE, "memory_gib")}, "memory_gib or memory_bytes: is missing"),
        ({**ALIKE, "device": {**ONE, "memory_bytes": 5}}, "both are there, expected one of the two"),
        ({**ALIKE, "device": {**ONE, "memory_gib": "40"}}, "device.memory_gib is '40', expected a number above 0"),
        ({**ALIKE, "device": {**ONE, "memory_gib": 1e9}}, "device.memory_gib is 1000000000.0, expected whole bytes"),
        ({**ALIKE, "device": {**without(ONE, "memory_gib"), "memory_bytes": 1.5}}, "bytes is 1.5, expected whole"),
        ({**ALIKE, "device": without(ONE, "bytes_per_s")}, "device.bytes_per_s is missing"),
        ({**ALIKE, "device": {**ONE, "bytes_per_s": 0}}, "device.bytes_per_s is 0, expected a number above 0"),
        ({**ALIKE, "device": {**ONE, "bytes_per_s": float("nan")}}, "device.bytes_per_s is nan, expected a number"),
        ({**ALIKE, "device": {**ONE, "bytes_per_s": 10**400}}, "device.bytes_per_s is an integer of more than 30"),
        ({**ALIKE, "device": {**ONE, "bytes_per_s": True}}, "device.bytes_per_s is True, expected a number"),
        ({**ALIKE, "device": {**ONE, "op_overhead_us": -1}}, "device.op_overhead_us is -1, expected a number from 0"),
        ({**ALIKE, "device": without(ONE, "link_bytes_per_s")}, "device.link_bytes_per_s is missing"),
        ({"name": "x", "devices": [ONE, without(ONE, "link_bytes_per_s")]}, "devices[1].link_bytes_per_s is missing"),
        ({**ALIKE, "device": {**ONE, "reserved_bytes": 40 << 30}}, "less than its memory, 42949672960"),
        ({**ALIKE, "device": {**ONE, "flops_per_s": {}}}, "device.flops_per_s is empty, expected float32 or float16"),
        ({**ALIKE, "device": {**ONE, "flops_per_s": {"int8": 1}}}, "flops_per_s has a key 'int8', expected float32"),
        ({**ALIKE, "device": {**ONE, "flops_per_s": {"float32": "fast"}}}, "flops_per_s.float32 is 'fast'"),
        ({**ALIKE, "device": without(ONE, "flops_per_s")}, "device.flops_per_s is None, expected a number above 0"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(data, "gpus.toml")
    assert words in str(refused.value)
    assert str(refused.value).startswith("gpus.toml: ")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "name = ", "a.toml is not TOML"),
        ("a.toml", "name = 'x'\nname = 'y'", "is not TOML"),
        ("a.toml", "count = " + "9" * 5000, "a line of more than 1000 characters"),
        ("a.toml", 'name = "x"\ncount = 0x' + "f" * 900, "neither is there"),
        ("a.toml", 'name = "x"\ncount = 0x' + "f" * 900 + "\n[device]", "count is"),
        ("a.toml", "a = " + "[" * 900, "is not TOML"),
        ("a.toml", "a" + ".a" * 20_000 + " = 1", "a line of more than 1000 characters"),
        ("a.toml", "#" * (1 << 16) + "#", "has more than 65,536 bytes"),
        ("a.json", "[]", "holds a JSON list, expected an object"),
        ("a.json", '{"name": NaN}', "is not JSON"),
        ("a.json", '{"name": "a", "name": "b"}', "is there twice"),
        ("a.JSON", "", "is not JSON"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as refused:
        read_machine(tmp_path / name)
    assert words in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_machine(tmp_path / "nowhere.toml")
    with pytest.raises(UsageError, match="no regular file"):
        read_machine(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(UsageError, match="is not TOML"):
        read_machine(tmp_path / "latin.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(UsageError, match="no regular file"):
        read_machine(tmp_path / "pipe.toml")


def test_a_precision_needs_its_rate() -> None:
    device = parse({"name": "x", "device": {**ONE, "flops_per_s": {"float32": 1e12}}}, "x").devices[0]
    assert rate(device, 4) == 1e12
    with pytest.raises(UsageError, match=r"flops_per_s of a cuda device has float32 alone, .* needs float16"):
        rate(device, 2)


def test_what_is_measured_is_written_as_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(to_toml(ALIKE))
    assert read_machine(tmp_path / "a.toml") == parse(ALIKE, "x")
