"""What the saved document of a plan says, against what was solved. The host half is held to the document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ipu_partition.workload import PRECISIONS

if TYPE_CHECKING:
    from ipu_partition.plan_parts import ModePlan, WorkloadInfo
    from ipu_partition.solve import Solved

Home = tuple[int, int]
"""(IPU, pipeline stage)"""


def document_homes(plan: ModePlan) -> list[Home]:
    """Of each unit, by the stages of the document."""
    return [(stage.ipu, stage.index) for stage in plan.stages for _ in stage.units]


def document_problems(plan: ModePlan, solved: Solved, homes: Sequence[Home]) -> list[str]:
    """Where the document is not what was solved, `homes` being those of the units."""
    units = solved.prepared.graph.units
    problems = []
    if [unit for stage in plan.stages for unit in stage.units] != list(range(len(units))):
        problems.append("the stages do not have every unit once, in order")
    elif document_homes(plan) != list(homes):
        problems.append(f"the stages are on {document_homes(plan)}, expected {list(homes)}")
    for stage in plan.stages:
        modules = [name for i in stage.units if i < len(units) for name in units[i].modules or (units[i].name,) if name]
        if stage.modules != modules:
            problems.append(f"stage {stage.index} has the modules {stage.modules}, expected {modules}")
    return problems + _block_problems(plan, solved, homes) + _ipu_problems(plan, homes)


def _block_problems(plan: ModePlan, solved: Solved, homes: Sequence[Home]) -> list[str]:
    """Every block is on the IPU of its module, and there is one wherever the IPU changes."""
    ipus = {unit.name: ipu for unit, (ipu, _) in zip(solved.prepared.graph.units, homes, strict=True)}
    wrong = [block for block in plan.blocks if ipus.get(block.module) != block.ipu]
    problems = [f"block {b.module} is on IPU {b.ipu}, expected {ipus.get(b.module)}" for b in wrong]
    first: dict[str, int] = {}
    for block in plan.blocks:
        first.setdefault(block.user_id, block.ipu)  # what repeats an id is behind the first
    begun, needed = _changes(first.values()), _changes(ipu for ipu, _ in homes)
    return problems + ([] if begun == needed else [f"the blocks are on the IPUs {begun} in turn, expected {needed}"])


def _changes(ipus: Iterable[int]) -> list[int]:
    """Without repetitions, from IPU 0."""
    return [ipu for ipu, _ in groupby([0, *ipus])]


def _ipu_problems(plan: ModePlan, homes: Sequence[Home]) -> list[str]:
    """Those that have work are those that units are on."""
    busy = [ipu.ipu for ipu in plan.ipus if ipu.cycle_us > 0]
    used = sorted({ipu for ipu, _ in homes})
    return [] if busy == used else [f"the IPUs {busy} have work, expected {used}"]


def host_document(plan: ModePlan) -> dict[str, Any]:
    """What the host is compared with beside the homes, from the document alone."""
    work = plan.workload
    return {
        "blocks": [[block.module, block.user_id, block.ipu] for block in plan.blocks],
        "checkpoints": [checkpoint.module for checkpoint in plan.checkpoints],
        "options": {
            "gradient accumulation": work.gradient_accumulation or 1,
            "replication factor": work.replicas,
            "device iterations": plan.device_iterations,
            "memory proportions": [[ipu, value] for ipu, value in enumerate(work.matmul_proportions)],
            "half partials": PRECISIONS[work.precision].half_partials,
            **(_optimizer(work) if work.mode == "training" else {}),
        },
    }


def _optimizer(work: WorkloadInfo) -> dict[str, bool]:
    return {
        "optimizer state off chip": work.optimizer_state_offchip,
        "replicated tensor sharding": work.replicated_tensor_sharding and work.replicas > 1,
    }
