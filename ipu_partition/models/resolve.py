"""From what the user named to a :class:`ModelSpec`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .builtin import CatalogueEntry, find
from .config import from_fields, from_origin, overridden
from .loss import with_loss
from .modules import by_name, from_module
from .overrides import parse
from .source import locate
from .spec import ModelSpec, Overrides
from .table import Task
from .tasks import FEATURES, class_for, default_task_of, find_task, named_architectures, task_of_class, tasks_of

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PretrainedConfig

Inputs = Mapping[str, "torch.Tensor"] | tuple["torch.Tensor", ...]


def resolve(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    *,
    task: str | None = None,
    config: Overrides | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    example_inputs: Inputs | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
) -> ModelSpec:
    """What `model` names or is: a built-in model, a folder or file, a Hub id, a configuration, a module.

    `config` overrides configuration fields. A `revision` asks the Hub, also for built-in names. `example_inputs` are
    tensors by parameter name, or in the order of `forward`.

    Raises:
        UsageError: nothing of that name, a configuration that is refused, or a task without a class.
    """
    changes = parse(config or {})
    wanted = find_task(task) if task is not None else None
    if isinstance(model, (str, os.PathLike)):
        spec = _named(os.fspath(model), isinstance(model, str), wanted, changes, revision, trust_remote_code)
    else:
        if revision is not None:
            raise UsageError(
                f"revision={revision!r} is for models on the Hub; leave it out for a configuration or a module."
            )
        spec = _given(model, wanted, changes)
    if example_inputs is not None:
        spec = replace(spec, example_inputs=by_name(example_inputs, spec.model_class))
    return with_loss(spec, loss)


def _named(
    name: str, may_be_built_in: bool, task: Task | None, changes: Overrides, revision: str | None, trust: bool
) -> ModelSpec:
    entry = find(name) if may_be_built_in else None
    if entry is not None and revision is None:
        return _built_in(entry, task, changes)
    origin = locate(name if entry is None else entry.hub_id, revision)
    config, warnings = from_origin(origin, changes, trust)
    spec = _from_config(origin.name, config, task, trust)
    return replace(
        spec, source=origin.source, hub_id=origin.hub_id, revision=origin.revision, warnings=warnings + spec.warnings
    )


def _built_in(entry: CatalogueEntry, task: Task | None, changes: Overrides) -> ModelSpec:
    fields = {"model_type": entry.model_type, **entry.config}
    config, warnings = from_fields(entry.name, fields, changes)
    spec = _from_config(entry.name, config, task, False)
    return replace(spec, source="built-in", hub_id=entry.hub_id, warnings=warnings + spec.warnings)


def _given(model: object, task: Task | None, changes: Overrides) -> ModelSpec:
    from torch import nn
    from transformers import PretrainedConfig

    if isinstance(model, PretrainedConfig):
        config = overridden(model, changes)
        return _from_config(config.name_or_path or config.model_type or type(config).__name__, config, task, False)
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"The model is a {type(model).__name__}, expected a name, a path, a PretrainedConfig or a torch.nn.Module."
        )
    if changes:
        raise UsageError(
            f"{type(model).__name__} is already built; set {', '.join(sorted(changes))} before building it."
        )
    return from_module(model, task)


def _from_config(name: str, config: Any, task: Task | None, trust: bool) -> ModelSpec:
    remote = getattr(config, "auto_map", None) if trust else None
    chosen, warnings = (task, ()) if task is not None else _default(config, remote)
    found = class_for(chosen, config, remote)
    if found is None:
        listed = ", ".join(tasks_of(config, remote)) or "none"
        raise UsageError(
            f"Transformers has no class for {chosen.name} with {config.model_type!r} models; tasks it has: {listed}."
        )
    return ModelSpec(
        name, "config", found.__name__, found, config.model_type, task=chosen.name, config=config, warnings=warnings
    )


def _default(config: Any, remote: Mapping[str, Any] | None) -> tuple[Task, tuple[str, ...]]:
    """The task to plan for, and a warning where it is not one of a class the configuration names."""
    chosen = default_task_of(config.model_type, config) or find_task(FEATURES)
    named = named_architectures(config)
    if not named or remote or task_of_class(named, config) is not None:
        return chosen, ()
    note = (
        f"The configuration names {named[0]}, which belongs to no task known here; planned for {chosen.name}. Choose "
        "another with task=."
    )
    return chosen, (note,)
