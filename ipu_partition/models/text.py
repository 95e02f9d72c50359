"""Lengths of text, in tokens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .context import Context, count, field
from .tasks import parameters

if TYPE_CHECKING:
    from torch import nn

_DEFAULT_LENGTH = 128
"""For a class that takes text in a task that says no length."""


def sequence(at: Context) -> int:
    """Tokens of the (encoder's) input. Raises: UsageError where the model has fewer positions."""
    positions = count(field(at.config, "max_position_embeddings"))
    if positions is None and "decoder_input_ids" not in parameters(at.model_class):
        positions = count(field(at.config, "max_target_positions"))
    offset = _position_offset(at.model_class, at.config)
    why = f" ({positions} less {offset} that padding takes)" if offset else ""
    limit = None if positions is None else positions - offset
    return _within(at, "sequence_length", at.shapes.sequence_length, at.task.sequence_length, limit, why)


def target(at: Context) -> int:
    """Tokens of the decoder. Raises: UsageError as :func:`sequence`."""
    limit = count(field(at.config, "max_target_positions")) or count(field(at.config, "max_position_embeddings"))
    return _within(at, "target_length", at.shapes.target_length, at.task.target_length, limit, "")


def _within(at: Context, option: str, wish: int | None, default: int | None, limit: int | None, why: str) -> int:
    if wish is None:
        wanted = _DEFAULT_LENGTH if default is None else default
        return wanted if limit is None else max(1, min(wanted, limit))
    if limit is not None and wish > limit:
        raise UsageError(f"{option} is {wish}, but {at.name} has {limit} positions{why}; ask for at most {limit}.")
    return wish


def _position_offset(model_class: type[nn.Module], config: Any) -> int:
    """Positions that are never used because position ids start after that of padding, as in RoBERTa.

    The modelling files of such models define `create_position_ids_from_input_ids`.
    """
    pad = getattr(config, "pad_token_id", None)
    modules = [vars(sys.modules[base.__module__]) for base in model_class.__mro__ if base.__module__ in sys.modules]
    owners = [value for names in modules for value in list(names.values()) if isinstance(value, type)]
    name = "create_position_ids_from_input_ids"
    starts_late = any(name in names for names in modules) or any(name in vars(owner) for owner in owners)
    return pad + 1 if starts_late and isinstance(pad, int) and pad >= 0 else 0
