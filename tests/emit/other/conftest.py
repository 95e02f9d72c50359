from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition.plan import PartitionPlan

MACHINE = """\
name = "four small ones"
count = {count}
[device]
kind = "cpu"
memory_gib = 8
flops_per_s = 1e11
bytes_per_s = 1e10
link_bytes_per_s = 1e9
"""


@pytest.fixture
def machine_file(tmp_path: Path) -> Callable[[int], str]:
    """The file of a machine with so many equal devices."""

    def write(count: int) -> str:
        path = tmp_path / f"{count}.toml"
        path.write_text(MACHINE.format(count=count))
        return str(path)

    return write


@pytest.fixture
def staged(plans: ModuleType) -> Callable[..., PartitionPlan]:
    """A training plan made by hand: of each stage its modules, and the device it is on (default: one after another)."""

    def make(
        stages: Sequence[Sequence[str]], devices: Sequence[int] | None = None, *, mode: str = "training", **model: Any
    ) -> PartitionPlan:
        homes = list(devices or range(len(stages)))
        work = plans.workload(mode, max(homes) + 1)
        listed = [
            {"index": i, "ipu": homes[i], "units": [i], "modules": list(modules)} for i, modules in enumerate(stages)
        ]
        part = plans.mode_plan(work, [], stages=listed)
        known = {"task": "text-generation", **model}
        modes = (part, None) if mode == "training" else (None, part)
        made: PartitionPlan = plans.plan(*modes, model=known)
        return made

    return make
