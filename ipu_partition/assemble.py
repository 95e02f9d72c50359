"""From a planner's answer to the document: everything a plan says about one mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from planners import Infeasible, Optimal, Solution
from planners.evaluate import Evaluation

from .blocks import blocks_of
from .machine import device_terms, peak_bytes, schedule, update_us
from .plan_parts import (
    Adapter,
    Baseline,
    Block,
    Checkpoint,
    Ipu,
    Lever,
    Memory,
    ModePlan,
    Predicted,
    Shortfall,
    SolutionInfo,
    Stage,
    WorkloadInfo,
)
from .prepare import Prepared
from .solve import Solved
from .workload import Mode


def mode_plan(solved: Solved, levers: Sequence[Lever], warnings: Sequence[str]) -> ModePlan:
    """The document of one mode. Raises :class:`UsageError` where the accumulation asked for is below the need."""
    blocks = blocks_of(solved)
    need = _need(solved, blocks)
    return ModePlan(
        workload=_workload(solved, blocks),
        status=_status(solved.solution),
        fits=solved.fits,
        layers_per_ipu=layers_per_ipu(solved.prepared, solved.assignment, solved.workload.ipus),
        stages=_stages(solved),
        blocks=blocks,
        checkpoints=_checkpoints(solved),
        adapters=[Adapter(kind=a.kind, module=a.module, method=a.method) for a in solved.prepared.layout.adapters],
        ipus=_ipus(solved),
        predicted=_predicted(solved, blocks),
        solution=_solution(solved),
        baselines=[_baseline(name, other, solved) for name, other in solved.baselines],
        minimum_accumulation=need,
        shortfall=_shortfall(solved),
        levers=list(levers),
        warnings=list(warnings),
    )


def layers_per_ipu(prepared: Prepared, assignment: Sequence[int] | None, ipus: int) -> list[int] | None:
    """Counted layers on each IPU; None where the plan is free, or the family's class counts nothing."""
    counted = {b.module for b in prepared.layout.blocks if b.ipu == "layer"}
    if prepared.layout.free or not counted or assignment is None:
        return None
    counts = [0] * ipus
    for unit, ipu in zip(prepared.graph.units, assignment, strict=True):
        counts[ipu] += unit.name in counted
    return counts


def _status(solution: Solution) -> Literal["optimal", "feasible", "infeasible"]:
    if isinstance(solution, Infeasible):
        return "infeasible"
    return "optimal" if isinstance(solution, Optimal) else "feasible"


def _stages(solved: Solved) -> list[Stage]:
    if solved.evaluation is None:
        return []
    units = solved.prepared.graph.units
    return [
        Stage(
            index=index,
            ipu=stage.device,
            units=list(range(stage.start, stage.stop)),
            modules=[m for u in units[stage.start : stage.stop] for m in (u.modules or (u.name,)) if m],
        )
        for index, stage in enumerate(solved.evaluation.stages)
    ]


def _checkpoints(solved: Solved) -> list[Checkpoint]:
    """Modules the generated code keeps the output of, with their names in other versions."""
    layout = solved.prepared.layout
    if not solved.workload.checkpointed:
        return []
    others = {b.module: list(b.alternatives) for b in layout.blocks}
    return [Checkpoint(module=m, alternatives=others.get(m, [])) for m in layout.checkpoints]


def _ipus(solved: Solved) -> list[Ipu]:
    evaluation = solved.evaluation
    if evaluation is None:
        return []
    return [_ipu(solved, evaluation, i) for i in range(len(evaluation.devices))]


def _ipu(solved: Solved, evaluation: Evaluation, index: int) -> Ipu:
    terms = device_terms(solved.costing, evaluation, index)
    memory = Memory(
        total_bytes=sum(terms.values()), capacity_bytes=solved.costing.machine.capacity_bytes, terms=dict(terms)
    )
    return Ipu(ipu=index, memory=memory, cycle_us=_us(evaluation.devices[index].time_us))


