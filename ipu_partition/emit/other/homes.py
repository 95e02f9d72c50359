"""One device for every tensor of a model, where some must be together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, slots=True)
class Tensor:
    """A parameter or buffer."""

    names: tuple[str, ...]
    elements: int
    readers: tuple[int, ...]
    """The devices that read it, in the order in which they do; empty: none does."""


def homes_of(model: nn.Module, readers: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Name of a parameter or buffer -> device, all names of each, in the order of `model`; and what is to be said.

    Tensors that must be together are where the first readers of most of their elements are. What nothing reads is
    where the innermost module around it begins.
    """
    tensors = _tensors(model, readers)
    inside = _inside(tensors, _whole(model, tensors))
    placed: dict[str, int | None] = {name: None for name, _ in _named(model)}
    for group in _together(tensors, inside.values()):
        placed |= {name: _most(group) for tensor in group for name in tensor.names}
    homes = {name: _around(name, placed) if device is None else device for name, device in placed.items()}
    return homes, (*_copies(tensors, homes), *_kept(tensors, inside, homes))


def coarse(homes: Mapping[str, int]) -> dict[str, int]:
    """The same devices with the fewest paths: a module that is on one device stands for all in it; '' is the model."""
    return dict(_paths("", list(homes.items())))


def _paths(path: str, inside: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    devices = {device for _, device in inside}
    if len(devices) == 1:
        yield path, devices.pop()
        return
    children: dict[str, list[tuple[str, int]]] = {}
    start = len(path) + 1 if path else 0
    for name, device in inside:
        children.setdefault(name[:start] + name[start:].split(".")[0], []).append((name, device))
    for child, named in children.items():
        yield from _paths(child, named)


def _tensors(model: nn.Module, readers: Mapping[str, tuple[int, ...]]) -> list[Tensor]:
    names: dict[int, list[str]] = {}
    elements: dict[int, int] = {}
    for name, value in _named(model):
        names.setdefault(id(value), []).append(name)
        elements[id(value)] = value.numel()
    return [Tensor(tuple(own), elements[key], readers.get(own[0], ())) for key, own in names.items()]


def _named(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for path, module in model.named_modules(remove_duplicate=False):
        for leaf, value in (*module._parameters.items(), *module._buffers.items()):
            if value is not None:
                yield f"{path}.{leaf}" if path else leaf, value


def _whole(model: nn.Module, tensors: Sequence[Tensor]) -> frozenset[str]:
    """Modules that run on one device, none inside another: layers, modules without others in them, and those with a
    tensor of their own that is one with a tensor of a module in them: accelerate ties such a pair to the one that no
    hook moves."""
    layers = _layers(model)
    tied = frozenset(_parent(name) for tensor in tensors for name in tensor.names if _has_twin_inside(name, tensor))
    found: list[str] = []
    for path, module in model.named_modules(remove_duplicate=False):
        inside = bool(found) and path.startswith(f"{found[-1]}.")
        if path and not inside and (path in layers or path in tied or not module._modules):
            found.append(path)
    return frozenset(found)


def _layers(model: nn.Module) -> frozenset[str]:
    """The innermost of the modules that Transformers says not to split, because they add up what they keep and what
    modules in them give; where it says nothing, of the modules in lists."""
    from torch import nn

    kept = frozenset(getattr(model, "_no_split_modules", None) or ())
    named = list(model.named_modules(remove_duplicate=False))
    lists = frozenset(path for path, module in named if isinstance(module, nn.ModuleList))
    found = [path for path, m in named if (type(m).__name__ in kept if kept else _parent(path) in lists)]
    return frozenset(a for a, b in pairwise([*found, ""]) if not b.startswith(f"{a}."))


def _has_twin_inside(name: str, tensor: Tensor) -> bool:
    module = _parent(name)
    return any(_parent(other).startswith(f"{module}.") for other in tensor.names)


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _inside(tensors: Sequence[Tensor], whole: Collection[str]) -> dict[str, list[int]]:
    """Of each module that is kept whole, the indices of its tensors."""
    found: dict[str, list[int]] = {}
    for index, tensor in enumerate(tensors):
        for path in dict.fromkeys(path for name in tensor.names for path in _prefixes(name) if path in whole):
            found.setdefault(path, []).append(index)
    return found


def _together(tensors: Sequence[Tensor], inside: Iterable[Sequence[int]]) -> list[list[Tensor]]:
    """Tensors that must be on one device, because one module holds them, or each another one of the group."""
    leader = list(range(len(tensors)))

    def lead(index: int) -> int:
        while leader[index] != index:
            leader[index] = index = leader[leader[index]]
        return index

    for first, *others in inside:
        for other in others:
            leader[lead(other)] = lead(first)
    groups: dict[int, list[Tensor]] = {}
    for index, tensor in enumerate(tensors):
        groups.setdefault(lead(index), []).append(tensor)
    return list(groups.values())


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:stop]) for stop in range(1, len(parts)))


def _most(group: Sequence[Tensor]) -> int | None:
    """The device where most elements are read first, of several the lowest; None where nothing is read."""
    votes = Counter({device: 0 for tensor in group for device in tensor.readers[:1]})
    for tensor in group:
        votes.update(dict.fromkeys(tensor.readers[:1], tensor.elements))
    return max(votes, key=lambda device: (votes[device], -device), default=None)


def _around(name: str, placed: Mapping[str, int | None]) -> int:
    for path in reversed(["", *(f"{path}." for path in _prefixes(name))]):
        inside = [device for other, device in placed.items() if other.startswith(path) and device is not None]
        if inside:
            return min(inside)
    return 0


def _copies(tensors: Sequence[Tensor], homes: Mapping[str, int]) -> Iterator[str]:
    for tensor in tensors:
        if len(tensor.readers) > 1:
            name, device = " = ".join(tensor.names), homes[tensor.names[0]]
            yield f"{name} is read on {_listed(sorted(tensor.readers))}; it is on device {device} alone."


def _kept(tensors: Sequence[Tensor], inside: Mapping[str, Sequence[int]], homes: Mapping[str, int]) -> Iterator[str]:
    """Modules that the plan has on several devices."""
    for path, indices in inside.items():
        device = homes[tensors[indices[0]].names[0]]
        planned = {tensors[index].readers[0] for index in indices if len(tensors[index].readers) == 1}
        if others := sorted(planned - {device}):
            yield f"{path} is kept whole on device {device}; the plan runs some of it on {_listed(others)}."


def _listed(devices: Sequence[int]) -> str:
    *first, last = map(str, devices)
    return f"devices {', '.join(first)} and {last}" if first else f"device {last}"
