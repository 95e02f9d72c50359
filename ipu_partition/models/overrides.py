"""Changes the user makes to a configuration, by field name."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import UsageError
from ..families import config_fields
from .limits import check_fields, check_nesting

_PYTHON_WORDS: Mapping[str, object] = {"True": True, "False": False, "None": None}
UNPLANNED = frozenset({"dtype", "torch_dtype"})
"""Fields that change nothing here: the precision of a plan is that of the workload."""
_LABELS = ("id2label", "label2id")


def parse(overrides: Mapping[str, object]) -> dict[str, Any]:
    """Values as JSON would read them (`6`, `false`, `[3, 3]`), and as text where it cannot.

    Raises:
        UsageError: a value no configuration can hold, or one out of bounds.
    """
    values = {name: _value(name, value) for name, value in overrides.items()}
    check_nesting(values, "the configuration override")
    _check_finite(values)
    check_fields(values, "the configuration override")
    return values


def canonical(fields: Mapping[str, Any], config_class: type) -> dict[str, Any]:
    """The fields under the names the class keeps them by (`num_hidden_layers` of GPT-2 is `n_layer`)."""
    aliases: Mapping[str, str] = getattr(config_class, "attribute_map", {})
    plain = {name: value for name, value in fields.items() if name not in aliases}
    return plain | {aliases[name]: value for name, value in fields.items() if name in aliases}


def merge(fields: Mapping[str, Any], overrides: Mapping[str, Any], config_class: type) -> dict[str, Any]:
    """`fields` with `overrides` on top; a new number of labels takes the old label names away."""
    kept = canonical(fields, config_class)
    changes = canonical(overrides, config_class)
    if "num_labels" in changes:
        kept = {name: value for name, value in kept.items() if name not in _LABELS}
    return kept | changes


def check_known(overrides: Mapping[str, Any], config_class: type, present: Mapping[str, Any]) -> None:
    """Raises: UsageError for a name that the class, the configuration at hand and the classes on the IPU host do not
    know."""
    host = config_fields(str(getattr(config_class, "model_type", "")))
    known = (_known_names(config_class) | {str(name) for name in present} | host) - UNPLANNED
    for name in overrides:
        if name not in known or name.startswith("_"):
            close = get_close_matches(name, sorted(known), n=3)
            near = f" Did you mean {' or '.join(close)}?" if close else " Its fields are those of its config.json."
            raise UsageError(f"{config_class.__name__} has no field {name!r}.{near}")


def _value(name: str, value: object) -> object:
    if not isinstance(value, str):
        _check_plain(name, value)
        return list(value) if isinstance(value, tuple) else value
    if value in _PYTHON_WORDS:
        return _PYTHON_WORDS[value]
    try:
        parsed: object = json.loads(value)
    except ValueError:
        return value
    except RecursionError:
        raise UsageError(f"The value of {name!r} is nested too deeply, expected a number, word or list.") from None
    return parsed


def _check_plain(name: str, value: object) -> None:
    if value is not None and not isinstance(value, (bool, int, float, list, tuple, Mapping)):
        raise UsageError(f"The value of {name!r} is a {type(value).__name__}, expected a number, word or list.")


def _check_finite(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"The value of {name!r} is nothing JSON can say ({error}).") from None


def _known_names(config_class: type) -> set[str]:
    names = set(getattr(config_class, "attribute_map", {}))
    if dataclasses.is_dataclass(config_class):
        names |= {field.name for field in dataclasses.fields(config_class)}
    for base in config_class.__mro__:
        names |= {name for name, value in vars(base).items() if isinstance(value, property) and value.fset is not None}
        if "__init__" in vars(base) and base is not object:
            names |= set(inspect.signature(vars(base)["__init__"]).parameters) - {"self", "args", "kwargs"}
    return {name for name in names if not name.startswith("_")}
