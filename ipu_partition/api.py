"""The one function most users need."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Unpack

from .basis import cost_rules, machine_numbers
from .devices import TorchMachine, check_options, ipus_only, read_machine
from .document import digest
from .errors import UsageError
from .families import rule_for
from .machine import Machine, machine
from .models import ModelSpec, resolve
from .models.overrides import parse
from .order.best import check_order
from .plan import (
    AuditInfo,
    Background,
    Basis,
    DeviceInfo,
    Finding,
    MachineInfo,
    ModelInfo,
    OverrideInfo,
    PartitionPlan,
    shapes_of,
)
from .planned import Planned, Workshop, plan_modes
from .prepare import Prepared, prepare, target_of
from .progress import Progress, silent
from .request import Options, Request, model_argument
from .workload import Mode, Target

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

    from .explanation import Explanation
    from .order.document import OrderExplanation
    from .plan_parts import ModePlan

UNKNOWN_SHARE = 0.001
"""Share of traffic in unknown operations from which a plan warns."""


def partition(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    ipus: int | None = None,
    *,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> PartitionPlan:
    """Cut `model` into pipeline stages for `ipus` IPUs per replica (default: the smallest power of two that fits).

    `model` is a catalogue name, a Hub id, a folder with `config.json`, a `PretrainedConfig` or a `torch.nn.Module`.
    The options are the fields of :class:`ipu_partition.request.Request`, named as on the command line with
    underscores. `progress` is told, in words, what is being done.

    A model that does not fit gives a plan whose `fits` is false, with its shortfall and levers.
    Raises :class:`UsageError` and :class:`TraceError`.
    """
    request = _request(ipus, options)
    return plan_requests(model, dict.fromkeys(request.modes, request), progress)


def explain(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    ipus: int | None = None,
    *,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Explanation:
    """Why :func:`partition` cuts `model` as it does: what binds, which cut comes next, what one more layer would do.

    Raises :class:`UsageError` and :class:`TraceError`.
    """
    request = _request(ipus, options)
    ipus_only(request, "explain")
    return plan_requests(model, dict.fromkeys(request.modes, request), progress, suggests=False).explain()


def explain_order(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    ipus: int | None = None,
    *,
    granularity: str = "module",
    time_limit: float = 25.0,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> OrderExplanation:
    """What it costs `model` to run in the order of its program, the only one that PopTorch runs: the best plan in it,
    the best that is found in any order within `time_limit` seconds for each mode, and a bound on all.

    `granularity`: `module`, the units that plans are made of, or `op`, one for each operation that costs something. The
    options are those of :func:`partition` that do not bind a plan; where `ipus` is not given, as many as
    :func:`partition` takes. Ctrl-C while orders are compared ends it with what was found until then.
    Raises :class:`UsageError` and :class:`TraceError`.
    """
    from .order.asked import SHARDED, check_demands, check_search, subject_of
    from .order.document import OrderExplanation
    from .order.explained import INTERRUPTED, explained

    request = _request(ipus, options)
    check_search(granularity, time_limit)
    check_demands(request)
    opened = open_model(model, dict.fromkeys(request.modes, request), progress)
    spec, modes, notes = opened.spec, {}, list(opened.notes)
    for mode in opened.modes:
        prepared = prepare(spec, request, mode, opened.target, opened.progress)
        subject, plan_us = subject_of(prepared, request, opened.kind, opened.target, granularity)
        if not subject.work.pipelined:
            notes.append(SHARDED.format(mode=mode.value.capitalize()))
            continue
        opened.progress(f"comparing orders of {spec.name} ({mode.value})")
        modes[mode] = explained(subject, time_limit=time_limit, plan_us=plan_us)
        if INTERRUPTED in modes[mode].notes:
            break
    return OrderExplanation(
        model=spec.name,
        architecture=spec.architecture,
        machine=opened.kind.name,
        target=opened.target.value,
        granularity=granularity,  # type: ignore[arg-type]
        fits=all(mode.fits for mode in modes.values()),
        training=modes.get(Mode.TRAINING),
        inference=modes.get(Mode.INFERENCE),
        notes=notes,
    )


def _request(ipus: int | None, options: Options) -> Request:
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        raise UsageError(
            f"Unknown option {unknown[0]!r}; expected one of {', '.join(sorted(Options.__annotations__))}."
        )
    return Request(ipus=ipus, **options)


def plan_requests(
    model: object,
    requests: Mapping[Mode, Request],
    progress: Progress | None = None,
    *,
    suggests: bool = True,
) -> PartitionPlan:
    """As :func:`partition`, each mode by a request of its own. They agree in all that says which model it is.
    `suggests`: a plan that does not fit says what would help."""
    opened = open_model(model, requests, progress)
    if isinstance(opened.kind, TorchMachine):
        return _on_devices(opened, opened.kind, requests)
    planned = plan_modes(workshop(opened, suggests), {mode: requests[mode] for mode in opened.modes})
    prepared = [one.solved.prepared for one in planned.values()]
    plan = document(opened, prepared, {mode: one.plan for mode, one in planned.items()})
    plan._background = Background(lambda: _explanation(plan, planned, opened.progress))
    return plan


def _on_devices(opened: Opened, kind: TorchMachine, requests: Mapping[Mode, Request]) -> PartitionPlan:
    from .devices.solve import plan_mode

    prepared, plans = [], {}
    for mode in opened.modes:
        made = prepare(opened.spec, requests[mode], mode, opened.target, opened.progress)
        made, bound_us = _in_order(opened, made, requests[mode], kind)
        prepared.append(made)
        opened.progress(f"placing {opened.spec.name} ({mode.value})")
        plans[mode] = plan_mode(made, requests[mode], kind, bound_us)
    return document(opened, prepared, plans)


def _in_order(
    opened: Opened, prepared: Prepared, request: Request, kind: TorchMachine
) -> tuple[Prepared, float | None]:
    """In the order asked for, with a warning that says what came of another than the program's; and what every plan in
    any order takes at least (us; None where the order is the program's)."""
    from .order.best import BEST, in_best_order

    if request.order != BEST:
        return prepared, None
    opened.progress(f"looking for the best order of {opened.spec.name} ({prepared.mode.value})")
    made, note, bound_us = in_best_order(prepared, request, kind)
    return replace(made, warnings=(*made.warnings, note)), bound_us


def workshop(opened: Opened, suggests: bool = True) -> Workshop:
    """Where the modes of a model are planned."""

    def traced(request: Request, mode: Mode) -> Prepared:
        return prepare(opened.spec, request, mode, opened.target, opened.progress)

    return Workshop(traced, opened.ipu, opened.target, opened.progress, suggests)


def _explanation(plan: PartitionPlan, planned: Mapping[Mode, Planned], progress: Progress) -> Explanation:
    from .explanation import Explanation, explain_mode

    modes = {}
    for mode, one in planned.items():
        progress(f"explaining {plan.model.name} ({mode.value})")
        modes[mode] = explain_mode(one.request, one.solved)
    return Explanation(
        model=plan.model.name,
        architecture=plan.model.architecture,
        machine=plan.machine.name,
        target=plan.target,
        fits=plan.fits,
        training=modes.get(Mode.TRAINING),
        inference=modes.get(Mode.INFERENCE),
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that is known, and what is asked of it."""

    spec: ModelSpec
    request: Request
    """Of the first mode asked for."""
    kind: Machine | TorchMachine
    target: Target
    modes: tuple[Mode, ...]
    """Those that are possible among those asked for."""
    notes: tuple[str, ...]
    progress: Progress

    @property
    def ipu(self) -> Machine:
        """The kind of IPU. UsageError for other devices."""
        if isinstance(self.kind, TorchMachine):
            raise UsageError(f"This is about IPUs, and machine {self.kind.name!r} has other devices. Name mk2 or bow.")
        return self.kind


def open_model(model: object, requests: Mapping[Mode, Request], progress: Progress | None = None) -> Opened:
    """UsageError where there is no such model or machine, or none of the modes is possible."""
    request = next(iter(requests.values()))
    kind = _machine(request)
    progress = progress or silent
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
    target = Target.TORCH if isinstance(kind, TorchMachine) else target_of(spec, request)
    modes, notes = _modes(spec, tuple(requests))
    return Opened(spec, request, kind, target, modes, notes, progress)


def _machine(request: Request) -> Machine | TorchMachine:
    """The kind of IPU, or as many devices of the machine file as are asked for."""
    check_order(request)
    if not request.machine_file:
        return machine(request.machine)
    check_options(request)
    return read_machine(request.machine).first(request.ipus)


def _modes(spec: ModelSpec, asked: tuple[Mode, ...]) -> tuple[tuple[Mode, ...], tuple[str, ...]]:
    """The modes that are possible among those asked for; training needs a loss."""
    if Mode.TRAINING not in asked or spec.has_loss:
        return asked, ()
    if asked == (Mode.TRAINING,):
        raise UsageError(f"{spec.architecture} cannot be planned for training. {spec.loss_note}")
    return (Mode.INFERENCE,), (f"Planned for inference only. {spec.loss_note}",)


def document(
    opened: Opened,
    prepared: Sequence[Prepared],
    plans: Mapping[Mode, ModePlan],
    checked: str | None = None,
    findings: Sequence[Finding] = (),
) -> PartitionPlan:
    """The plans of `prepared`, or of some of them; `findings` about the configuration from `checked`."""
    spec, kind, target = opened.spec, opened.kind, opened.target
    rule = rule_for(spec.architecture)
    first = prepared[0]
    return PartitionPlan(
        basis=_basis(first, kind),
        model=ModelInfo(
            name=spec.name,
            source=spec.source,
            architecture=spec.architecture,
            task=spec.task or "custom",
            hub_id=spec.hub_id,
            revision=spec.revision,
            model_type=spec.model_type,
            config=parse(opened.request.config or {}),
            parameters=first.graph.parameter_count,
            transformers_version=_transformers_version() if spec.config is not None else None,
            fingerprint=first.structure,
            shapes=dict(first.shapes),
        ),
        machine=_machine_info(kind),
        target=target.value,
        overrides=_overrides(opened.request),
        expressible=target is Target.OPTIMUM,
        optimum_class=rule.optimum_class if rule and target is not Target.TORCH else None,
        fits=bool(plans) and all(plan.fits for plan in plans.values()),
        warnings=[*spec.warnings, *opened.notes, *_target_warnings(spec, target, prepared)],
        checked=checked,
        findings=list(findings),
        training=plans.get(Mode.TRAINING),
        inference=plans.get(Mode.INFERENCE),
        audit=_audit(prepared),
    )


def _machine_info(kind: Machine | TorchMachine) -> MachineInfo:
    if isinstance(kind, Machine):
        return MachineInfo(
            name=kind.name,
            tiles_per_ipu=kind.tiles,
            bytes_per_tile=kind.bytes_per_tile,
            capacity_bytes=kind.capacity_bytes,
        )
    return MachineInfo(
        name=kind.name,
        tiles_per_ipu=None,
        bytes_per_tile=None,
        capacity_bytes=min(device.memory_bytes for device in kind.devices),
        devices=[DeviceInfo(**asdict(device)) for device in kind.devices],
    )


def _basis(prepared: Prepared, kind: Machine | TorchMachine) -> Basis:
    return Basis(
        model=prepared.structure,
        shapes=shapes_of(prepared.shapes),
        machine=machine_numbers(kind.name) or digest(repr(kind)),
        rules=cost_rules(),
    )


def _overrides(request: Request) -> OverrideInfo:
    demands = request.demands
    return OverrideInfo(
        layers=list(demands.layers) or None,
        pins=dict(demands.pins),
        prefer=demands.prefer.value,
        planner=request.planner.strip(),
    )


def _target_warnings(spec: ModelSpec, target: Target, prepared: Sequence[Prepared]) -> list[str]:
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


def _audit(prepared: Sequence[Prepared]) -> AuditInfo:
    """Of the first mode planned (training where it is), whose graph contains the other's operations and the loss."""
    return AuditInfo(**{name: dict(value) for name, value in asdict(prepared[0].graph.audit).items()})


def _transformers_version() -> str:
    from importlib.metadata import version

    return version("transformers")
