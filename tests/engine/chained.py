"""Training with the stages of a pipeline in one process: what a schedule does, without processes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ipu_partition.emit.torch_pipelining import Pipeline, keyword
from ipu_partition.emit.torch_pipelining.module import StageModule, trainable
from ipu_partition.engine.data import micro_batches, numbers
from ipu_partition.engine.handed import Job, Source


def modules(opened: Pipeline) -> list[StageModule]:
    """Each from the text that a rank would be handed."""
    return [
        StageModule(link, Source.of(piece.module).program(), opened.tensors(link.index)).train()
        for link, piece in zip(opened.chain, opened.split.pieces, strict=True)
    ]


def train_chained(opened: Pipeline, stages: list[StageModule], job: Job) -> Iterator[float]:
    """The loss of each step."""
    optimizers = [
        torch.optim.AdamW(own, lr=job.learning_rate) for own in ([p for _, p in trainable(m)] for m in stages) if own
    ]
    for step in range(1, job.steps + 1):
        seeds = numbers(job.seed, step, job.micro_batches)
        batches = micro_batches(opened.prepared, opened.reopened.spec, seeds)
        losses = [_both_ways(stages, batch, seed) for batch, seed in zip(batches, seeds, strict=True)]
        for module in stages:
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.grad /= len(batches)
        _sum_copies(stages)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        yield float(torch.stack(losses).mean())


def _both_ways(stages: list[StageModule], batch: dict[str, torch.Tensor], seed: int) -> torch.Tensor:
    inputs = {keyword(name): value for name, value in batch.items()}
    received: list[tuple[torch.Tensor, ...]] = []
    sent: list[tuple[torch.Tensor, ...]] = []
    for module in stages:
        before = sent[-1] if sent else ()
        wanted = zip(before, module.ipu_link.receives, strict=True)
        received.append(tuple(t.detach().clone().requires_grad_(c.differentiable) for t, c in wanted))
        made = module(*received[-1], draw_seeds=torch.tensor([seed]), **inputs)
        sent.append(made if isinstance(made, tuple) else (made,))
    gradients: list[torch.Tensor | None] = [torch.ones(())]
    for leaves, made in zip(reversed(received), reversed(sent), strict=True):
        pairs = [(t, g) for t, g in zip(made, gradients, strict=True) if t.requires_grad]
        torch.autograd.backward([t for t, _ in pairs], [g for _, g in pairs])
        gradients = [leaf.grad for leaf in leaves]
    return sent[-1][0].detach()


def _sum_copies(stages: list[StageModule]) -> None:
    for weight in {w for module in stages for w in module.ipu_link.weights if w.summed}:
        held = [stages[rank].get_parameter(weight.names[0]) for rank in weight.holders]
        total = torch.stack([p.grad for p in held if p.grad is not None]).sum(0)
        for parameter in held:
            parameter.grad = total.clone()
