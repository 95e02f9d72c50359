"""A Transformers module that the user gave, run for a moment the way the IPU host runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .build import PLAIN_OUTPUT
from .table import switches, untyings

if TYPE_CHECKING:
    from torch import nn

HOST: Mapping[str, object] = {
    **PLAIN_OUTPUT,
    "_attn_implementation": "eager",
}
"""An IPU has no fused attention."""


@contextmanager
def as_planned(module: nn.Module, *, training: bool, inputs: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Eager attention, no cache and, in training, neutral switches; yields what was changed of the latter in words.

    Modules that keep a switch themselves are changed like configurations. All is put back afterwards.
    """
    before: list[tuple[Any, str, object]] = []
    warnings: dict[str, None] = {}
    wanted = {**HOST, **({s.field: s.neutral for s in switches(inputs)} if training else {})}
    reasons = {s.field: s.why for s in switches()}
    for config in _configs(module):
        before += [(config, name, getattr(config, name)) for name in wanted if hasattr(config, name)]
    before += [(part, name, vars(part)[name]) for part, name in _copies(module) if training and name in wanted]
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


def untying(config: Any) -> str:
    """What would give layers that share weights their own, as the end of a sentence; '' where nothing is known to."""
    for rule in untyings():
        value, wanted = getattr(config, rule.field, None), getattr(config, rule.source, None)
        if isinstance(value, int) and isinstance(wanted, int) and value < wanted:
            return f", or set {rule.field}={wanted} (it is {value}): {rule.why}"
    return ""


def draws_at_random(config: Any, inputs: Collection[str] = ()) -> bool:
    """Whether a switch of the configuration is not neutral."""
    return any(getattr(config, s.field, s.neutral) != s.neutral for s in switches(inputs))


def host_switches(module: nn.Module, inputs: Collection[str] = ()) -> dict[str, float]:
    """What must be set on a model while it trains on an IPU, wherever its configurations and modules have it."""
    configs, copied = _configs(module), {name for _, name in _copies(module)}
    known = [s for s in switches(inputs) if s.field in copied or any(hasattr(config, s.field) for config in configs)]
    return {name: value for switch in known for name, value in switch.sets}


def _copies(module: nn.Module) -> list[tuple[Any, str]]:
    """Modules that keep the value of a switch themselves."""
    names = [s.field for s in switches()]
    return [(m, name) for m in module.modules() for name in names if isinstance(vars(m).get(name), (int, float))]


def _configs(module: nn.Module) -> list[Any]:
    """Every configuration that a part of the module reads, each once."""
    from transformers import PretrainedConfig

    found = {id(c): c for m in module.modules() if isinstance(c := getattr(m, "config", None), PretrainedConfig)}
    return list(found.values())
