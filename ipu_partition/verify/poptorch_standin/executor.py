"""`trainingModel` and `inferenceModel`: what they refuse, and a compilation that checks the rules and stops there.

Source: graphcore/poptorch:python/_poplar_executor.py.
"""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

from typing import Any

import torch

from .errors import Error
from .options import Options
from .placement import Recording, recording
from .rules import violations


class PoplarExecutor:
    """A model with options, which are frozen. Made by `trainingModel` and `inferenceModel`."""

    def __init__(self, model: torch.nn.Module, options: Options | None, training: bool) -> None:
        self.options = Options() if options is None else options
        if not isinstance(self.options, Options):
            raise Error(f"options must be an instance of poptorch.Options, got {options!r}")
        if not training and self.options.gradient_accumulation != 1:
            raise Error("Gradient accumulation must be left to its default value (1) for inference")
        self.options.freeze()
        self.model = model
        self.training = training
        self.recording: Recording | None = None

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Run one micro-batch of the inputs; Error where they cannot be divided, or a rule is broken."""
        options = self.options
        parts = options.device_iterations * options.replication_factor * options.gradient_accumulation
        with recording(self.model, options) as record:
            self.model(*_narrow(args, parts), **_narrow(kwargs, parts))
        if broken := violations(record, options, self.training):
            raise Error("; ".join(f"{violation.rule}: {violation.text}" for violation in broken))
        self.recording = record

    def isCompiled(self) -> bool:
        return self.recording is not None

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        raise Error("running a compiled model needs the Poplar SDK; compile(...) checks where it would be placed.")


def trainingModel(model: torch.nn.Module, options: Options | None = None, optimizer: Any = None) -> PoplarExecutor:
    return PoplarExecutor(model, options, training=True)


def inferenceModel(model: torch.nn.Module, options: Options | None = None) -> PoplarExecutor:
    return PoplarExecutor(model, options, training=False)


def _narrow(value: Any, parts: int) -> Any:
    """The first of `parts` micro-batches of every tensor; Error where the batch is no multiple of that."""
    if isinstance(value, torch.Tensor):
        size = value.shape[0] if value.dim() else 1
        if size % parts:
            raise Error(
                f"The batch dimension of an input is {size}, expected a multiple of {parts}: device iterations x "
                "replication factor x gradient accumulation."
            )
        return value[: size // parts] if value.dim() else value
    if isinstance(value, dict):
        return {key: _narrow(item, parts) for key, item in value.items()}
    return type(value)(_narrow(item, parts) for item in value) if isinstance(value, (list, tuple)) else value