def _predicted(solved: Solved, blocks: Sequence[Block]) -> Predicted | None:
    """Of the plan, or of the assignment that comes nearest to fitting."""
    evaluation, work = solved.evaluation, solved.workload
    if evaluation is None:
        return None
    objective = evaluation.objective_us
    if work.mode is Mode.TRAINING:
        update = update_us(solved.costing)
        rate = schedule.training(work, [b.ipu for b in blocks], objective, update)
    else:
        rate = schedule.inference(work, objective)
    return Predicted(
        cycle_us=_us(objective) if work.pipelined else None,
        latency_us=None if work.pipelined else _us(objective),
        samples_per_second=round(rate.samples_per_second, 3),
        update_us=_us(rate.total_us) if work.mode is Mode.TRAINING else None,
    )


def _solution(solved: Solved) -> SolutionInfo:
    solution = solved.solution
    seconds = float(math.floor(solved.seconds))  # whole ones: finer, the same request would not give the same bytes
    if isinstance(solution, Infeasible):
        nearest = None if solution.evaluation is None else _us(solution.evaluation.objective_us)
        return SolutionInfo(
            planner=solution.planner, objective_us=nearest, lower_bound_us=None, gap=None, seconds=seconds
        )
    value = solution.evaluation.objective_us
    bound = value if isinstance(solution, Optimal) else solution.lower_bound_us
    gap = (value - bound) / value if value else 0.0
    return SolutionInfo(
        planner=solution.planner, objective_us=_us(value), lower_bound_us=_us(bound), gap=round(gap, 6), seconds=seconds
    )


def _baseline(name: str, solution: Solution, solved: Solved) -> Baseline:
    evaluation = solution.evaluation
    return Baseline(
        name=name,
        layers_per_ipu=layers_per_ipu(solved.prepared, solution.assignment, solved.workload.ipus),
        cycle_us=None if evaluation is None else _us(evaluation.objective_us),
        peak_bytes=peak_bytes(solved.costing, evaluation),
        fits=not isinstance(solution, Infeasible),
        violations=[] if evaluation is None else list(evaluation.violations),
    )


def _shortfall(solved: Solved) -> Shortfall | None:
    """The IPU that lacks most in the assignment that comes nearest."""
    evaluation = solved.evaluation
    if solved.fits or evaluation is None:
        return None
    capacity = solved.costing.machine.capacity_bytes
    tables = [device_terms(solved.costing, evaluation, i) for i in range(len(evaluation.devices))]
    worst = max(range(len(tables)), key=lambda i: (sum(tables[i].values()), -i))
    return Shortfall(ipu=worst, bytes=max(1, sum(tables[worst].values()) - capacity), terms=dict(tables[worst]))


def _need(solved: Solved, blocks: Sequence[Block]) -> int:
    """Micro-batches in flight that PopART insists on."""
    stages = schedule.forward_stages([b.ipu for b in blocks])
    if solved.workload.mode is Mode.TRAINING:
        return schedule.least_accumulation(stages)
    return schedule.least_device_iterations(stages) if solved.workload.pipelined else 1


def _workload(solved: Solved, blocks: Sequence[Block]) -> WorkloadInfo:
    work = solved.workload
    training = work.mode is Mode.TRAINING
    stages = schedule.forward_stages([b.ipu for b in blocks])
    return WorkloadInfo(
        mode=work.mode.value,
        ipus=work.ipus,
        micro_batch_size=work.micro_batch_size,
        replicas=work.replicas,
        gradient_accumulation=schedule.accumulation(work, stages) if training else None,
        optimizer=work.optimizer.name,
        precision=work.precision.name,
        optimizer_state_offchip=work.optimizer_state_offchip,
        replicated_tensor_sharding=work.replicated_tensor_sharding,
        recompute_checkpoint_every_layer=work.recompute_checkpoint_every_layer,
        matmul_proportion=float(work.matmul_proportion),
        schedule=solved.costing.problem.schedule.value,
    )


def _us(value: float) -> float:
    """Microseconds to a nanosecond: no platform's last bit reaches the document."""
    return round(value, 3)
