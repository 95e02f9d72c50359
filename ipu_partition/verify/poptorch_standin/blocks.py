"""Blocks, as graphcore/poptorch:python/ops.py makes them."""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

from .errors import Error


class StageManager(Protocol):
    """What is told about every block begun, and about the ops that rules look at."""

    checkpoints: list[str]
    serialized: list[Any]
    stack: list[str]

    def begin(self, user_id: str | None, ipu_id: int | None) -> None: ...

    def end(self) -> None: ...

    def next_auto_id(self) -> str: ...

    def reset_auto_ids(self) -> None: ...


class BlockHook:
    """The forward pre-hook that begins a block; does nothing outside a compilation.

    An id that is None is drawn once and kept; one that is "" is drawn anew at every call.
    """

    def __init__(self, user_id: str | None, ipu_id: int | None) -> None:
        self._user_id = user_id
        self._ipu_id = ipu_id

    def __call__(self, module: torch.nn.Module, inputs: Any) -> None:
        self.begin()

    def begin(self) -> None:
        manager = Block._stages_manager
        if manager is not None:
            if self._user_id is None:
                self._user_id = manager.next_auto_id()
            manager.begin(self._user_id, self._ipu_id)

    def __repr__(self) -> str:
        return f"BeginBlock(user_id={self._user_id},ipu_id={self._ipu_id})"


class LegacyBeginBlockFn:
    """What BeginBlock makes of a callable that is no module: a wrapper that begins the block at every call."""

    def __init__(self, layer_to_call: Callable[..., Any], user_id: str | None, ipu_id: int | None) -> None:
        self._layer_to_call = layer_to_call
        self._hook = BlockHook(user_id, ipu_id)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._hook.begin()
        return self._layer_to_call(*args, **kwargs)


def BeginBlock(layer_to_call: Any, user_id: str | None = None, ipu_id: int | None = None) -> Any:
    """Begin a block at every call of a module; it ends where the next one begins. Returns the same module.

    Ids are taken as they are. Raises Error for a module that has a block, and for what is neither module nor callable.
    """
    if not isinstance(layer_to_call, torch.nn.Module):
        if callable(layer_to_call):
            return LegacyBeginBlockFn(layer_to_call, user_id, ipu_id)
        raise Error("module is not an instance of torch.nn.Module or function.")
    if any(isinstance(hook, BlockHook) for hook in layer_to_call._forward_pre_hooks.values()):
        raise Error("module has already been assigned to a block.")
    layer_to_call.register_forward_pre_hook(BlockHook(user_id, ipu_id))
    return layer_to_call


def removeBlocks(module: torch.nn.Module) -> None:
    """Take the blocks off `module` and all modules in it."""
    for child in module.modules():
        for key in [k for k, hook in child._forward_pre_hooks.items() if isinstance(hook, BlockHook)]:
            del child._forward_pre_hooks[key]


class Block:
    """`with Block(user_id, ipu_id)`: leaving it leaves no block active, not even an outer one."""

    _stages_manager: StageManager | None = None

    def __init__(self, user_id: str | None = None, ipu_id: int | None = None) -> None:
        self._user_id = user_id
        self._ipu_id = ipu_id

    def __enter__(self) -> None:
        if Block._stages_manager is not None:
            Block._stages_manager.begin(self._user_id, self._ipu_id)

    def __exit__(self, *error: object) -> None:
        if Block._stages_manager is not None:
            Block._stages_manager.end()

    @staticmethod
    def start(user_id: str | None = None, ipu_id: int | None = None) -> None:
        """Begin a block that has no end of its own."""
        Block(user_id, ipu_id).__enter__()

    @staticmethod
    def useAutoId() -> None:
        """Start the automatic ids again from 0."""
        if Block._stages_manager is not None:
            Block._stages_manager.reset_auto_ids()


def BlockFunction(
    user_id: str | None = None, ipu_id: int | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator that runs a function inside `with Block(...)`; it loses the function's name, as PopTorch's does."""

    def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with Block(user_id, ipu_id):
                return function(*args, **kwargs)

        return wrapper

    return decorator
