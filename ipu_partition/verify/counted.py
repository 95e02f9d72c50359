"""Which numbers of a configuration say how long the lists of layers of a model are. Found by building it, on the meta
device, with one number lower at a time: no table has to know the family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..models import ModelSpec, build

if TYPE_CHECKING:
    from torch import nn

Key = tuple[str | int, ...]
"""Attributes of the configuration and of those inside it, and perhaps a position in a list at the end."""
_FAR = 4
"""A number more than so many times as large as the longest list counts no layers."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Some of the layers that one number of the configuration counts."""

    key: Key
    before: int
    """The number for the whole model."""
    after: int
    indices: tuple[int, ...]
    """Layers that are kept, in order."""


def lists_of(module: nn.Module) -> dict[str, int]:
    """Modules that hold others under numbers, under all their names -> their lengths."""
    found = {}
    for name, inner in module.named_modules(remove_duplicate=False):
        if any(child.isdigit() for child in inner._modules):
            found[name] = len(inner._modules)
    return found


def counting(
    spec: ModelSpec, training: bool, wanted: Iterable[str], lengths: Mapping[str, int]
) -> dict[tuple[Key, int], set[str]]:
    """Number of the configuration with its value -> which of the lists `wanted` have one layer less where it is one
    less. Each list is there once at most; those that no number counts are missing. `lengths`: of all lists."""
    left = {name for name in wanted if lengths.get(name, 0) > 1}
    found: dict[tuple[Key, int], set[str]] = {}
    for key, value in _candidates(spec.config, [lengths[name] for name in sorted(left)]):
        if not left:
            break
        shorter = _lists(lowered(spec, [Kept(key, value, value - 1, tuple(range(value - 1)))]), training)
        hits = {name for name in left if shorter is not None and shorter.get(name) == lengths[name] - 1}
        if hits:
            found[key, value] = hits
            left -= hits
    return found


def kept_spec(spec: ModelSpec, training: bool, kept: Sequence[Kept], expected: Mapping[str, int]) -> ModelSpec | None:
    """`spec` with the layers of `kept` alone. What it says of each layer is kept of those too, where that leaves the
    lists as `expected`. None where no such model can be built."""
    for every in (True, False):
        made = lowered(spec, kept, every)
        lengths = _lists(made, training)
        if lengths is not None and all(lengths.get(name) == count for name, count in expected.items()):
            return made
    return None


def lowered(spec: ModelSpec, kept: Sequence[Kept], every: bool = False) -> ModelSpec | None:
    """`every`: lists of as many numbers as there were layers are cut too, not only lists of words, such as
    `layer_types`. None where the configuration refuses."""
    config = deepcopy(spec.config)
    try:
        for one in kept:
            _lower(config, one, every)
    except Exception:  # whatever a configuration class raises for values it does not expect
        return None
    return replace(spec, config=config)


def _lower(config: Any, kept: Kept, every: bool) -> None:
    *path, last = kept.key
    if isinstance(last, int):
        *path, name = path
        owner = _inside(config, path)
        values = list(getattr(owner, str(name)))
        values[last] = kept.after
        setattr(owner, str(name), type(getattr(owner, str(name)))(values))
        return
    owner = _inside(config, path)
    per_layer = {
        name: type(value)(value[i] for i in kept.indices)
        for name, value in vars(owner).items()
        if isinstance(value, list | tuple) and len(value) == kept.before and (every or _words(value))
    }
    setattr(owner, last, kept.after)
    for name, value in per_layer.items():
        setattr(owner, name, value)


def _words(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _inside(config: Any, path: Iterable[str | int]) -> Any:
    for name in path:
        config = getattr(config, str(name))
    return config


def _lists(spec: ModelSpec | None, training: bool) -> dict[str, int] | None:
    """None where the model cannot be built."""
    if spec is None:
        return None
    try:
        return lists_of(build(spec, training=training)[0])
    except UsageError:
        return None


def _candidates(config: Any, lengths: Sequence[int]) -> list[tuple[Key, int]]:
    """The numbers that are as large as a list is long come first."""
    most = _FAR * max(lengths, default=0)
    found = [(key, value) for key, value in _numbers(config) if 1 < value <= most]
    return sorted(found, key=lambda one: one[1] not in lengths)


def _numbers(config: Any) -> Iterator[tuple[Key, int]]:
    for name, value in sorted(vars(config).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            yield (name,), value
        elif isinstance(value, list | tuple):
            yield from (((name, i), v) for i, v in enumerate(value) if isinstance(v, int) and not isinstance(v, bool))
        elif hasattr(value, "model_type") and hasattr(value, "to_dict"):
            yield from (((name, *key), v) for key, v in _numbers(value))
