"""Measures the devices of this machine, for a machine file of it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..threads import one_thread
from .kinds import KINDS, PRECISIONS
from .link import measure_link

if TYPE_CHECKING:
    import torch

SIZE = {"cpu": 768, "cuda": 4096}
"""Rows and columns of the matrices that are multiplied."""
STREAM_BYTES = 1 << 27
"""Of a tensor that fits no cache."""
REPEATS = 5
SMALL_OPS = 2000
CGROUP = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says how much memory this process and its like may take."""


def measured(kind: str = "cpu", *, devices: int = 1, name: str | None = None, link: bool = True) -> dict[str, Any]:
    """The contents of a machine file: `devices` equal ones, CPU processes of one thread each or GPUs like the first.

    Rates are medians of a matrix product, a copy and a row of small ops; the memory of CPU processes is an equal share
    of the machine's, or of the limit on this process. `link`: measure it too where there are several, between two
    processes (`link_bytes_per_s`, `link_latency_us`). Takes a few seconds. UsageError where there are no such devices.
    """
    import torch

    if kind not in KINDS or (kind == "cuda" and torch.cuda.device_count() < devices) or devices < 1:
        there = torch.cuda.device_count()
        raise UsageError(f"{devices} devices of kind {kind!r} are not here; there are CPUs, and {there} of kind cuda.")
    device = torch.device(kind)
    with one_thread():
        found: dict[str, Any] = {
            "kind": kind,
            "memory_bytes": _memory_bytes(device, devices),
            "flops_per_s": _rates(device),
            "bytes_per_s": _bandwidth(device),
            "op_overhead_us": _overhead_us(device),
        }
    if link and devices > 1:
        found |= measure_link(kind)
    return {"name": name or f"measured-{kind}", "count": devices, "device": found}


def to_toml(machine: Mapping[str, Any]) -> str:
    """What :func:`measured` returns as the text of a machine file."""
    top = [f"{key} = {_value(machine[key])}" for key in ("name", "count")]
    device = [f"{key} = {_value(value)}" for key, value in machine["device"].items()]
    return "\n".join([*top, "", "[device]", *device]) + "\n"


def _value(value: Any) -> str:
    import json

    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median of several runs, after one that does not count."""
    import torch

    found = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - begin)
    return statistics.median(found[1:])


def _rates(device: torch.device) -> dict[str, float]:
    """Half precision on GPUs alone: CPUs emulate it."""
    import torch

    found, size = {}, SIZE[device.type]
    for name in PRECISIONS if device.type == "cuda" else ("float32",):
        one = torch.ones(size, size, dtype=getattr(torch, name), device=device)
        found[name] = 2 * size**3 / _seconds(lambda one=one: one @ one, device)  # type: ignore[misc]
    return found


def _bandwidth(device: torch.device) -> float:
    """Bytes read and written per second."""
    import torch

    source = torch.ones(STREAM_BYTES // 4, device=device)
    target = torch.empty_like(source)
    return 2 * STREAM_BYTES / _seconds(lambda: target.copy_(source), device)


def _overhead_us(device: torch.device) -> float:
    import torch

    value = torch.ones(8, device=device)

    def small() -> None:
        for _ in range(SMALL_OPS):
            value.add(1.0)

    return _seconds(small, device) / SMALL_OPS * 1e6


def _memory_bytes(device: torch.device, devices: int) -> int:
    import torch

    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = CGROUP.read_text().strip() if CGROUP.is_file() else ""
    return (min(whole, int(limit)) if limit.isdigit() else whole) // devices
