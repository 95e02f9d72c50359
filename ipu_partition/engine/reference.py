"""The same training in one process, by the model itself: what a run is held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from ..emit.torch_pipelining import Pipeline
from ..models import ModelSpec
from ..prepare import as_traced
from ..split import draws
from ..split.values import tensors_in
from ..threads import one_thread
from .data import micro_batches, numbers
from .gradients import norms
from .handed import Job
from .watch import Done

if TYPE_CHECKING:
    from torch import nn


def train_alone(opened: Pipeline, job: Job, progress: Callable[[str], None]) -> Iterator[Done]:
    """The steps of a run of `opened`, one after the other, with the whole model. Changes its weights, unless it is a
    module that the user gave."""
    spec, device = opened.reopened.spec, torch.device(job.device)
    model = (opened.model if spec.module is None else deepcopy(opened.model)).to(device).train()
    names, trained = _trained(model, opened)
    optimizer = torch.optim.AdamW(trained, lr=job.learning_rate)
    first = micro_batches(opened.prepared, spec, numbers(job.seed, 1, 1))[0]
    with _as_ranks(), as_traced(spec, model, opened.reopened.target, first, training=True):
        for step in range(1, job.steps + 1):
            progress(f"step {step} of {job.steps} in one process")
            seeds = numbers(job.seed, step, job.micro_batches)
            batches = micro_batches(opened.prepared, spec, seeds)
            began_s = time.perf_counter()
            mean = _accumulated(model, spec, batches, seeds, device)
            for parameter in trained:
                if parameter.grad is not None:
                    parameter.grad.div_(len(batches))
            sizes = [norms(zip(names, trained, strict=True))] if step == 1 else []
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield Done(mean, time.perf_counter() - began_s, sizes)


def _accumulated(
    model: nn.Module,
    spec: ModelSpec,
    batches: Sequence[Mapping[str, torch.Tensor]],
    seeds: Sequence[int],
    device: torch.device,
) -> float:
    """The mean loss of the micro-batches, whose gradients are summed."""
    losses = []
    for batch, seed in zip(batches, seeds, strict=True):
        with draws(seed, eager=True):
            made = model(**{name: value.to(device) for name, value in batch.items()})
            loss = tensors_in(made if spec.loss is None else spec.loss(made))[0]
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _trained(model: nn.Module, opened: Pipeline) -> tuple[list[str], list[nn.Parameter]]:
    """The parameters that the stages train, with their names; the others keep still."""
    named = dict(model.named_parameters(remove_duplicate=False))
    wanted = {weight.names[0] for link in opened.chain for weight in link.weights if weight.trainable}
    chosen = {id(named[name]) for name in wanted}
    for parameter in named.values():
        parameter.requires_grad_(id(parameter) in chosen)
    return sorted(wanted), [named[name] for name in sorted(wanted)]


@contextmanager
def _as_ranks() -> Iterator[None]:
    """One thread, and no shortened numbers on GPUs."""
    shortened = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with one_thread():
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = shortened
