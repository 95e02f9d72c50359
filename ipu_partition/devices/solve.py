"""A plan for the devices of a machine file: one mode, from what was traced to its part of the document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import planners
from planners import Feasible, Infeasible, Problem, ProblemError, Solution
from planners.evaluate import Evaluation

from ..answer import rounded_us, solution_info, stages, status
from ..demands import demands
from ..errors import UsageError
from ..plan_parts import Baseline, Ipu, Memory, ModePlan, Predicted, Shortfall, Stage, WorkloadInfo
from ..prepare import Prepared
from ..request import Request
from ..workload import Mode, OptimizerDtypes, Target, Workload
from .kinds import TorchMachine
from .problem import Costed, make_problem, unevenness

BASELINES = ("uniform", "greedy", "parameters", "flops")
ACCUMULATION_PER_STAGE = 8
"""The default accumulation is at least this many times the stages, so that fill and drain take at most an eighth."""


def plan_mode(prepared: Prepared, request: Request, machine: TorchMachine, bound_us: float | None = None) -> ModePlan:
    """One stage on each device of `machine`, in its order; a model that does not fit gives a plan that says so.

    UsageError where there are more devices than units, too few micro-batches, a device without a rate for the
    precision, or a planner that cannot do this.
    """
    work = workload(prepared, request, len(machine.devices))
    prefer = demands(None, None, request.prefer).prefer
    costed = make_problem(prepared.graph, work, machine, prefer)
    solution = _ask(request.planner, costed.problem, prepared)
    if bound_us is not None:
        solution = _of_all_orders(solution, bound_us)
    evaluation = solution.evaluation
    if evaluation is None:
        assert isinstance(solution, Infeasible), "any other answer has an assignment"
        raise UsageError(f"Planner {request.planner!r} found no plan ({prepared.mode.value}): {solution.reason}.")
    return ModePlan(
        workload=_workload_info(work, costed.problem),
        status=status(solution),
        fits=not isinstance(solution, Infeasible),
        layers_per_ipu=None,
        stages=list(_in_program_numbers(prepared, evaluation)),
        blocks=[],
        checkpoints=[],
        adapters=[],
        ipus=[_device(costed, evaluation, index) for index in range(work.ipus)],
        predicted=_predicted(costed, evaluation),
        solution=solution_info(solution, prefer),
        baselines=[_baseline(name, costed.problem) for name in BASELINES if name in planners.names()],
        minimum_accumulation=work.ipus,
        shortfall=_shortfall(costed, solution),
        levers=[],
        warnings=[*prepared.warnings, *_warnings(costed)],
    )


def workload(prepared: Prepared, request: Request, devices: int) -> Workload:
    """The request for one mode. UsageError where a stage would have no unit, or no micro-batch of its own."""
    units, given = len(prepared.graph.units), request.gradient_accumulation
    if devices > units:
        raise UsageError(
            f"{devices} devices need at least {devices} places where a stage may begin; this model has {units} "
            f"({prepared.mode.value}). Use fewer with --ipus."
        )
    training = prepared.mode is Mode.TRAINING
    if training and given is not None and given < devices:
        raise UsageError(
            f"gradient accumulation is {given}, but a 1F1B pipeline of {devices} stages needs at least {devices} "
            f"micro-batches; raise it to {devices} or more, or use fewer devices."
        )
    default = 1 << (ACCUMULATION_PER_STAGE * devices - 1).bit_length()
    width = request.precision_kind.float_bytes
    return Workload(
        mode=prepared.mode,
        ipus=devices,
        micro_batch_size=int(prepared.shapes["micro_batch_size"]),
        gradient_accumulation=(given or default) if training else None,
        optimizer=request.optimizer_kind,
        precision=request.precision_kind,
        dtypes=OptimizerDtypes(width, width, width),
        recompute_checkpoint_every_layer=False,
        target=Target.TORCH,
    )


def _ask(planner: str, problem: Problem, prepared: Prepared) -> Solution:
    try:
        return planners.solve(problem, planner)
    except ProblemError as error:
        raise UsageError(
            f"This model cannot be planned on {len(problem.devices)} devices ({prepared.mode.value}): {error}."
        ) from error
    except (ValueError, ImportError) as error:  # a planner's limits, what it lacks, or what the judge rejects
        raise UsageError(f"Planner {planner!r} cannot plan this: {error}.") from error


def _of_all_orders(solution: Solution, bound_us: float) -> Solution:
    """What is proved of plans in any order, where the planner knew one."""
    if isinstance(solution, Infeasible):
        return replace(solution, proved=bound_us == math.inf, least_shortfall_bytes=0)
    if bound_us >= solution.evaluation.objective_us * (1 - planners.TIE):
        return solution
    return Feasible(solution.assignment, solution.evaluation, solution.planner, bound_us, solution.seconds)


def _in_program_numbers(prepared: Prepared, evaluation: Evaluation) -> Iterator[Stage]:
    for stage in stages(evaluation, prepared.graph.units):
        units = [unit for index in stage.units for unit in prepared.origins[index]]
        yield stage.model_copy(update={"units": units})


def _workload_info(work: Workload, problem: Problem) -> WorkloadInfo:
    return WorkloadInfo(
        mode=work.mode.value,
        ipus=work.ipus,
        micro_batch_size=work.micro_batch_size,
        replicas=work.replicas,
        gradient_accumulation=work.gradient_accumulation,
        optimizer=work.optimizer.name,
        precision=work.precision.name,
        optimizer_state_offchip=False,
        replicated_tensor_sharding=False,
        recompute_checkpoint_every_layer=False,
        accumulator_bytes=work.dtypes.accumulator_bytes,
        optimizer_state_bytes=work.state_bytes,
        matmul_proportion=work.proportions[0],
        schedule=problem.schedule.value,
    )


def _device(costed: Costed, evaluation: Evaluation, index: int) -> Ipu:
    terms = costed.terms(evaluation, index)
    memory = Memory(
        total_bytes=sum(terms.values()), capacity_bytes=costed.machine.devices[index].memory_bytes, terms=terms
    )
    return Ipu(ipu=index, memory=memory, cycle_us=rounded_us(evaluation.devices[index].time_us))


def _predicted(costed: Costed, evaluation: Evaluation) -> Predicted:
    """Training: one update takes a cycle for every micro-batch and for every stage to fill, and the update itself."""
    work, cycle_us = costed.costs.workload, evaluation.objective_us
    batches = work.gradient_accumulation or 1
    cycles = batches + len(evaluation.stages) - 1 if work.mode is Mode.TRAINING else 1
    total_us = cycles * cycle_us + update_us(costed, evaluation)
    return Predicted(
        cycle_us=rounded_us(cycle_us),
        latency_us=None,
        samples_per_second=round(work.micro_batch_size * batches / total_us * 1e6, 3) if total_us else 0.0,
        update_us=rounded_us(total_us) if work.mode is Mode.TRAINING else None,
    )


def update_us(costed: Costed, evaluation: Evaluation) -> float:
    """The optimizer's step on the slowest device, and the gradients of copied weights summed over the devices that hold
    one: each sends its own and receives the sum. 0.0 in inference."""
    costs, problem, found = costed.costs, costed.problem, [0.0]
    for stage, device in ((s, costed.machine.devices[s.device]) for s in evaluation.stages):
        units = range(stage.start, stage.stop)
        names = {name for unit in units for name in costs.graph.units[unit].parameters}
        tied = [n for n in sorted(names) if not {*costs.graph.readers(n)}.issubset(units)]
        shared = [costs.gradient_bytes(costs.graph.parameters[n]) for n in tied]
        copies = sum(2 * (problem.copy_us + bytes_ * problem.copy_us_per_byte) for bytes_ in shared if bytes_)
        found.append(costs.update_us(units, device) + copies)
    return max(found)


def _baseline(name: str, problem: Problem) -> Baseline:
    solution = planners.solve(problem, name)
    evaluation = solution.evaluation
    return Baseline(
        name=name,
        layers_per_ipu=None,
        cycle_us=None if evaluation is None else rounded_us(evaluation.objective_us),
        peak_bytes=0 if evaluation is None else evaluation.peak_bytes,
        fits=not isinstance(solution, Infeasible),
        violations=[] if evaluation is not None or not isinstance(solution, Infeasible) else [solution.reason],
    )


def _shortfall(costed: Costed, solution: Solution) -> Shortfall | None:
    """The device that lacks most in the assignment that comes nearest."""
    evaluation = solution.evaluation
    if not isinstance(solution, Infeasible) or evaluation is None:
        return None
    lacks: Sequence[int] = [device.shortfall_bytes for device in evaluation.devices]
    worst = lacks.index(max(lacks))
    return Shortfall(ipu=worst, bytes=lacks[worst], terms=costed.terms(evaluation, worst))


def _warnings(costed: Costed) -> Iterator[str]:
    machine = costed.machine
    links = {(d.link_bytes_per_s, d.link_latency_us) for d in machine.devices}
    if len(links) > 1 and len(machine.devices) > 1:
        rate, latency_us = machine.slowest_link()
        yield (
            f"The links differ; all copies are planned at the slowest, {rate:.3g} bytes per second, and the longest "
            f"latency, {latency_us:.3g} us."
        )
    for device, (least, most) in unevenness(costed).items():
        yield (
            f"Device {device} is planned as {costed.problem.devices[device].speed:.3g} times as fast as device 0 with "
            f"all units; with single ones it is {least:.2f} to {most:.2f} times that. Its stage may be that far off."
        )
