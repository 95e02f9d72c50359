"""Whether a model computes a loss, and what to say where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import UsageError
from .spec import ModelSpec
from .table import label_names
from .tasks import FEATURES, find_task, labels_of, parameters, route_of, tasks_of

if TYPE_CHECKING:
    import torch


def with_loss(spec: ModelSpec, loss: Callable[..., torch.Tensor] | None) -> ModelSpec:
    """The spec with `loss`, `has_loss` and `loss_note`. Raises: UsageError for a loss that cannot be called."""
    if loss is not None:
        if not callable(loss):
            raise UsageError(f"loss is a {type(loss).__name__}, expected a function of the model's output.")
        return replace(spec, loss=loss, has_loss=True)
    taken = _labels_taken(spec)
    if not taken:
        return replace(spec, loss_note=_none(spec))
    if spec.example_inputs is not None and not taken & set(spec.example_inputs):
        note = (
            f"The example inputs hold no labels for {spec.architecture} (it takes {', '.join(sorted(taken))}), so "
            "there is no training to plan; add them or give loss= a function of its output."
        )
        return replace(spec, loss_note=note)
    return replace(spec, has_loss=True, loss_note=_omitted(spec))


def _labels_taken(spec: ModelSpec) -> set[str]:
    """Names of the labels of the task, or for a module without a task of any task, that `forward` takes."""
    if spec.task is None or spec.config is None:
        return set(parameters(spec.model_class)) & label_names()
    return {label.name for label in labels_of(find_task(spec.task), spec.model_class)}


def _none(spec: ModelSpec) -> str:
    heads = [name for name in tasks_of(spec.config) if name != FEATURES] if spec.config is not None else []
    advice = (
        f"choose a task with one ({', '.join(heads)}) or give loss=" if heads else "give loss= a function of its output"
    )
    return f"{spec.architecture} computes no loss, so there is no training to plan; {advice}."


def _omitted(spec: ModelSpec) -> str:
    """What the class could also compute but is given no labels for."""
    if spec.task is None or spec.config is None or spec.example_inputs is not None:
        return ""
    taken = parameters(spec.model_class)
    route = route_of(find_task(spec.task), spec.model_class)
    missing = [f"{what} ({name})" for name, what in route.omitted if name in taken]
    return f"The loss leaves out {', '.join(missing)}." if missing else ""
