"""What running a model on the CPU takes, and what is free for it, in bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..prepare import Prepared

WIDTH = 4
"""Bytes of a float on the CPU."""
WEIGHTS_TRAINING = 4
"""Times the weights: themselves, the gradients of two runs that are compared, and those that are being made."""
RUNS = 2
"""What is kept of the whole model and of its stages may be there at the same time."""
COMPARED = 8
"""Times a tensor while it is compared: it, what it is compared with, their difference and its size, in float64."""
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""Limits from here on are none: the kernel writes the largest number of pages."""


def bytes_needed(prepared: Prepared, training: bool) -> int:
    """What running the whole model of `prepared` and its stages, and comparing them, takes in float32: weights, what is
    kept for the backward pass and comes out, and the most that is alive besides."""
    graph = prepared.graph
    sizes = [WIDTH * parameter.elements for parameter in graph.parameters.values()]
    wider = WIDTH / min(WIDTH, prepared.flow.float_bytes)
    results = int(wider * sum(unit.result_bytes for unit in graph.units))
    running = max(max(unit.forward_peak_bytes, unit.backward_peak_bytes) for unit in graph.units)
    running += sum(tensor.bytes for tensor in graph.tensors)
    running += RUNS * sum(unit.saved_bytes for unit in graph.units) if training else 0
    comparing = COMPARED * max(results, max(sizes, default=0) if training else 0)
    weights = (WEIGHTS_TRAINING if training else 1) * sum(sizes)
    return weights + RUNS * results + max(int(wider * running), comparing)


def available_bytes() -> int | None:
    """Memory that this process may still take; None where the system does not say.

    Sources: MemAvailable of /proc/meminfo and the limits of control groups (Linux), else free pages, else all pages.
    """
    found = [*_meminfo(Path("/proc/meminfo")), *_limits(Path("/proc/self/cgroup"), _CGROUPS)]
    return max(0, min(found)) if found else _pages()


def _meminfo(file: Path) -> Iterator[int]:
    for line in _text(file).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable" and value.split()[:1] and value.split()[0].isdigit():
            yield 1024 * int(value.split()[0])


def _limits(memberships: Path, root: Path) -> Iterator[int]:
    """What each group that the process is in, and those around it, may still take; version 2 and version 1."""
    for line in _text(memberships).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from _left(root, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(root / "memory", path, *names)


def _left(mount: Path, path: str, limit_name: str, used_name: str, cached_name: str) -> Iterator[int]:
    """Inside a container the path may be that of the host: then only the mounted root is there."""
    inner = mount / path.strip("/")
    for folder in dict.fromkeys((inner, *inner.parents)):
        if folder != mount and mount not in folder.parents:
            continue
        limit, used = (_text(folder / name).strip() for name in (limit_name, used_name))
        if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
            yield int(limit) - int(used) + _cached(folder / "memory.stat", cached_name)


def _cached(file: Path, name: str) -> int:
    """File cache, which counts as used and is given up first."""
    rows = (line.split() for line in _text(file).splitlines())
    return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == name and row[1].isdigit()), 0)


def _pages() -> int | None:
    for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        try:
            pages, size = os.sysconf(name), os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            continue
        if pages > 0 and size > 0:
            return pages * size
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
