"""Random numbers that depend on where they are drawn, and not on what else the process has drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import fx
from torch.utils._python_dispatch import TorchDispatchMode

from ..cost.tensors import drops_nothing


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Seeds the generator anew before each op that draws, with the number of ops that drew before it."""

    def __init__(self, seed: int, position: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seed, self._position = seed, position

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            torch.manual_seed(_mixed(self._seed, self._position))
            self._position += 1
        return func(*args, **(kwargs or {}))


_seeds: list[int] = []
"""Of the blocks of `draws` that are open, the innermost last."""


def _mixed(seed: int, position: int) -> int:
    """63 bits; neighbouring seeds and positions give numbers that have nothing in common."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{position}".encode()).digest()[:8], "big") >> 1


@contextmanager
def draws(seed: int, *, eager: bool = False) -> Iterator[None]:
    """Until the end of the block, the n-th op of a model that draws gives the same numbers for the same `seed`, in the
    model and in any of its pieces alike. `eager`: the ops are counted as they run, else pieces know their places.

    The generators are left as they were.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices), _Draws(seed) if eager else nullcontext():
        _seeds.append(seed)
        try:
            yield
        finally:
            _seeds.pop()


def seeded(position: int, op: Any, *args: Any, **kwargs: Any) -> Any:
    """`op`, as the one before which `position` ops of the model have drawn."""
    if not _seeds:
        return op(*args, **kwargs)
    with _Draws(_seeds[-1], position):
        return op(*args, **kwargs)


def is_random(node: fx.Node) -> bool:
    """Whether the op draws when it runs; dropout that drops nothing does not."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) and not drops_nothing(node)
