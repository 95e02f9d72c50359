"""The IPU kinds a plan can be made for: published numbers, each with its source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Machine:
    """One IPU kind. Peak numbers as published; what of them a program reaches is in :mod:`.constants`."""

    name: str
    title: str
    tiles: int
    bytes_per_tile: int
    clock_hz: int
    fp16_flops_per_s: int
    """One IPU, 16.16."""
    fp32_flops_per_s: int
    sram_bytes_per_s: int
    """All tiles of one IPU together, each with its own memory."""
    exchange_bytes_per_s: int
    """Between the tiles of one IPU."""
    link_bytes_per_s: int
    """Of one IPU, to other IPUs."""
    host_bytes_per_s: int
    """Of one machine of `ipus_per_machine` IPUs, to and from off-chip memory."""
    ipus_per_machine: int
    legal_ipu_counts: tuple[int, ...]
    """IPUs that one process can attach to, ascending."""
    sources: Mapping[str, str]
    """Where each number is from, by field name."""

    @property
    def capacity_bytes(self) -> int:
        """Memory of one IPU: tiles times bytes per tile (897 MiB on Mk2 and Bow)."""
        return self.tiles * self.bytes_per_tile

    def peak_flops_per_s(self, float_bytes: int) -> int:
        """Peak rate of matrix products on floats of 2 or 4 bytes."""
        return self.fp32_flops_per_s if float_bytes == 4 else self.fp16_flops_per_s

    def reserved_ipus(self, wanted: int) -> int:
        """IPUs that a program using `wanted` of them holds: the next legal count. UsageError beyond the last."""
        for count in self.legal_ipu_counts:
            if count >= wanted:
                return count
        most = self.legal_ipu_counts[-1]
        raise UsageError(f"{wanted} IPUs asked for, but one process can hold at most {most}; ask for fewer.")


@cache
def machine_names() -> tuple[str, ...]:
    """Names that :func:`machine` knows, sorted."""
    folder = files(__package__) / "data"
    return tuple(sorted(f.name.removesuffix(".json") for f in folder.iterdir() if f.name.endswith(".json")))


@cache
def machine(name: str) -> Machine:
    """The IPU kind called `name` (`mk2`, `bow`). UsageError for any other name, listing the known ones."""
    if name not in machine_names():
        raise UsageError(f"unknown machine {name!r}, expected one of: {', '.join(machine_names())}.")
    return _parse(json.loads((files(__package__) / "data" / f"{name}.json").read_text(encoding="utf-8")))


def _parse(data: Mapping[str, Any]) -> Machine:
    numbers = {f.name: data[f.name] for f in fields(Machine) if isinstance(data.get(f.name), dict)}
    values: dict[str, Any] = {k: _value(v["value"]) for k, v in numbers.items()}
    sources = {k: str(v["source"]) for k, v in sorted(numbers.items())}
    return Machine(name=data["name"], title=data["title"], sources=sources, **values)


def _value(value: int | list[int]) -> int | tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else value
