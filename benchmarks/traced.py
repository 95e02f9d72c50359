"""Models with branches, Mixtral smaller than published: what the price of program order is measured on.

No weights are made. The devices are alike: 40 GiB, 19.5 Tflop/s in float32, 1.5 TB/s, 5 us an op, links of 25 GB/s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ipu_partition.devices import TorchMachine, parse
from ipu_partition.devices.solve import workload
from ipu_partition.models import resolve
from ipu_partition.prepare import Prepared, as_shaped, prepare
from ipu_partition.progress import silent
from ipu_partition.request import Request
from ipu_partition.workload import Mode, Target, Workload

DEVICE: Mapping[str, Any] = {
    "kind": "cuda",
    "memory_gib": 40,
    "flops_per_s": {"float32": 19.5e12},
    "bytes_per_s": 1.5e12,
    "op_overhead_us": 5,
    "link_bytes_per_s": 25e9,
    "link_latency_us": 10,
}


def _clip() -> Any:
    from transformers import CLIPConfig

    return CLIPConfig()


def _mixtral() -> Any:
    """A quarter as wide and as deep as the published one (4096 wide, 32 layers), so that 40 GiB hold it."""
    from transformers import MixtralConfig

    return MixtralConfig(
        hidden_size=1024, intermediate_size=3584, num_hidden_layers=8, num_attention_heads=16, num_key_value_heads=4
    )


MODELS: Mapping[str, Callable[[], Any]] = {
    "t5": lambda: "t5-base",
    "bart": lambda: "facebook/bart-base",
    "lxmert": lambda: "unc-nlp/lxmert-base-uncased",
    "clip": _clip,
    "whisper": lambda: "openai/whisper-tiny",
    "mixtral": _mixtral,
}
"""Catalogue names, or configuration objects."""
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "t5": {"sequence_length": 512, "target_length": 128},
    "bart": {"sequence_length": 512, "target_length": 128},
    "mixtral": {"sequence_length": 512},
}
"""Others have the shapes that are planned by default."""


@cache
def traced(name: str, mode: str = "training") -> tuple[Prepared, Request]:
    """One of :data:`MODELS`, once per process. UsageError where it has no loss to train with."""
    request = Request(mode=mode, micro_batch_size=4, precision="32.32", **SHAPES.get(name, {}))
    spec = as_shaped(resolve(MODELS[name]()), request)
    return prepare(spec, request, Mode(mode), Target.TORCH, silent), request


def problem(name: str, devices: int, mode: str = "training") -> tuple[Prepared, Workload, TorchMachine]:
    """What :func:`ipu_partition.order.graph_of` and :func:`ipu_partition.order.chain_of` are given."""
    prepared, request = traced(name, mode)
    machine = parse({"name": f"{devices} devices", "count": devices, "device": DEVICE}, "benchmarks/traced.py")
    return prepared, workload(prepared, request, devices), machine
