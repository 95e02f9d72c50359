"""From a resolved model to its cost graph for one mode: build, trace, lay out, cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .cost import CostGraph, cost_graph
from .declared import add_declared_loss
from .errors import UsageError
from .families import rule_for
from .families.table import FamilyRule
from .host.changes import as_on_host
from .host.masked import gathering, in_host_order, masked_head
from .layout import Layout, family_layout, free_layout
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
from .request import Request
from .structure import structure_of
from .trace import TracedModel, trace
from .workload import Mode, Target

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[str], None]
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


def target_of(spec: ModelSpec, request: Request) -> Target:
    """optimum-graphcore's rules where it has the class, unless the user asks otherwise."""
    known = rule_for(spec.architecture)
    if request.target is None:
        return Target.OPTIMUM if known else Target.POPTORCH
    if request.target == Target.OPTIMUM.value and known is None:
        raise UsageError(
            f"optimum-graphcore 0.7.1 has no pipelined class for {spec.architecture}; expected one of its classes. "
            "Try --target poptorch, or another --task."
        )
    return Target(request.target)


def prepare(spec: ModelSpec, request: Request, mode: Mode, target: Target, progress: Progress) -> Prepared:
    """Raises :class:`UsageError` and :class:`TraceError`."""
    training = mode is Mode.TRAINING
    shapes = _shapes(request)
    rule = rule_for(spec.architecture)
    obeyed = rule if target is Target.OPTIMUM else None
    spec = with_shapes(spec, shapes)
    progress(f"building {spec.architecture} ({mode.value})")
    model, warnings = build(spec, training=training, host_config=dict(obeyed.host_config) if obeyed else None)
    declared = rule.declared_loss if rule and training else None
    inputs = _inputs(spec, shapes, training, declared is None, model)
    progress(f"tracing {spec.architecture} ({mode.value})")
    masked = masked_head(obeyed, model, inputs) if training and spec.loss is None else None
    planned = as_planned(model, training=training, inputs=inputs)
    with planned as changes, as_on_host(model, rule, target), gathering(model, masked):
        traced = trace(model, inputs, training=training, loss=spec.loss if training else None)
    traced = in_host_order(traced, masked)
    progress(f"costing {spec.architecture} ({mode.value})")
    if training and spec.loss is not None:
        _check_loss(traced)
    shown = described_shapes(spec, shapes, with_labels=declared is None)
    layout = _layout(traced, model, rule, obeyed is None)
    frozen = [name for name in traced.parameters if obeyed and obeyed.is_frozen(name)]
    if frozen and training and obeyed:
        warnings += (f"{obeyed.optimum_class} does not train {', '.join(obeyed.frozen)}; planned so.",)
    warnings += changes
    switches = host_switches(model, inputs) if training else {}
    if switches and (changes or draws_at_random(spec.config, inputs)):
        warnings += (SWITCHED.format(", ".join(f"{name}={value!r}" for name, value in switches.items())),)
    warnings += (masked.note,) if masked else ()
    warnings += _limits(rule, mode)
    graph = cost_graph(
        traced,
        layout.starts,
        float_bytes=request.precision_kind.float_bytes,
        frozen=frozen,
        small_masks=rule is not None and target.value in rule.small_masks,
    )
    if declared:
        graph = add_declared_loss(graph, declared)
        warnings += (
            f"The {declared} loss cannot be traced (its checks read the labels' values); it is planned as a declared "
            "unit after the logits.",
        )
    adapters = tuple(_adapters(rule, switches))
    structure = traced.fingerprint
    if obeyed and obeyed.host_config:  # the model that was traced is not the one the user has
        structure = structure_of(build(spec, training=training)[0])
    return Prepared(
        name=spec.name,
        mode=mode,
        traced=traced,
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


def _layout(traced: TracedModel, model: nn.Module, rule: FamilyRule | None, free: bool) -> Layout:
    if rule is None:
        return free_layout(traced)
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    aliases = {a for p in traced.parameters.values() for a in p.aliases}
    tied = rule.host_tie is not None and rule.host_tie.parameter in aliases
    family = rule.resolve(names, tied=tied)
    make = free_layout if free else family_layout
    return make(traced, family, rule.adapters)
