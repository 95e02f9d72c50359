"""A Transformers module that the user gave, run for a moment the way the IPU host runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .build import PLAIN_OUTPUT
from .table import switches

if TYPE_CHECKING:
    from torch import nn

HOST: Mapping[str, object] = {
    **PLAIN_OUTPUT,
    "_attn_implementation": "eager",
}
"""An IPU has no fused attention."""


@contextmanager
def as_planned(module: nn.Module, *, training: bool) -> Iterator[tuple[str, ...]]:
    """Eager attention, no cache and, in training, neutral switches; yields what was changed of the latter in words.

    Nothing happens to a module without a Transformers configuration. All is put back afterwards.
    """
    before: list[tuple[Any, str, object]] = []
    warnings: dict[str, None] = {}
    wanted = {**HOST, **({s.field: s.neutral for s in switches()} if training else {})}
    reasons = {s.field: s.why for s in switches()}
    for config in _configs(module):
        before += [(config, name, getattr(config, name)) for name in wanted if hasattr(config, name)]
    try:
        for config, name, value in before:
            if value != wanted[name]:
                setattr(config, name, wanted[name])
                if name in reasons:
                    warnings[f"{name} was {value!r}; planned with {wanted[name]!r}, because {reasons[name]}."] = None
        yield tuple(warnings)
    finally:
        for config, name, value in reversed(before):
            setattr(config, name, value)


def _configs(module: nn.Module) -> list[Any]:
    """Every configuration that a part of the module reads, each once."""
    from transformers import PretrainedConfig

    found = {id(c): c for m in module.modules() if isinstance(c := getattr(m, "config", None), PretrainedConfig)}
    return list(found.values())
