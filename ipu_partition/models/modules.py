"""Modules and example inputs that the user gave."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .spec import ModelSpec
from .table import Task, tasks
from .tasks import class_for, parameters

if TYPE_CHECKING:
    import torch
    from torch import nn


def from_module(module: nn.Module, task: Task | None) -> ModelSpec:
    """Raises: UsageError where the module is a class for another task."""
    from transformers import PretrainedConfig

    config = getattr(module, "config", None)
    config = config if isinstance(config, PretrainedConfig) else None
    name = type(module).__name__
    own = _task_of_module(module, config)
    if task is not None and own is not None and not _serves(task, module, config):
        raise UsageError(
            f"{name} is a class for {own.name}, not for {task.name}; leave out the task, or give the module for it."
        )
    chosen = task or own
    return ModelSpec(
        name,
        "module",
        name,
        type(module),
        getattr(config, "model_type", None),
        task=chosen.name if chosen is not None else None,
        config=config,
        module=module,
    )


def _task_of_module(module: nn.Module, config: Any) -> Task | None:
    return next((task for task in tasks() if config is not None and _serves(task, module, config)), None)


def _serves(task: Task, module: nn.Module, config: Any) -> bool:
    found = class_for(task, config)
    return found is not None and isinstance(module, found)


def by_name(inputs: object, model_class: type[nn.Module]) -> Mapping[str, torch.Tensor]:
    """Tensors by the parameter names of `forward`, which must accept them."""
    import torch

    if isinstance(inputs, torch.Tensor):
        inputs = (inputs,)
    if isinstance(inputs, (tuple, list)):
        names = list(parameters(model_class))
        if len(inputs) > len(names):
            raise UsageError(
                f"{len(inputs)} example inputs for {model_class.__name__}, whose forward takes {len(names)}."
            )
        inputs = dict(zip(names, inputs, strict=False))
    if not isinstance(inputs, Mapping) or not inputs:
        raise UsageError(f"example_inputs is {type(inputs).__name__}, expected a non-empty tuple or dict of tensors.")
    for name, value in inputs.items():
        if not isinstance(value, torch.Tensor):
            raise UsageError(f"The example input {name!r} is a {type(value).__name__}, expected a tensor.")
    _check_signature(inputs, model_class)
    return dict(inputs)


def _check_signature(inputs: Mapping[str, object], model_class: type[nn.Module]) -> None:
    try:
        inspect.signature(model_class.forward).bind(None, **inputs)
    except TypeError as error:
        raise UsageError(f"forward of {model_class.__name__} does not accept these example inputs: {error}.") from None
