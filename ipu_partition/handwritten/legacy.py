"""A published file in the words of optimum-graphcore 0.7.1; everything that was translated is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UsageError
from ..ipu_config import MODES, WILDCARD, IPUConfig
from ..ipu_config.rules import LARGEST
from ..plan_parts import Finding
from .keys import DEPRECATED, MODEL_KEYS, REMOVED, RENAMED
from .pods import without_pods

_FACTORS = tuple(f"{mode}{layer}_serialization_factor" for mode in MODES for layer in ("embedding", "projection"))
_PROPORTIONS = tuple(f"{mode}matmul_proportion" for mode in MODES)
_LEAST_PROPORTION = 0.05
"""Source: graphcore/examples:vision/unet_medical/tensorflow2/README.md."""
_SHOWN = 5

Say = Callable[[str, str, bool], None]
"""(field, text, fatal)"""


def translated(data: Mapping[str, Any], pod: str | None = None) -> tuple[dict[str, Any], list[Finding]]:
    """`data` with the fields of 0.7.1 alone, and what had to be changed. UsageError for what has no meaning at all."""
    if strangers := [key for key in data if not isinstance(key, str)]:
        raise UsageError(f"The configuration has a key {strangers[0]!r}, expected names of fields.")
    _check_numbers(data)
    out, found = without_pods(data, pod)

    def say(field: str, text: str, fatal: bool) -> None:
        found.append(Finding(mode=None, field=field, text=text, fatal=fatal))

    for step in (_rename, _drop, _whole, _ones, _proportions, _refused):
        step(out, say)
    return out, found


def _check_numbers(data: Mapping[str, Any]) -> None:
    """UsageError for numbers that no field can hold."""
    for key, value in data.items():
        numbers = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
        for number in numbers if key != "seed" else ():
            if isinstance(number, int | float) and not -LARGEST <= number <= LARGEST:
                raise UsageError(f"{key[:80]!r} holds a number that is too large or none at all.")


def _rename(out: dict[str, Any], say: Say) -> None:
    for old, new in RENAMED.items():
        if old in out:
            value = out.pop(old)
            if out.get(new) is None:
                out[new] = value
            say(old, f"{old} is an old name of {new}; 0.7.1 refuses it.", False)


def _drop(out: dict[str, Any], say: Say) -> None:
    unknown = sorted(set(out) - set(IPUConfig.model_fields))
    for key in unknown:
        del out[key]
        if key in DEPRECATED:
            say(key, f"{key} is deprecated and does nothing: {DEPRECATED[key]}.", False)
        elif key in REMOVED:
            say(key, f"{key} belongs to earlier releases ({REMOVED[key]}); 0.7.1 refuses the file. Remove it.", False)
        elif key not in MODEL_KEYS:
            say(key, f"{key[:80]!r} is no field of IPUConfig; optimum-graphcore refuses the file. Remove it.", True)
    if dropped := [key for key in unknown if key in MODEL_KEYS]:
        more = ", ..." if len(dropped) > _SHOWN else ""
        names = ", ".join(dropped[:_SHOWN]) + more
        say(dropped[0], f"Keys of a model's configuration are dropped without a word: {names}.", False)


def _whole(out: dict[str, Any], say: Say) -> None:
    """4.0 for 4, where a count is expected."""
    counts = (
        "replication_factor",
        "ipus_per_replica",
        "iterations",
        "serialization_factor",
        "accumulation_steps",
    )
    for key, value in out.items():
        if key.endswith(counts) and isinstance(value, float) and value.is_integer():
            out[key] = int(value)
            say(key, f"{key} is {value}, and 0.7.1 wants a whole number; read as {int(value)}.", False)


def _ones(out: dict[str, Any], say: Say) -> None:
    """Factors of 0 were written for "do not"."""
    for key in _FACTORS:
        if type(out.get(key)) is int and out[key] == 0:
            out[key] = 1
            say(key, f"{key} is 0, and 0.7.1 refuses less than 1; read as 1, nothing is serialised.", False)


def _proportions(out: dict[str, Any], say: Say) -> None:
    for key in _PROPORTIONS:
        value = out.get(key)
        if key != _PROPORTIONS[0] and not value:
            _missing(out, key, say)
            continue
        if isinstance(value, list) and len(value) == 1 and _ipus(out, key) != 1:
            out[key] = value = value[0]
            say(key, f"{key} is one value in a list for several IPUs, which 0.7.1 refuses; read as {value!r}.", False)
        if isinstance(value, list):
            if any(type(one) is int for one in value):
                say(key, f"{key} holds whole numbers, on which 0.7.1 fails later; read as floats.", False)
            out[key] = [_legal(key, one, say) for one in value]
        elif value is not None:
            if type(value) is int:
                say(key, f"{key} is {value}, on which 0.7.1 fails later; it wants {float(value)}.", False)
            out[key] = _legal(key, value, say)


def _missing(out: dict[str, Any], key: str, say: Say) -> None:
    """0.7.1 reads whatever is empty as if it were not there."""
    if out.get(key) in (0, []) and out[key] is not False:
        say(key, f"{key} is {out.pop(key)}, which 0.7.1 takes for missing; it follows {_PROPORTIONS[0]}.", False)


def _refused(out: dict[str, Any], say: Say) -> None:
    """Source: optimum/graphcore/ipu_configuration.py (0.7.1), `_to_options`."""
    if out.get("execute_encoder_on_cpu_for_generation"):
        key = "execute_encoder_on_cpu_for_generation"
        say(key, f"{key} is true; 0.7.1 raises NotImplementedError. Set it to false.", True)


def _ipus(out: Mapping[str, Any], key: str) -> object:
    prefix = key.removesuffix("matmul_proportion")
    layers = out.get(f"{prefix}layers_per_ipu") or out.get("layers_per_ipu") or [WILDCARD]
    return out.get(f"{prefix}ipus_per_replica") or (len(layers) if isinstance(layers, list) else 1)


def _legal(key: str, value: Any, say: Say) -> Any:
    """A proportion that PopLibs takes. Other types than numbers are left to be refused."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not 0 < value <= 1:
        nearest = 1.0 if value > 1 else _LEAST_PROPORTION
        say(key, f"{key} is {value:g}, expected above 0 and up to 1. Predicted with {nearest}.", True)
        return nearest
    if value < _LEAST_PROPORTION:
        say(key, f"{key} is {value:g}; below {_LEAST_PROPORTION} control code grows and may run out of memory.", False)
    return float(value)
