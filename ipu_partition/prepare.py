"""From a resolved model to its cost graph for one mode: build, trace, lay out, cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .cost import CostGraph, costed
from .cost.tensors import Dataflow
from .declared import add_declared_loss
from .errors import UsageError
from .families import rule_for
from .families.table import FamilyRule
from .host.changes import as_on_host
from .host.masked import MaskedHead, gathering, in_host_order, masked_head
from .layout import Layout, family_layout, finest_layout, free_layout
from .models import (
    ModelSpec,
    Shapes,
    as_planned,
    build,
    described_shapes,
    draws_at_random,
    example_inputs,
    host_switches,
    stand_ins,
    untying,
    with_shapes,
)
from .plan_parts import Adapter
from .progress import Progress
from .request import Request
from .structure import structure_of
from .trace import TracedModel, trace
from .workload import Mode, Target

if TYPE_CHECKING:
    from torch import nn

SWITCHED = (
    "parallelize.py sets {} on the model while it is cut for training. A class of optimum-graphcore goes by the "
    "configuration of the model: set it there for IPUTrainer."
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """One mode of one model, ready to be planned for any number of IPUs."""

    name: str
    """Of the model, as reports call it."""
    mode: Mode
    traced: TracedModel
    flow: Dataflow
    """What `graph` was costed with."""
    layout: Layout
    graph: CostGraph
    rule: FamilyRule | None
    """The rule that is obeyed; None where the plan is free."""
    shapes: Mapping[str, Any]
    warnings: tuple[str, ...]
    adapters: tuple[Adapter, ...] = ()
    """What parallelize.py changes in the plain model beside its blocks and the adapters of `layout`."""
    structure: str = ""
    """`structure_of` the model that the user has."""
    elements: Mapping[str, int] = field(default_factory=dict)
    """Module where a block may begin -> elements of all parameters in it; those that only the host has are left out."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """List of modules -> its length."""
    untying: str = ""
    """What would give layers that share weights their own, as the end of a sentence."""
    whole: Prepared | None = None
    """The same with no table in pieces, where this one has some."""
    order: tuple[tuple[int, ...], ...] = ()
    """Of each unit of `graph`, in the order in which they run: the units that it is when the model runs in the order of
    its program. Empty: it does."""

    @property
    def origins(self) -> tuple[tuple[int, ...], ...]:
        """`order`, also where that is the program's."""
        return self.order or tuple((unit,) for unit in range(len(self.graph.units)))


def target_of(spec: ModelSpec, request: Request) -> Target:
    """optimum-graphcore's rules where it has the class, unless the user asks otherwise."""
    known = rule_for(spec.architecture)
    if request.target is None:
        return Target.OPTIMUM if known else Target.POPTORCH
    if request.target == Target.TORCH.value:
        raise UsageError(
            "Target torch plans for the devices of a machine file; give one with --machine FILE, such as gpus.toml."
        )
    if request.target == Target.OPTIMUM.value and known is None:
        raise UsageError(
            f"optimum-graphcore 0.7.1 has no pipelined class for {spec.architecture}; expected one of its classes. "
            "Try --target poptorch, or another --task."
        )
    return Target(request.target)


def prepare(
    spec: ModelSpec,
    request: Request,
    mode: Mode,
    target: Target,
    progress: Progress,
    *,
    model: nn.Module | None = None,
) -> Prepared:
    """`model`: what :func:`.models.build` made of `spec`, with real weights; it is traced instead of another on meta.

    Raises :class:`UsageError` and :class:`TraceError`.
    """
    training = mode is Mode.TRAINING
    shapes = _shapes(request)
    rule = rule_for(spec.architecture)
    obeyed = rule if target is Target.OPTIMUM else None
    spec = as_shaped(spec, request)
    progress(f"building {spec.architecture} ({mode.value})")
    built, warnings = build(spec, training=training, host_config=dict(obeyed.host_config) if obeyed else None)
    model = built if model is None else model
    declared = rule.declared_loss if rule and training else None
    inputs = _inputs(spec, shapes, training, declared is None, model)
    progress(f"tracing {spec.architecture} ({mode.value})")
    with as_traced(spec, model, target, inputs, training=training) as (changes, masked):
        traced = trace(model, inputs, training=training, loss=spec.loss if training else None)
    traced = in_host_order(traced, masked)
    progress(f"costing {spec.architecture} ({mode.value})")
    if training and spec.loss is not None:
        _check_loss(traced)
    shown = described_shapes(spec, shapes, with_labels=declared is None)
    layout = _layout(traced, model, rule, target)
    frozen = [name for name in traced.parameters if obeyed and obeyed.is_frozen(name)]
    if frozen and training and obeyed:
        warnings += (f"{obeyed.optimum_class} does not train {', '.join(obeyed.frozen)}; planned so.",)
    warnings += changes
    on_host = target is not Target.TORCH
    switches = host_switches(model, inputs) if training and on_host else {}
    if switches and (changes or draws_at_random(spec.config, inputs)):
        warnings += (SWITCHED.format(", ".join(f"{name}={value!r}" for name, value in switches.items())),)
    warnings += (masked.note,) if masked else ()
    warnings += _limits(rule, mode) if on_host else ()
    flow = Dataflow(
        traced,
        request.precision_kind.float_bytes,
        frozenset(frozen),
        small_masks=rule is not None and target.value in rule.small_masks,
    )
    graph = costed(flow, layout.starts)
    if declared:
        graph = add_declared_loss(graph, declared)
        warnings += (
            f"The {declared} loss cannot be traced (its checks read the labels' values); it is planned as a declared "
            "unit after the logits.",
        )
    adapters = tuple(_adapters(rule, switches)) if on_host else ()
    structure = traced.fingerprint
    if obeyed and obeyed.host_config:  # the model that was traced is not the one the user has
        structure = structure_of(build(spec, training=training)[0])
    return Prepared(
        name=spec.name,
        mode=mode,
        traced=traced,
        flow=flow,
        layout=layout,
        graph=graph,
        rule=obeyed,
        shapes=shown,
        warnings=warnings,
        adapters=adapters,
        structure=structure,
        elements={b.module: _elements(traced, b.module) for b in layout.blocks if b.module in traced.call_counts},
        rows=_rows(model),
        untying=untying(spec.config),
    )


