"""Measures how fast tensors go from one process to another, as pipelines of PyTorch send them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..errors import UsageError, one_line

SMALL_BYTES, LARGE_BYTES = 1 << 10, 1 << 24
ROUNDS = 20
LIMIT_SECONDS = 120.0
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}

_PROGRAM = """
import json, sys, time
from datetime import timedelta
import torch, torch.distributed as dist
backend, place, kind, rank, rounds, limit = sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7])
torch.set_num_threads(1)
device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
dist.init_process_group(
    backend, init_method="file://" + place, rank=rank, world_size=2, timeout=timedelta(seconds=limit)
)
found = []
for size in map(int, sys.argv[7:]):
    value = torch.zeros(size // 4, device=device)
    def there_and_back():
        for peer in (0, 1):
            dist.send(value, 1 - rank) if rank == peer else dist.recv(value, 1 - rank)
        if kind == "cuda":
            torch.cuda.synchronize(device)
    there_and_back()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        there_and_back()
        times.append((time.perf_counter() - begin) / 2)
    found.append(sorted(times)[len(times) // 2])
if rank == 0:
    print(json.dumps(found))
dist.destroy_process_group()
"""


def measure_link(kind: str = "cpu") -> dict[str, float]:
    """`link_bytes_per_s` and `link_latency_us` between two processes on this machine: gloo on CPUs, NCCL on GPUs.

    Medians of tensors of 1 KiB and 16 MiB sent to and fro. UsageError where the processes cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "store")
        runs = [_started(kind, place, rank) for rank in range(2)]
        try:
            out, error = runs[0].communicate(timeout=LIMIT_SECONDS)
            runs[1].wait(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise UsageError(f"The link was not measured: two processes took over {LIMIT_SECONDS:.0f} s.") from None
        finally:
            for run in runs:
                run.kill()
                run.wait()
    if runs[0].returncode:
        raise UsageError(f"The link was not measured: {one_line(error[-200:])}")
    small, large = json.loads(out)
    rate = (LARGE_BYTES - SMALL_BYTES) / max(large - small, 1e-9)
    return {"link_bytes_per_s": rate, "link_latency_us": max(0.0, small - SMALL_BYTES / rate) * 1e6}


def _started(kind: str, place: str, rank: int) -> subprocess.Popen[str]:
    numbers = [rank, ROUNDS, int(LIMIT_SECONDS), SMALL_BYTES, LARGE_BYTES]
    command = [sys.executable, "-c", _PROGRAM, BACKENDS[kind], place, kind, *map(str, numbers)]
    out: Any = subprocess.PIPE if rank == 0 else subprocess.DEVNULL
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=out, stderr=out, text=True, env=environment)
