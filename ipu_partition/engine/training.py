"""The training that one rank does: its stage of every micro-batch, and the updates of its weights."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from ..emit.torch_pipelining import keyword, loss, pipeline_stage
from ..emit.torch_pipelining.module import StageModule, trainable
from ..emit.torch_pipelining.tied import Copies
from .beats import Beat
from .data import numbers
from .faults import fault
from .files import JOB, batch_file, done_file, gradients_file, part_file, weights_file
from .gradients import norms
from .handed import Job, Part, read, read_tensors

_SCHEDULES = {"1f1b": Schedule1F1B, "gpipe": ScheduleGPipe}
_NEVER = timedelta(days=7)
"""Who waits in vain is ended by the process that watches, which knows whom it waits for."""
_SOON_S = 0.005


class _Told(PipelineStage):
    """Says when it works on a micro-batch, and when it waits for its neighbours."""

    beat: Beat
    rank: int

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        with self._working(f"computing micro-batch {fwd_chunk_id + 1} forwards"):
            fault(self.rank, self.beat.state.step)
            return super().forward_one_chunk(fwd_chunk_id, *args, **kwargs)

    def backward_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        with self._working(f"computing micro-batch {bwd_chunk_id + 1} backwards"):
            return super().backward_one_chunk(bwd_chunk_id, *args, **kwargs)

    @contextmanager
    def _working(self, doing: str) -> Iterator[None]:
        self.beat.at(doing, working=True)
        yield
        self.beat.at("waiting for other stages", working=False)


def train(folder: Path, rank: int, beat: Beat) -> None:
    torch.set_num_threads(1)
    beat.at("loading its stage", working=True)
    job: Job = read(folder / JOB)
    device = _device(job, rank)
    part: Part = read(part_file(folder, rank))
    for name in part.imports:
        import_module(name)
    module = StageModule(part.link, part.source.program(), read_tensors(weights_file(folder, rank))).to(device).train()
    fault(rank, 0)
    beat.at("connecting to other stages", working=False)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_NEVER)
    stage = pipeline_stage(module, device, kind=_Told)
    assert isinstance(stage, _Told)
    stage.beat, stage.rank = beat, rank
    trained = [parameter for _, parameter in trainable(module)]
    optimizer = torch.optim.AdamW(trained, lr=job.learning_rate) if trained else None
    schedule = _SCHEDULES[job.schedule](stage, job.micro_batches, loss_fn=loss)
    copies = Copies(module)
    for step in range(1, job.steps + 1):
        beat.at("waiting for data", working=False, step=step)
        batch = _batch(batch_file(folder, step), module, device)
        began_s = time.perf_counter()
        losses = _step(schedule, job, step, batch)
        beat.at("summing the gradients of copied weights", working=False)
        copies.sum_gradients()
        if step == 1:
            gradients_file(folder, rank).write_text(json.dumps(norms(_weights(module))))
        beat.at("updating its weights", working=True)
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        mean = float(torch.stack(losses).mean()) if part.link.last else None
        _done(done_file(folder, rank), step, mean, time.perf_counter() - began_s)
        beat.finish(step)
    beat.at("waiting for other stages to end", working=False)
    dist.barrier()
    dist.destroy_process_group()


def _weights(module: StageModule) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Those that are trained, under the names that all ranks know them by."""
    return ((w.names[0], module.get_parameter(w.names[0])) for w in module.ipu_link.weights if w.trainable)


def _device(job: Job, rank: int) -> torch.device:
    if job.device != "cuda":
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)


def _batch(file: Path, module: StageModule, device: torch.device) -> dict[str, torch.Tensor]:
    """The inputs that the stage reads."""
    while not file.exists():
        time.sleep(_SOON_S)
    batch = read_tensors(file)
    return {keyword(name): batch[name].to(device) for name in module.ipu_link.inputs}


def _step(schedule: Any, job: Job, step: int, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Forward and backward of all micro-batches; the loss of each, on the last rank."""
    losses: list[torch.Tensor] = []
    seeds = torch.tensor(numbers(job.seed, step, job.micro_batches))
    schedule.step(**batch, draw_seeds=seeds, target=seeds, losses=losses, return_outputs=False)
    return losses


def _done(file: Path, step: int, mean: float | None, seconds: float) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps({"step": step, "loss": mean, "seconds": seconds}) + "\n")