@contextmanager
def as_traced(
    spec: ModelSpec, model: nn.Module, target: Target, inputs: Mapping[str, Any], *, training: bool
) -> Iterator[tuple[tuple[str, ...], MaskedHead | None]]:
    """`model` computes what a trace of it for `target` holds, until the end of the block; yields what was changed in
    words, and the head that is applied to masked tokens alone.

    A trace made meanwhile is put in order by :func:`.host.masked.in_host_order`. Raises :class:`UsageError`.
    """
    rule = rule_for(spec.architecture)
    obeyed = rule if target is Target.OPTIMUM else None
    masked = masked_head(obeyed, model, inputs) if training and spec.loss is None else None
    planned = as_planned(model, training=training, inputs=inputs)
    with planned as changes, as_on_host(model, rule, target), gathering(model, masked):
        yield changes, masked


def as_shaped(spec: ModelSpec, request: Request) -> ModelSpec:
    """The spec of the model that is built for the shapes asked for."""
    return with_shapes(spec, _shapes(request))


def _inputs(spec: ModelSpec, shapes: Shapes, training: bool, with_labels: bool, model: nn.Module) -> dict[str, Any]:
    """Without labels, those are still passed that stand for something drawn at random."""
    found = example_inputs(spec, shapes, training=training, with_labels=with_labels, model=model)
    if training and not with_labels and spec.example_inputs is None:
        every = example_inputs(spec, shapes, training=True, model=model)
        found |= {name: every[name] for name in stand_ins() if name in every}
    return found


def _elements(traced: TracedModel, module: str) -> int:
    own = {id(p): p for p in traced.parameters.values() if not p.buffer}
    inside = f"{module}."
    return sum(p.elements for p in own.values() if any(name.startswith(inside) for name in (p.name, *p.aliases)))


def _limits(rule: FamilyRule | None, mode: Mode) -> tuple[str, ...]:
    text = rule.plain_limits.get(mode.value) if rule else None
    return () if text is None else (f"parallelize.py: {text}",)


def _adapters(rule: FamilyRule | None, switches: Mapping[str, float]) -> Iterator[Adapter]:
    for name, value in switches.items():
        yield Adapter(kind="set-attribute", module="", name=name, value=value)
    if rule is not None and rule.embeds_first is not None:
        yield Adapter(kind="embeds-first", module="", name=rule.embeds_first.encoder, value=rule.embeds_first.decoder)
    for f in rule.static_functions if rule else ():
        yield Adapter(
            kind="static-function", module="", class_name=f.class_name, method=f.method, name=f.name, value=f.function
        )


def _rows(model: nn.Module) -> dict[str, int]:
    """Modules that hold others under numbers, under all their names."""
    found = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if any(child.isdigit() for child in module._modules):
            found[name] = len(module._modules)
    return found


def _check_loss(traced: TracedModel) -> None:
    """UsageError where what the user's loss returned is not one number."""
    values = [node.meta["val"] for node in traced.outputs]
    shapes = [tuple(value.shape) for value in values]
    if shapes != [()] or not values[0].is_floating_point():
        raise UsageError(
            f"loss= returned {len(values)} tensors of shapes {shapes}, expected one floating-point number. "
            "Try loss=lambda output: output.mean()."
        )


def _shapes(request: Request) -> Shapes:
    return Shapes(
        micro_batch_size=request.micro_batch_size,
        sequence_length=request.sequence_length,
        target_length=request.target_length,
        image_size=request.image_size,
        audio_seconds=request.audio_seconds,
    )


def _layout(traced: TracedModel, model: nn.Module, rule: FamilyRule | None, target: Target) -> Layout:
    if rule is None:
        return finest_layout(traced) if target is Target.TORCH else free_layout(traced)
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    aliases = {a for p in traced.parameters.values() for a in p.aliases}
    tied = rule.host_tie is not None and rule.host_tie.parameter in aliases
    family = rule.resolve(names, tied=tied)
    if target is Target.TORCH:
        return finest_layout(traced, family)
    make = family_layout if target is Target.OPTIMUM else free_layout
    return make(traced, family, rule.adapters)
