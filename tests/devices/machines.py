"""Machine files for the tests."""

from __future__ import annotations

from typing import Any

ONE: dict[str, Any] = {
    "kind": "cuda",
    "memory_gib": 40,
    "flops_per_s": {"float32": 19.5e12, "float16": 312e12},
    "bytes_per_s": 1.5e12,
    "op_overhead_us": 5,
    "link_bytes_per_s": 25e9,
    "link_latency_us": 10,
}
FLAT: dict[str, Any] = {**ONE, "bytes_per_s": 1e15, "op_overhead_us": 0, "link_bytes_per_s": 1e15, "link_latency_us": 0}
"""Nothing but matrix products takes time."""
ALIKE: dict[str, Any] = {"name": "two", "count": 2, "device": ONE}
LISTED: dict[str, Any] = {"name": "mixed", "devices": [ONE, {**ONE, "kind": "cpu", "memory_gib": 8}]}
TOML = """\
name = "two"  # a comment
count = 2

[device]
kind = "cuda"
memory_gib = 40
flops_per_s = { float32 = 19.5e12, float16 = 312e12 }
bytes_per_s = 1.5e12
op_overhead_us = 5
link_bytes_per_s = 25e9
link_latency_us = 10
"""


def without(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}
