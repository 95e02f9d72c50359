"""Example inputs: tensors of the shapes the plan is made for. Their values mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import fields, replace
from math import prod
from typing import TYPE_CHECKING

from ..errors import UsageError
from .audio import seconds
from .context import Context, cannot_infer
from .dims import size
from .given import described_given, given_inputs
from .signature import called_with
from .spec import ModelSpec, Shapes
from .table import Task, TensorRule
from .tasks import FEATURES, find_task

if TYPE_CHECKING:
    import torch
    from torch import nn

_OPTION_DIMS: Mapping[str, frozenset[str]] = {
    "sequence_length": frozenset({"sequence"}),
    "target_length": frozenset({"target", "transcript"}),
    "image_size": frozenset({"image_height", "image_width"}),
    "audio_seconds": frozenset({"samples", "feature_frames"}),
}
_MOST_ELEMENTS = 2**36


def example_inputs(
    spec: ModelSpec, shapes: Shapes, *, training: bool, with_labels: bool = True, model: nn.Module | None = None
) -> dict[str, torch.Tensor]:
    """Keyword inputs of `forward`: on the device of `model` (or of the module in the spec), else on the meta device.

    Labels are passed in training, unless `with_labels` is false or the user gave a loss.

    Raises:
        UsageError: a wish that is impossible or does not apply, or a model whose inputs cannot be inferred.
    """
    import torch

    module = spec.module if model is None else model
    if spec.example_inputs is not None:
        return given_inputs(spec, shapes, keep_labels=training and with_labels and spec.loss is None, module=module)
    at = _context(spec, shapes)
    rules = called_with(spec, at.task, training and with_labels)
    _check_options(spec, at, shapes)
    device = _device(module)
    return {
        rule.name: torch.full(_dimensions(at, rule), rule.fill, dtype=getattr(torch, rule.dtype), device=device)
        for rule in rules
    }


def described_shapes(spec: ModelSpec, shapes: Shapes, *, with_labels: bool = True) -> dict[str, object]:
    """The effective values of all that applies to this model, defaults filled in, in alphabetical order.

    Raises:
        UsageError: as :func:`example_inputs`.
    """
    if spec.example_inputs is not None:
        return described_given(spec, shapes)
    at = _context(spec, shapes)
    _check_options(spec, at, shapes)
    used = _used_dims(spec, at.task, with_labels)
    values: dict[str, object] = {"micro_batch_size": shapes.micro_batch_size}
    values.update({dim: size(at, dim) for dim in used & {"choices", "visual_features", "mel_frames", "feature_frames"}})
    for option, dims in _OPTION_DIMS.items():
        for dim in sorted(dims & used):
            values.setdefault(option, seconds(at) if option == "audio_seconds" else size(at, dim))
    if "image_size" in values and size(at, "image_height") != size(at, "image_width"):
        values["image_size"] = [size(at, "image_height"), size(at, "image_width")]
    if "samples" in used:
        values["audio_samples"] = size(at, "samples")
    return dict(sorted(values.items()))


def with_shapes(spec: ModelSpec, shapes: Shapes) -> ModelSpec:
    """The spec with the image size asked for in its configuration: learned positions are built for one size."""
    configured = getattr(spec.config, "image_size", None)
    wish = shapes.image_size
    if wish is None or configured is None or spec.module is not None:
        return spec
    config = deepcopy(spec.config)
    config.image_size = wish if isinstance(configured, int) else type(configured)([wish, wish])
    return replace(spec, config=config)


def _context(spec: ModelSpec, shapes: Shapes) -> Context:
    if spec.config is None:
        raise cannot_infer(spec.architecture, "it has no configuration")
    return Context(spec.config, find_task(spec.task or FEATURES), shapes, spec.model_class)


def _dimensions(at: Context, rule: TensorRule) -> list[int]:
    dimensions = [size(at, dim) for dim in rule.dims]
    if prod(dimensions) > _MOST_ELEMENTS:
        raise UsageError(
            f"The input {rule.name} would have {' x '.join(map(str, dimensions))} elements; ask for a smaller "
            "micro-batch or shorter inputs."
        )
    return dimensions


def _used_dims(spec: ModelSpec, task: Task, labelled: bool) -> set[str]:
    return {dim for labels in (False, labelled) for rule in called_with(spec, task, labels) for dim in rule.dims}


def _check_options(spec: ModelSpec, at: Context, shapes: Shapes) -> None:
    used = _used_dims(spec, at.task, True)
    for option in (f.name for f in fields(shapes) if f.name in _OPTION_DIMS):
        if getattr(shapes, option) is not None and not used & _OPTION_DIMS[option]:
            having = sorted(name for name, dims in _OPTION_DIMS.items() if used & dims) or ["micro_batch_size alone"]
            raise UsageError(
                f"{option} does not apply to {spec.architecture} ({at.task.name}), which takes {', '.join(having)}."
            )


def _device(module: nn.Module | None) -> torch.device | str:
    first = None if module is None else next(module.parameters(), None)
    return "meta" if first is None else first.device
