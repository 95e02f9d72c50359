"""From a planner's answer to the document: everything a plan says about one mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from planners import Infeasible, Solution
from planners.evaluate import Evaluation

from .answer import rounded_us, solution_info, stages, status
from .blocks import blocks_of
from .conflicts import in_words
from .demands import NONE
from .layout import layer_units
from .machine import device_terms, gaps_beside, peak_bytes, schedule
from .plan_parts import (
    Adapter,
    Applied,
    Baseline,
    Block,
    Checkpoint,
    Fitting,
    Ipu,
    Lever,
    Memory,
    ModePlan,
    Predicted,
    Shortfall,
    WorkloadInfo,
)
from .prepare import Prepared
from .rates import throughput
from .solve import Solved
from .workload import Mode


def mode_plan(
    solved: Solved,
    levers: Sequence[Lever],
    warnings: Sequence[str],
    *,
    applied: Sequence[Applied] = (),
    fitting: Fitting | None = None,
) -> ModePlan:
    """The document of one mode. Raises :class:`UsageError` where the accumulation asked for is below the need."""
    blocks = blocks_of(solved)
    need = _need(solved, blocks)
    return ModePlan(
        workload=_workload(solved, blocks),
        status=status(solved.solution),
        fits=solved.fits,
        layers_per_ipu=layers_per_ipu(solved.prepared, solved.assignment, solved.workload.ipus),
        stages=list(stages(solved.evaluation, solved.prepared.graph.units)),
        blocks=blocks,
        checkpoints=_checkpoints(solved),
        adapters=[
            *(Adapter(kind=a.kind, module=a.module, method=a.method) for a in solved.prepared.layout.adapters),
            *solved.prepared.adapters,
        ],
        ipus=_ipus(solved),
        predicted=_predicted(solved),
        solution=solution_info(solved.solution, solved.costing.problem.prefer),
        baselines=[_baseline(name, other, solved) for name, other in solved.baselines],
        minimum_accumulation=need,
        shortfall=_shortfall(solved),
        levers=list(levers),
        applied=list(applied),
        fitting=fitting,
        warnings=list(warnings),
    )


def layers_per_ipu(prepared: Prepared, assignment: Sequence[int] | None, ipus: int) -> list[int] | None:
    """Counted layers on each IPU; None where the plan is free, or the family's class counts nothing."""
    counted = layer_units(prepared.layout, prepared.graph)
    if prepared.layout.free or not counted or assignment is None:
        return None
    counts = Counter(assignment[unit] for unit in counted)
    return [counts[ipu] for ipu in range(ipus)]


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
    total = sum(terms.values())
    memory = Memory(
        total_bytes=total,
        capacity_bytes=solved.costing.machine.capacity_bytes,
        terms=dict(terms),
        gaps_bytes=gaps_beside(solved.costing, total),
    )
    return Ipu(ipu=index, memory=memory, cycle_us=rounded_us(evaluation.devices[index].time_us))


def _predicted(solved: Solved) -> Predicted | None:
    """Of the plan, or of the assignment that comes nearest to fitting."""
    evaluation, work, rate = solved.evaluation, solved.workload, throughput(solved)
    if evaluation is None or rate is None:
        return None
    objective = evaluation.objective_us
    return Predicted(
        cycle_us=rounded_us(objective) if work.pipelined else None,
        latency_us=None if work.pipelined else rounded_us(objective),
        samples_per_second=round(rate.samples_per_second, 3),
        update_us=rounded_us(rate.total_us) if work.mode is Mode.TRAINING else None,
    )


def _baseline(name: str, solution: Solution, solved: Solved) -> Baseline:
    evaluation, reason = solution.evaluation, solution.reason if isinstance(solution, Infeasible) else ""
    return Baseline(
        name=name,
        layers_per_ipu=layers_per_ipu(solved.prepared, solution.assignment, solved.workload.ipus),
        cycle_us=None if evaluation is None else rounded_us(evaluation.objective_us),
        peak_bytes=peak_bytes(evaluation),
        fits=not isinstance(solution, Infeasible),
        violations=[] if evaluation is not None else [in_words(reason, solved.costing.problem, {}, NONE)],
    )


def _shortfall(solved: Solved) -> Shortfall | None:
    """The IPU that lacks most in the assignment that comes nearest."""
    evaluation = solved.evaluation
    if solved.fits or evaluation is None:
        return None
    ipus = _ipus(solved)
    worst = max(ipus, key=lambda ipu: (ipu.memory.needed_bytes, -ipu.ipu))
    lack = worst.memory.needed_bytes - worst.memory.capacity_bytes
    return Shortfall(ipu=worst.ipu, bytes=max(1, lack), terms={**worst.memory.terms, "gaps": worst.memory.gaps_bytes})


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
        accumulator_bytes=work.dtypes.accumulator_bytes,
        optimizer_state_bytes=work.state_bytes,
        matmul_proportion=list(work.proportions)
        if isinstance(work.matmul_proportion, tuple)
        else work.matmul_proportion,
        embedding_serialization_factor=work.serialisation.embedding,
        projection_serialization_factor=work.serialisation.projection,
        serialized_embedding_splits_per_ipu=list(work.serialisation.embedding_splits) or None,
        serialized_projection_splits_per_ipu=list(work.serialisation.projection_splits) or None,
        outlining=work.outlined,
        schedule=solved.costing.problem.schedule.value,
    )
