"""Blocks, as graphcore/poptorch:python/ops.py makes them."""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

from typing import Any, Protocol

import torch

from .errors import Error


class StageManager(Protocol):
    """What is told about every block begun."""

    auto_ids: int
    checkpoints: list[str]
    stack: list[str]

    def begin(self, user_id: str | None, ipu_id: int | None) -> None: ...

    def end(self) -> None: ...

    def next_auto_id(self) -> str: ...


class BlockHook:
    """The forward pre-hook that begins a block; does nothing outside a compilation."""

    def __init__(self, user_id: str | None, ipu_id: int | None) -> None:
        self._user_id = user_id
        self._ipu_id = ipu_id

    def __call__(self, module: torch.nn.Module, inputs: Any) -> None:
        manager = Block._stages_manager
        if manager is not None:
            if self._user_id is None:
                self._user_id = manager.next_auto_id()
            manager.begin(self._user_id, self._ipu_id)


def BeginBlock(module: torch.nn.Module, user_id: str | None = None, ipu_id: int | None = None) -> torch.nn.Module:
    """Begin a block at every call of `module`; it ends where the next one begins."""
    if not isinstance(module, torch.nn.Module):
        raise Error("module is not an instance of torch.nn.Module or function.")
    if any(isinstance(hook, BlockHook) for hook in module._forward_pre_hooks.values()):
        raise Error("module has already been assigned to a block.")
    module.register_forward_pre_hook(BlockHook(user_id, ipu_id))
    return module


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
            Block._stages_manager.auto_ids = 0
