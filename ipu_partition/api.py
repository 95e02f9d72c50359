"""The one function most users need."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Unpack

from .assemble import mode_plan
from .errors import UsageError
from .families import rule_for
from .levers import levers
from .machine import Machine, machine
from .models import ModelSpec, resolve
from .overrule import idle_pins
from .plan import AuditInfo, MachineInfo, ModelInfo, OverrideInfo, PartitionPlan
from .prepare import Prepared, prepare, target_of
from .request import Options, Request, model_argument
from .solve import Solved, solve
from .workload import Mode, Target

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

    from .plan_parts import ModePlan

UNKNOWN_SHARE = 0.001
"""Share of traffic in unknown operations from which a plan warns."""


def partition(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    ipus: int | None = None,
    *,
    progress: Callable[[str], None] | None = None,
    **options: Unpack[Options],
) -> PartitionPlan:
    """Cut `model` into pipeline stages for `ipus` IPUs per replica (default: the smallest power of two that fits).

    `model` is a catalogue name, a Hub id, a folder with `config.json`, a `PretrainedConfig` or a `torch.nn.Module`.
    The options are the fields of :class:`ipu_partition.request.Request`, named as on the command line with
    underscores. `progress` is told, in words, what is being done.

    A model that does not fit gives a plan whose `fits` is false, with its shortfall and levers.
    Raises :class:`UsageError` and :class:`TraceError`.
    """
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise UsageError(
            f"Unknown option {unknown[0]!r}; expected one of {', '.join(sorted(Options.__annotations__))}."
        )
    request = Request(ipus=ipus, **options)
    return plan_requests(model, dict.fromkeys(request.modes, request), progress)


def plan_requests(
    model: object, requests: Mapping[Mode, Request], progress: Callable[[str], None] | None = None
) -> PartitionPlan:
    """As :func:`partition`, each mode by a request of its own. They agree in all that says which model it is."""
    request = next(iter(requests.values()))
    kind = machine(request.machine)
    progress = progress or _silent
    progress("resolving the model")
    spec = resolve(
        model_argument(model),  # type: ignore[arg-type]
        task=request.task,
        config=request.config,
        revision=request.revision,
        trust_remote_code=request.trust_remote_code,
        example_inputs=request.example_inputs,  # type: ignore[arg-type]
        loss=request.loss,
    )
    target = target_of(spec, request)
    modes, notes = _modes(spec, tuple(requests))
    prepared: list[Prepared] = []
    plans: dict[Mode, ModePlan] = {}
    for mode in modes:
        prepared.append(prepare(spec, requests[mode], mode, target, progress))
        progress(f"placing {spec.architecture} ({mode.value})")
        plans[mode] = _plan(prepared[-1], requests[mode], kind, target, progress)
    return _document(spec, request, prepared, plans, kind, target, (*spec.warnings, *notes))


def _silent(_: str) -> None:
    """Progress that nobody watches."""


def _modes(spec: ModelSpec, asked: tuple[Mode, ...]) -> tuple[tuple[Mode, ...], tuple[str, ...]]:
    """The modes that are possible among those asked for; training needs a loss."""
    if Mode.TRAINING not in asked or spec.has_loss:
        return asked, ()
    if asked == (Mode.TRAINING,):
        raise UsageError(f"{spec.architecture} cannot be planned for training. {spec.loss_note}")
    return (Mode.INFERENCE,), (f"Planned for inference only. {spec.loss_note}",)


def _plan(
    prepared: Prepared, request: Request, kind: Machine, target: Target, progress: Callable[[str], None]
) -> ModePlan:
    solved = solve(prepared, request, kind, target)
    progress(f"solved in {solved.solution.seconds:.3f} s ({prepared.mode.value})")
    suggested = [] if solved.fits else levers(solved, request, kind)
    return mode_plan(solved, suggested, _warnings(solved, request, kind))


def _warnings(solved: Solved, request: Request, kind: Machine) -> list[str]:
    used = solved.workload.ipus * solved.workload.replicas
    found = list(solved.prepared.warnings)
    found += [
        f"{pin} changes nothing: the module does no work in {solved.prepared.mode.value}."
        for pin in idle_pins(solved.prepared, request.demands)
    ]
    if lack := solved.lacks_on_chip_bytes:
        found.append(
            f"The optimizer state is kept in host memory: on chip, the fullest IPU would lack {lack:,} bytes. "
            "Say where it must be with optimizer_state_offchip."
        )
    if (reserved := kind.reserved_ipus(used)) != used:
        found.append(
            f"{used} IPUs is no power of two: the host reserves {reserved} and leaves {reserved - used} of them idle."
        )
    return found


def _document(
    spec: ModelSpec,
    request: Request,
    prepared: list[Prepared],
    plans: dict[Mode, ModePlan],
    kind: Machine,
    target: Target,
    warnings: tuple[str, ...],
) -> PartitionPlan:
    rule = rule_for(spec.architecture)
    first = prepared[0]
    return PartitionPlan(
        model=ModelInfo(
            name=spec.name,
            source=spec.source,
            architecture=spec.architecture,
            task=spec.task or "custom",
            hub_id=spec.hub_id,
            revision=spec.revision,
            model_type=spec.model_type,
            parameters=first.graph.parameter_count,
            transformers_version=_transformers_version() if spec.config is not None else None,
            fingerprint=first.traced.fingerprint,
            shapes=dict(first.shapes),
        ),
        machine=MachineInfo(
            name=kind.name,
            tiles_per_ipu=kind.tiles,
            bytes_per_tile=kind.bytes_per_tile,
            capacity_bytes=kind.capacity_bytes,
        ),
        target=target.value,
        overrides=_overrides(request),
        expressible=target is Target.OPTIMUM,
        optimum_class=rule.optimum_class if rule else None,
        fits=all(plan.fits for plan in plans.values()),
        warnings=[*warnings, *_target_warnings(spec, target, prepared)],
        training=plans.get(Mode.TRAINING),
        inference=plans.get(Mode.INFERENCE),
        audit=_audit(prepared),
    )


def _overrides(request: Request) -> OverrideInfo:
    demands = request.demands
    return OverrideInfo(
        layers=list(demands.layers) or None,
        pins=dict(demands.pins),
        prefer=demands.prefer.value,
        planner=request.planner.strip(),
    )


def _target_warnings(spec: ModelSpec, target: Target, prepared: list[Prepared]) -> list[str]:
    found = []
    if target is Target.POPTORCH:
        found.append(
            f"Blocks are placed freely: layers_per_ipu cannot say this cut of {spec.architecture}, parallelize.py does."
        )
    for one in prepared:
        if one.graph.audit.bounded:
            found.append(
                f"Shapes in {one.mode.value} depend on tensor values ({', '.join(one.graph.audit.bounded)}). They are "
                "costed at the most they can be; PopTorch compiles static shapes only, so the class must be adapted "
                "on the host."
            )
        share = sum(part for _, part in one.graph.audit.unknown.values())
        if share > UNKNOWN_SHARE:
            names = ", ".join(sorted(one.graph.audit.unknown))
            found.append(
                f"{share:.1%} of the {one.mode.value} traffic is in operations without a cost rule ({names}); they "
                "are costed by their bytes only."
            )
    return found


def _audit(prepared: list[Prepared]) -> AuditInfo:
    """Of the first mode planned (training where it is), whose graph contains the other's operations and the loss."""
    return AuditInfo(**{name: dict(value) for name, value in asdict(prepared[0].graph.audit).items()})


def _transformers_version() -> str:
    from importlib.metadata import version

    return version("transformers")
