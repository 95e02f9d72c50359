"""From a plan, perhaps read from a file, back to what it was made from: the model, the requests, the traces."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .asked import request_of, workload_of
from .errors import UsageError
from .hosted import as_hosted
from .models import ModelSpec, resolve
from .order.reordered import reordered
from .plan import PartitionPlan
from .plan_parts import ModePlan
from .prepare import Prepared, as_shaped, prepare
from .progress import Progress, silent
from .request import Request, model_argument
from .workload import Mode, Target, Workload

if TYPE_CHECKING:
    import torch
    from torch import nn

_TENSOR = re.compile(r"(\w+)\[((?:\d+(?:, )?)*)\]")
_BY_NAME = ("built-in", "hub")
"""Sources whose name is enough to find the configuration again."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """A plan with the model it is of. Modes that the plan places nothing in are not among `modes`."""

    plan: PartitionPlan
    spec: ModelSpec
    """With the image size of the plan in its configuration."""
    target: Target
    modes: tuple[Mode, ...]
    requests: Mapping[Mode, Request]
    """What would give this plan again."""
    progress: Progress
    _traces: dict[Mode, Prepared] = field(default_factory=dict, repr=False)

    def prepared(
        self,
        mode: Mode,
        *,
        spec: ModelSpec | None = None,
        model: nn.Module | None = None,
        order: Sequence[int] | None = None,
    ) -> Prepared:
        """The trace of the plan's model, made once; of another `spec`, or of a `model` built from it, made anew. It is
        in the order of the plan; of another `spec`, in `order` (None: the program's).

        Raises :class:`UsageError` where the model is not the one of the plan (another `spec` is not asked), or has no
        loss to train with, and :class:`TraceError`.
        """
        request = self._request(mode)
        if spec is None and model is None and mode in self._traces:
            return self._traces[mode]
        chosen = spec or self.spec
        if mode is Mode.TRAINING and not chosen.has_loss:
            raise UsageError(
                f"The plan trains {chosen.architecture}, but nothing here gives a loss. {chosen.loss_note}"
            )
        given: dict[str, Any] = {} if model is None else {"model": model}
        made = prepare(chosen, request, mode, self.target, self.progress, **given)
        if spec is not None:
            return made if order is None else reordered(made, order)
        _check_same(self.plan, made)
        made = self._as_planned(mode, made)
        if model is None:
            self._traces[mode] = made
        return made

    def _as_planned(self, mode: Mode, made: Prepared) -> Prepared:
        """In the order of the plan, where that is one of these units."""
        order = _planned(self.plan, mode).order
        return made if order is None or len(order) != len(made.graph.units) else reordered(made, order)

    def workload(self, mode: Mode) -> Workload:
        """The workload that the plan writes down. UsageError where nothing is placed in `mode`."""
        self._request(mode)
        return workload_of(_planned(self.plan, mode).workload, self.target)

    def assignment(self, mode: Mode, prepared: Prepared) -> tuple[int, ...]:
        """The IPU of each unit of `prepared` with its tables in pieces (:func:`.hosted.as_hosted`), by the plan.

        UsageError where the stages of the plan are not made of these units.
        """
        work = self.workload(mode)
        hosted = as_hosted(prepared, work.serialisation, work.ipus)
        units, stages = hosted.graph.units, _planned(self.plan, mode).stages
        ipu_of = {unit: stage.ipu for stage in stages for unit in stage.units}
        listed = [unit for stage in stages for unit in stage.units]
        expected = [unit for origin in hosted.origins for unit in origin]
        if listed != expected:
            raise UsageError(
                f"The stages of {mode.value} have {len(listed)} units ({len(ipu_of)} of them different), expected the "
                f"{len(expected)} of {prepared.name}, in order. Make the plan again."
            )
        place = {unit: index for index, origin in enumerate(hosted.origins) for unit in origin}
        for stage in stages:
            there = [units[index] for index in dict.fromkeys(place[unit] for unit in stage.units)]
            named = [m for unit in there for m in (unit.modules or (unit.name,)) if m]
            if named != stage.modules:
                raise UsageError(
                    f"Stage {stage.index} of {mode.value} runs {_few(stage.modules)} by the plan, but its units run "
                    f"{_few(named)} in {prepared.name}. Make the plan again."
                )
        return tuple(ipu_of[origin[0]] for origin in hosted.origins)

    def _request(self, mode: Mode) -> Request:
        if mode not in self.requests:
            there = ", ".join(self.modes)
            raise UsageError(f"The plan places nothing in {mode.value}, only in {there}; plan the model for it too.")
        return self.requests[mode]


def reopen(
    plan: PartitionPlan,
    model: object = None,
    progress: Progress | None = None,
    *,
    example_inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor] | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
    trust_remote_code: bool = False,
) -> Reopened:
    """The model of `plan`, found again by its name, or `model`: whatever :func:`ipu_partition.partition` takes.

    `example_inputs` (default: zeros of the types and shapes in the plan), `loss` and `trust_remote_code` are as there;
    a document does not hold them. Nothing is traced yet.

    Raises :class:`UsageError` where the model cannot be found again, is of another class, or nothing is placed in any
    mode.
    """
    requests = {Mode(name): request_of(plan, part) for name, part in plan.modes().items() if part.stages}
    if not requests:
        raise UsageError(
            f"The plan of {plan.model.name!r} places nothing: it has findings only. Make a plan that runs."
        )
    tell = progress or silent
    tell("resolving the model")
    inputs = _inputs(plan) if example_inputs is None else example_inputs
    spec = _spec(plan, model, inputs, loss, trust_remote_code)
    if spec.architecture != plan.model.architecture:
        raise UsageError(
            f"The model is of the class {spec.architecture}, the plan is of {plan.model.name!r}, a "
            f"{plan.model.architecture}. Give the model that was planned, or plan this one."
        )
    spec = as_shaped(spec, next(iter(requests.values())))
    return Reopened(plan, spec, Target(plan.target), tuple(requests), requests, tell)


def _few(names: list[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _planned(plan: PartitionPlan, mode: Mode) -> ModePlan:
    return plan.mode(mode.value)


def _spec(
    plan: PartitionPlan, model: object, inputs: Any, loss: Callable[..., torch.Tensor] | None, trust: bool
) -> ModelSpec:
    made = plan.model
    if model is None:
        if made.source not in _BY_NAME:
            raise UsageError(
                f"The plan is of {made.name!r}, read from a {made.source}, which the document does not hold. Give the "
                "model that was planned."
            )
        model = made.name if made.source == "built-in" else made.hub_id or made.name
    built = hasattr(model, "named_parameters")
    return resolve(
        model_argument(model),  # type: ignore[arg-type]
        task=None if made.task == "custom" else made.task,
        config={} if built else made.config,
        revision=made.revision if model == made.hub_id and made.source == "hub" else None,
        trust_remote_code=trust,
        example_inputs=inputs,
        loss=loss,
    )


def _inputs(plan: PartitionPlan) -> dict[str, torch.Tensor] | None:
    """Tensors like those the user gave; None where the model's own inputs were planned."""
    import torch

    described = plan.model.shapes.get("example_inputs")
    if not isinstance(described, Mapping):
        return None
    found = {}
    for name, text in described.items():
        match = _TENSOR.fullmatch(text)
        dtype = getattr(torch, match[1], None) if match else None
        if match is None or not isinstance(dtype, torch.dtype):
            raise UsageError(
                f"The plan describes the input {name!r} as {text[:60]!r}, expected one like 'int64[1, 16]'."
            )
        found[name] = torch.empty([int(n) for n in match[2].split(", ") if n], dtype=dtype, device="meta")
    return found


def _check_same(plan: PartitionPlan, made: Prepared) -> None:
    """UsageError where what was traced is not what the plan is of."""
    wanted = plan.model
    if made.structure != wanted.fingerprint:
        raise UsageError(
            f"{made.name!r} is not the model the plan was made for: its parameters have the structure "
            f"{made.structure}, those of {wanted.name!r} ({wanted.architecture}) {wanted.fingerprint}. Give the model "
            "that was planned, or make the plan again."
        )
    differing = {
        name: (made.shapes[name], value)
        for name, value in wanted.shapes.items()
        if name != "micro_batch_size" and name in made.shapes and made.shapes[name] != value
    }
    if differing:
        name, (found, expected) = next(iter(differing.items()))
        raise UsageError(f"{made.name!r} has {name} {found}, the plan was made for {expected}. Make the plan again.")
