"""One mode of a plan, run on the CPU with random weights: as the model runs, and stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from ..hosted import as_hosted
from ..prepare import Prepared, as_traced
from ..reopen import Reopened
from ..split import Run, Split, bind, draws, example_values, real_model, run_backward, run_forward, split
from ..split.values import tensors_in
from ..workload import Mode
from .saved import Saved
from .smaller import Smaller

if TYPE_CHECKING:
    from torch import nn

SEED = 0


@dataclass(frozen=True, slots=True)
class Numbers:
    """What one run gave."""

    outputs: Sequence[torch.Tensor]
    gradients: Mapping[str, torch.Tensor]
    """Of the parameters that have one, by name; empty in inference."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is run: the model of the plan, or a smaller one of the same structure."""

    reopened: Reopened
    mode: Mode
    model: nn.Module
    prepared: Prepared
    assignment: tuple[int, ...]
    """IPU of each unit of `prepared` as hosted."""
    smaller: Smaller | None = None
    inputs: Mapping[str, torch.Tensor] = field(default_factory=dict)
    parameters: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def training(self) -> bool:
        return self.mode is Mode.TRAINING

    @property
    def homes(self) -> list[int]:
        """IPU of each unit of `prepared`; where its table is cut, of the last piece."""
        work = self.reopened.workload(self.mode)
        hosted = as_hosted(self.prepared, work.serialisation, work.ipus)
        origins = hosted.layout.origins or tuple((i,) for i in range(len(hosted.graph.units)))
        found = {unit: ipu for ipu, made in zip(self.assignment, origins, strict=True) for unit in made}
        return [found[unit] for unit in range(len(self.prepared.graph.units))]

    @property
    def stages(self) -> list[int]:
        """Number of the stage of each unit of `prepared`."""
        runs = [len(list(run)) for _, run in groupby(self.homes)]
        return [stage for stage, count in enumerate(runs) for _ in range(count)]

    def split(self) -> Split:
        """The model at the plan's stages."""
        return split(self.prepared, self.stages)


def subject(
    reopened: Reopened, mode: Mode, smaller: Smaller | None, change: Callable[[nn.Module], None] | None = None
) -> Subject:
    """The model with weights. `change` is made to them. Raises :class:`UsageError` and :class:`TraceError`."""
    spec = reopened.spec if smaller is None else smaller.spec
    training = mode is Mode.TRAINING
    rule = reopened.prepared(mode).rule
    reopened.progress(f"making random weights for {spec.architecture} ({mode.value})")
    model = real_model(spec, training=training, seed=SEED, host_config=dict(rule.host_config) if rule else None)
    if change is not None:
        change(model)
    if smaller is None:
        prepared = reopened.prepared(mode, model=model)
    else:
        prepared = reopened.prepared(mode, spec=smaller.spec, model=model, order=smaller.order)
    homes = reopened.assignment(mode, prepared) if smaller is None else smaller.assignment
    inputs, parameters = example_values(prepared.flow, SEED), bind(prepared.traced, model)
    given = spec.example_inputs or {}
    inputs |= {name: value for name, value in given.items() if name in inputs and value.device.type == "cpu"}
    return Subject(reopened, mode, model, prepared, tuple(homes), smaller, inputs, parameters)


def run_eagerly(subject: Subject) -> Numbers:
    """The model itself, as the trace was made of it."""
    spec, target, inputs = subject.reopened.spec, subject.reopened.target, dict(subject.inputs)
    with _trained(subject), as_traced(spec, subject.model, target, inputs, training=subject.training):
        with _autograd(subject), draws(SEED, eager=True):
            made = subject.model(**inputs)
            outputs = tensors_in(made if spec.loss is None or not subject.training else spec.loss(made))
        return _numbers(subject, outputs, lambda given: torch.autograd.backward(*_pairs(outputs, given)))


def run_split(subject: Subject, pieces: Split, saved: Saved | None = None) -> tuple[Numbers, Run]:
    """Stage by stage. `saved` is told what is kept for the backward pass."""
    with _trained(subject):
        with _autograd(subject), draws(SEED):
            execute = {} if saved is None else {"execute": saved.execute}
            run = run_forward(pieces, subject.inputs, subject.parameters, **execute)
        outputs = run.results()

        def backward(given: Mapping[int, torch.Tensor]) -> None:
            by_name: dict[str, torch.Tensor] = {}
            for index, gradient in given.items():
                name = pieces.results[index].name
                by_name[name] = by_name[name] + gradient if name in by_name else gradient
            run_backward(run, by_name)

        return _numbers(subject, outputs, backward), run


def _autograd(subject: Subject) -> torch.set_grad_enabled:
    return torch.set_grad_enabled(subject.training)


def _numbers(
    subject: Subject, outputs: Sequence[torch.Tensor], backward: Callable[[Mapping[int, torch.Tensor]], None]
) -> Numbers:
    kept = [value.detach() for value in outputs]
    if not subject.training:
        return Numbers(kept, {})
    for parameter in subject.parameters.values():
        parameter.grad = None
    backward(_seeds(outputs))
    gradients = {name: p.grad for name, p in subject.parameters.items() if p.grad is not None}
    for parameter in subject.parameters.values():
        parameter.grad = None
    return Numbers(kept, gradients)


def _seeds(outputs: Sequence[torch.Tensor]) -> dict[int, torch.Tensor]:
    """Gradients to begin with: 1 at the loss where there is one, else random ones at every output that has one."""
    losses = [i for i, value in enumerate(outputs) if value.requires_grad and value.dim() == 0][:1]
    if losses:
        return {losses[0]: torch.ones_like(outputs[losses[0]])}
    generator = torch.Generator().manual_seed(SEED)
    return {
        i: torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for i, value in enumerate(outputs)
        if value.requires_grad
    }


def _pairs(
    outputs: Sequence[torch.Tensor], given: Mapping[int, torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return [outputs[i] for i in given], list(given.values())


@contextmanager
def _trained(subject: Subject) -> Iterator[None]:
    """In the mode of the plan, without gradients of the parameters that are not trained. What a run changes, buffers
    and gradients among it, is put back afterwards."""
    flow, model = subject.prepared.flow, subject.model
    held = {name: subject.parameters[name] for name in flow.traced.reads.values()}
    frozen = [p for name, p in held.items() if p.requires_grad and not flow.trainable(name)]
    before = {module: module.training for module in model.modules()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    gradients = {p: p.grad for p in subject.parameters.values() if p.grad is not None}
    model.train(subject.training)
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        for buffer, value in buffers.items():
            buffer.copy_(value)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        for module, was in before.items():
            module.training = was
