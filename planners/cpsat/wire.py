"""What the two processes tell each other: one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..graph.blocks import Blocks, Pool
from ..graph.race import Stages


@dataclass(frozen=True, slots=True)
class Task:
    blocks: Blocks
    stages: Stages | None
    """The best plan known."""
    value_us: float
    """Of that plan."""
    least_us: float
    """Every plan takes so much or more."""
    until_s: float
    """On ``time.monotonic``, which is one clock for all processes."""
    workers: int


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def task_line(task: Task) -> bytes:
    blocks = task.blocks
    return line(
        {
            "count": len(blocks.members),
            "bytes": blocks.bytes.tolist(),
            "pools": [_pool(pool) for pool in blocks.pools],
            "before": blocks.before,
            "tensors": blocks.tensors,
            "groups": blocks.groups,
            "stages": task.stages,
            "value_us": task.value_us if np.isfinite(task.value_us) else None,
            "least_us": task.least_us,
            "until_s": task.until_s,
            "workers": task.workers,
        }
    )


def _pool(pool: Pool) -> dict[str, Any]:
    """Nothing runs on devices that have not even the room to be in use; they may stay empty."""
    full = pool.capacity is not None and pool.capacity < 0
    return {
        "devices": len(pool.devices),
        "work_us": [time if np.isfinite(time) and not full else None for time in pool.work_us.tolist()],
        "capacity": None if pool.capacity is None else max(0, int(pool.capacity)),
        "pays": pool.pays,
    }


def task_of(text: str) -> Task:
    """Blocks and devices have other names there, but the same numbers of both."""
    found = json.loads(text)
    value_us = found["value_us"]
    return Task(
        blocks=_blocks(found),
        stages=None if found["stages"] is None else stages_of(found["stages"]),
        value_us=float("inf") if value_us is None else value_us,
        least_us=found["least_us"],
        until_s=found["until_s"],
        workers=found["workers"],
    )


def stages_of(found: Any) -> Stages:
    return tuple((pool, tuple(blocks)) for pool, blocks in found)


def _blocks(found: dict[str, Any]) -> Blocks:
    return Blocks(
        members=tuple((block,) for block in range(found["count"])),
        bytes=np.array(found["bytes"], np.int64),
        pools=tuple(
            Pool(
                devices=tuple(range(pool["devices"])),
                work_us=np.array([float("inf") if time is None else time for time in pool["work_us"]], np.float64),
                capacity=pool["capacity"],
                pays=pool["pays"],
            )
            for pool in found["pools"]
        ),
        before=tuple((early, late) for early, late in found["before"]),
        tensors=tuple((tuple(touched), price) for touched, price in found["tensors"]),
        groups=tuple((tuple(touched), size) for touched, size in found["groups"]),
        rounded=False,
    )
