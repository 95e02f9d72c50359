"""From a resolved model to its cost graph for one mode: build, trace, lay out, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .cost import CostGraph, cost_graph
from .declared import add_declared_loss
from .errors import UsageError
from .families import rule_for
from .families.table import FamilyRule
from .host.changes import as_on_host
from .host.masked import gathering, in_host_order, masked_head
from .layout import Layout, family_layout, free_layout
from .models import ModelSpec, Shapes, as_planned, build, described_shapes, example_inputs, with_shapes
from .request import Request
from .trace import TracedModel, trace
from .workload import Mode, Target

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[str], None]


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
    inputs = example_inputs(spec, shapes, training=training, with_labels=declared is None, model=model)
    progress(f"tracing {spec.architecture} ({mode.value})")
    masked = masked_head(obeyed, model, inputs) if training and spec.loss is None else None
    with as_planned(model, training=training) as changes, as_on_host(model, rule, target), gathering(model, masked):
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
    warnings += (masked.note,) if masked else ()
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
    return Prepared(spec.name, mode, traced, layout, graph, obeyed, shown, warnings)


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
