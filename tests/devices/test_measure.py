"""A machine file of the machine the tests run on."""

from __future__ import annotations

import tomllib

import pytest
import torch

from ipu_partition.devices import link, measure, parse
from ipu_partition.errors import UsageError


def test_what_is_measured_is_a_machine_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SIZE", {"cpu": 128})
    monkeypatch.setattr(measure, "STREAM_BYTES", 1 << 20)
    threads = torch.get_num_threads()
    found = measure.measured("cpu", devices=1)
    assert torch.get_num_threads() == threads
    machine = parse(tomllib.loads(measure.to_toml({**found, "name": 'a "name" \U0001f600'})), "x")
    assert machine.name == 'a "name" \U0001f600'
    (device,) = machine.devices
    assert set(device.flops_per_s) == {"float32"}
    assert device.op_overhead_us > 0
    assert device.memory_bytes == found["device"]["memory_bytes"]


def test_devices_that_are_not_here() -> None:
    with pytest.raises(UsageError, match="devices of kind 'cuda' are not here"):
        measure.measured("cuda", devices=torch.cuda.device_count() + 1)
    with pytest.raises(UsageError, match="devices of kind 'tpu' are not here"):
        measure.measured("tpu")


def test_the_link_between_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "ROUNDS", 3)
    found = link.measure_link("cpu")
    assert found["link_bytes_per_s"] > 1e6
    assert found["link_latency_us"] >= 0


def test_a_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_PROGRAM", "raise SystemExit('no network')")
    with pytest.raises(UsageError, match="The link was not measured: no network"):
        link.measure_link("cpu")
