"""From a task and a configuration to a class, through Transformers' own mappings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .table import Route, Task, TensorRule, tasks

if TYPE_CHECKING:
    from torch import nn

    from .spec import ModelSpec

FEATURES = "feature-extraction"
_NOT_A_HEAD = (FEATURES, "pretraining")


def find_task(name: str) -> Task:
    """The task of this name or alias. Raises: UsageError naming what exists."""
    for task in tasks():
        if name == task.name or name in task.aliases:
            return task
    names = [task.name for task in tasks()]
    close = get_close_matches(str(name), names, n=2)
    near = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UsageError(f"There is no task {name!r}.{near} The tasks are: {', '.join(names)}.")


def class_for(task: Task, config: Any, remote: Mapping[str, Any] | None = None) -> type[nn.Module] | None:
    """The class for this task, or None: one that the configuration names if there is one, else the first route's.

    `remote` maps Auto classes to trusted code of the model's repository.
    """
    candidates = []
    for route in task.routes:
        found = _remote_class(route, config, remote) or _mapped_class(route, config)
        if found is not None and (route.needs is None or route.needs in parameters(found)):
            candidates.append(found)
    named = [found for found in candidates if found.__name__ in named_architectures(config)]
    return next(iter((*named, *candidates)), None)


def route_of(task: Task, model_class: type[nn.Module]) -> Route:
    """The route of the task that leads to the class: the first whose needed input it takes."""
    fitting = [r for r in task.routes if r.needs is None or r.needs in parameters(model_class)]
    named = [r for r in fitting if _is_listed(r, model_class)]
    return (named or fitting or list(task.routes))[0]


def tasks_of(config: Any, remote: Mapping[str, Any] | None = None) -> list[str]:
    """Names of the tasks there is a class for."""
    return [task.name for task in tasks() if class_for(task, config, remote) is not None]


def task_of_class(names: list[str], config: Any) -> Task | None:
    """The first task for which Transformers builds the first of the named classes it knows."""
    for name in names:
        for task in tasks():
            found = class_for(task, config)
            if found is not None and found.__name__ == name:
                return task
    return None


def default_task_of(model_type: str, config: Any) -> Task | None:
    """The task of a configuration: its named class where that has a head, the family table, its class as it is, then
    pre-training where Transformers has a class for it, then the first task of the table it has a class for."""
    from ..families import default_task

    named = task_of_class(named_architectures(config), config)
    if named is not None and named.name not in _NOT_A_HEAD:
        return named
    family = default_task(model_type)
    if family is not None:
        return find_task(family)
    return named or _any_head(config)


def _any_head(config: Any) -> Task | None:
    heads = sorted((task for task in tasks() if task.name != FEATURES), key=lambda task: task.name != "pretraining")
    return next((task for task in heads if class_for(task, config) is not None), None)


def named_architectures(config: Any) -> list[str]:
    """Classes the configuration names, whatever it holds in their place."""
    names = getattr(config, "architectures", None)
    return [name for name in names if isinstance(name, str)] if isinstance(names, (list, tuple)) else []


def labels_of(task: Task | None, model_class: type[nn.Module]) -> tuple[TensorRule, ...]:
    """Labels that the class takes in this task."""
    if task is None:
        return ()
    taken = parameters(model_class)
    return tuple(label for label in route_of(task, model_class).labels if label.name in taken)


def passed(spec: ModelSpec) -> frozenset[str]:
    """Names of the labels that the planned training passes, or of the user's inputs."""
    if spec.example_inputs is not None:
        return frozenset(spec.example_inputs)
    if spec.loss is not None or spec.task is None:
        return frozenset()
    return frozenset(label.name for label in labels_of(find_task(spec.task), spec.model_class))


def parameters(model_class: type[nn.Module]) -> Mapping[str, inspect.Parameter]:
    """Parameters of `forward` that a keyword can name, without `self`."""
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(model_class.forward).parameters.items()
    return {name: p for i, (name, p) in enumerate(found) if i > 0 and p.kind not in variadic}


def _mapping(route: Route) -> Any:
    import transformers

    return getattr(transformers, route.mapping)


def _mapped_class(route: Route, config: Any) -> type[nn.Module] | None:
    found = _mapping(route).get(type(config), None)
    classes: list[type[nn.Module]] = list(found) if isinstance(found, (tuple, list)) else [found]
    named = [c for c in classes if c is not None and c.__name__ in named_architectures(config)]
    return (named or classes)[0]


def _remote_class(route: Route, config: Any, remote: Mapping[str, Any] | None) -> type[nn.Module] | None:
    reference = (remote or {}).get(route.auto_class)
    if not isinstance(reference, str):
        return None
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    try:
        found: type[nn.Module] = get_class_from_dynamic_module(reference, config.name_or_path)
    except Exception as error:  # whatever the code of others raises
        raise UsageError(f"The model code {reference!r} failed: {' '.join(str(error).split())[:400]}") from error
    return found


def _is_listed(route: Route, model_class: type[nn.Module]) -> bool:
    listed: set[str] = set()
    for value in _mapping(route)._model_mapping.values():
        listed.update(value if isinstance(value, (tuple, list)) else (value,))
    return any(base.__name__ in listed for base in model_class.__mro__)
