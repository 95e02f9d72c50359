from __future__ import annotations

import json
from importlib.resources import files

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.machine.kinds import machine, machine_names


@pytest.mark.parametrize("name", ["mk2", "bow"])
def test_memory_is_897_mebibytes(name: str) -> None:
    assert machine(name).capacity_bytes == 940_572_672 == 897 * 2**20


def test_every_number_has_a_source() -> None:
    for name in machine_names():
        data = json.loads((files("ipu_partition.machine") / "data" / f"{name}.json").read_text())
        numbers = {k: v for k, v in data.items() if k not in ("name", "title")}
        assert all(set(v) == {"value", "source"} and len(v["source"]) > 10 for v in numbers.values())
        assert machine(name).sources == {k: v["source"] for k, v in numbers.items()}


def test_bow_is_mk2_with_a_faster_clock() -> None:
    mk2, bow = machine("mk2"), machine("bow")
    ratio = bow.clock_hz / mk2.clock_hz
    for field in ("fp16_flops_per_s", "fp32_flops_per_s", "sram_bytes_per_s", "exchange_bytes_per_s"):
        assert getattr(bow, field) / getattr(mk2, field) == pytest.approx(ratio, rel=0.01)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown machine 'gpu'.*bow, mk2"):
        machine("gpu")


@pytest.mark.parametrize(("wanted", "held"), [(1, 1), (3, 4), (4, 4), (33, 64)])
def test_a_program_holds_a_power_of_two(wanted: int, held: int) -> None:
    assert machine("mk2").reserved_ipus(wanted) == held


def test_no_process_holds_more_than_64() -> None:
    with pytest.raises(UsageError, match="at most 64"):
        machine("bow").reserved_ipus(65)


def test_fp32_is_a_quarter_of_fp16() -> None:
    mk2 = machine("mk2")
    assert mk2.peak_flops_per_s(2) == 4 * mk2.peak_flops_per_s(4)
