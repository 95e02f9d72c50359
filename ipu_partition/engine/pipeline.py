"""Running a plan for real: one process for each stage, PyTorch's own pipeline, real weights and updates."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..emit.torch_pipelining import Pipeline, open_pipeline
from ..emit.torch_pipelining.module import moved
from ..progress import Progress
from .data import micro_batches, numbers, together
from .document import Ran, Stage, Step
from .files import JOB, part_file, weights_file
from .gradients import furthest, handed_in
from .handed import Job, Part, Source, registering, write, write_tensors
from .interruptions import Interruptions, interruptions
from .launch import Torchrun
from .options import Options
from .reference import train_alone
from .stuck import LEAST_S, Limits
from .watch import Done, Watch

if TYPE_CHECKING:
    from ..plan import PartitionPlan

SLOWEST_FLOPS_PER_S = 2e9
"""What any core does in float32, by a wide margin."""


def opened(plan: PartitionPlan, options: Options, model: object, progress: Progress, **given: Any) -> Pipeline:
    """`plan` as one stage for each rank. Raises :class:`UsageError` and :class:`TraceError`."""
    return open_pipeline(plan, options.ranks, model, seed=options.seed, progress=progress, **given)


def train(pipeline: Pipeline, options: Options, progress: Progress) -> Ran:
    """Train it, and then the whole model beside it where that is asked for.

    Raises :class:`.failures.EngineError` where a stage fails, hangs or is killed, and KeyboardInterrupt. Whatever
    happens, no process is left.
    """
    plan = pipeline.reopened.plan
    job = Job(
        steps=options.steps,
        micro_batches=options.per_step(_planned(plan)),
        schedule=options.schedule,
        seed=options.seed,
        learning_rate=options.learning_rate,
        device=_device(plan, options.ranks),
    )
    with interruptions() as interrupted:
        limits = Limits(options.timeout_s, _first_s(pipeline))
        done = _piped(pipeline, job, limits, progress, interrupted)
        interrupted.at_once = True
        interrupted.check()
        alone = list(train_alone(pipeline, job, progress)) if options.compare else []
    return _ran(pipeline, job, done, alone)


def _first_s(pipeline: Pipeline) -> float:
    """Seconds in which the slowest core does a whole micro-batch."""
    graph = pipeline.prepared.graph
    return max(LEAST_S, (graph.forward_flops + graph.backward_flops) / SLOWEST_FLOPS_PER_S)


def _planned(plan: PartitionPlan) -> int | None:
    """Micro-batches of a step, where the plan is for PyTorch."""
    return plan.mode("training").workload.gradient_accumulation if plan.target == "torch" else None


def _device(plan: PartitionPlan, ranks: int) -> str:
    """GPUs where there is one for each rank, unless the plan is for other devices."""
    kinds = {device.kind for device in plan.machine.devices or ()}
    return "cuda" if kinds <= {"cuda"} and torch.cuda.device_count() >= ranks else "cpu"


def _piped(pipeline: Pipeline, job: Job, limits: Limits, progress: Progress, interrupted: Interruptions) -> list[Done]:
    def batch(step: int) -> dict[str, torch.Tensor]:
        seeds = numbers(job.seed, step, job.micro_batches)
        return together(micro_batches(pipeline.prepared, pipeline.reopened.spec, seeds))

    with tempfile.TemporaryDirectory(prefix="ipu-partition-run-", ignore_cleanup_errors=True) as name:
        folder, ranks = Path(name), len(pipeline.chain)
        progress("handing out the stages")
        _hand_out(pipeline, job, folder)
        interrupted.check()
        watch = Watch(folder, ranks, job.steps, limits, batch, progress, interrupted.check)
        with _running(folder, ranks, watch) as run:
            first, *others = watch.until_done(run)
            return [replace(first, gradients=handed_in(folder, ranks)), *others]


@contextmanager
def _running(folder: Path, ranks: int, watch: Watch) -> Iterator[Torchrun]:
    """torchrun, which is over at the end of the block, and all its ranks with it."""
    run = Torchrun(folder, ranks)
    try:
        yield run
    finally:
        run.stop([state.pid for state in watch.states() if state is not None])


def _hand_out(pipeline: Pipeline, job: Job, folder: Path) -> None:
    write(folder / JOB, job)
    for link, piece in zip(pipeline.chain, pipeline.split.pieces, strict=True):
        device = f"cuda:{link.index}" if job.device == "cuda" else "cpu"
        part = Part(link, Source.of(moved(piece.module, device)), registering(piece.module, pipeline.model))
        write(part_file(folder, link.index), part)
        write_tensors(weights_file(folder, link.index), pipeline.tensors(link.index))


def _ran(pipeline: Pipeline, job: Job, done: list[Done], alone: list[Done]) -> Ran:
    steps = [Step(number, one.loss, one.seconds) for number, one in enumerate(done, 1)]
    for number, one in enumerate(alone):
        steps[number] = replace(steps[number], alone_loss=one.loss, alone_seconds=one.seconds)
    plan = pipeline.reopened.plan
    compared = bool(alone and done[0].gradients)
    weight, difference = furthest(done[0].gradients, alone[0].gradients[0]) if compared else ("", None)
    return Ran(
        model=plan.model.name,
        plan=plan.fingerprint(),
        torch=torch.__version__,
        device=job.device,
        schedule=job.schedule,
        micro_batches=job.micro_batches,
        seed=job.seed,
        learning_rate=job.learning_rate,
        stages=tuple(_stage(pipeline, rank) for rank in range(len(pipeline.chain))),
        change=pipeline.change,
        predicted_step_seconds=_predicted(plan, job),
        steps=tuple(steps),
        gradient=weight,
        gradient_difference=difference,
    )


def _predicted(plan: PartitionPlan, job: Job) -> float | None:
    """Of a step as the plan has it, in seconds; None where this is another, on other devices or in another type."""
    part = plan.mode("training")
    kinds = {device.kind for device in plan.machine.devices or ()}
    alike = kinds == {job.device} and part.workload.precision == "32.32"
    as_planned = alike and (job.schedule, job.micro_batches) == ("1f1b", _planned(plan))
    return part.predicted.update_us / 1e6 if as_planned and part.predicted and part.predicted.update_us else None


def _stage(pipeline: Pipeline, rank: int) -> Stage:
    link, held = pipeline.chain[rank], pipeline.prepared.traced.parameters
    return Stage(
        modules=pipeline.modules[rank],
        parameters=sum(held[weight.names[0]].elements for weight in link.weights if not weight.buffer),
        sent_bytes=0 if link.last else sum(carried.bytes for carried in link.sends),
    )
