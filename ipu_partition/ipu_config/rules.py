"""Rules that one field alone cannot break: those of the original, and those it leaves to fail later or never."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..document import short
from ..plan_parts import Finding, ModeName
from ..request import MAX_IPUS
from .fields import MODES, WILDCARD, Fields

LARGEST = 2**31 - 1
_MOST_SEED = 2**64 - 1
"""PopTorch keeps it in 64 bits without a sign. Source: graphcore/poptorch:poptorch/source/SessionOptionsParser.cpp."""


def mode_problems(config: Fields, mode: str) -> list[tuple[str, str]]:
    """(field, what is wrong) where fields of one mode contradict each other; `mode` is the prefix of its fields."""
    ipus = getattr(config, f"{mode}ipus_per_replica")
    layers = getattr(config, f"{mode}layers_per_ipu")
    proportion = getattr(config, f"{mode}matmul_proportion")
    found = []
    if isinstance(proportion, list) and len(proportion) != ipus:
        found.append(_length(f"{mode}matmul_proportion", proportion, mode, ipus))
    if WILDCARD not in layers and len(layers) != ipus:
        found.append(_length(f"{mode}layers_per_ipu", layers, mode, ipus))
    for layer in ("embedding", "projection"):
        found += _split_problems(config, mode, layer, ipus)
    return found


def _length(name: str, values: list[Any], mode: str, ipus: int) -> tuple[str, str]:
    return name, f"{name} has {len(values)} values, {mode}ipus_per_replica is {ipus}"


def _split_problems(config: Fields, mode: str, layer: str, ipus: int) -> list[tuple[str, str]]:
    name, factor = f"{mode}serialized_{layer}_splits_per_ipu", f"{mode}{layer}_serialization_factor"
    splits = getattr(config, name)
    if splits is None:
        return []
    found = []
    if getattr(config, factor) is not None:
        found.append((name, f"{name} and {factor} are both given; keep one"))
    if len(splits) != ipus:
        found.append(_length(name, splits, mode, ipus))
    busy = [index for index, count in enumerate(splits) if count]
    if not busy or busy[-1] - busy[0] + 1 != len(busy):
        found.append((name, f"{name} is {splits}, expected at least one split and no zero between splits"))
    return found


def strict_problems(config: Fields) -> Iterator[str]:
    """What the original accepts though it cannot run, or does something else than it says."""
    for mode in MODES:
        if (ipus := getattr(config, f"{mode}ipus_per_replica")) > MAX_IPUS:
            yield f"{mode}ipus_per_replica is {ipus}, one process can hold {MAX_IPUS} IPUs"
        if not _is_json(getattr(config, f"{mode}parallelize_kwargs")):
            yield f"{mode}parallelize_kwargs holds what JSON cannot say; expected texts, numbers, lists and objects"
    yield from _number_problems(config)
    if "\0" in config.executable_cache_dir or not _is_json(config.executable_cache_dir):
        yield "executable_cache_dir is no name for a folder"
    if config.execute_encoder_on_cpu_for_generation:
        yield "execute_encoder_on_cpu_for_generation is true, for which 0.7.1 raises NotImplementedError; leave it out"


def doubts(config: Fields) -> Iterator[Finding]:
    """What a configuration that is made may not say, and one that is read may where it is not fatal."""
    for mode in MODES:
        yield from _wrong_wildcards(config, mode)
    yield from _too_little_accumulation(config)


def _wrong_wildcards(config: Fields, mode: str) -> Iterator[Finding]:
    """parallelize() refuses them where there are several IPUs, and does not look at them on one."""
    layers, ipus = getattr(config, f"{mode}layers_per_ipu"), getattr(config, f"{mode}ipus_per_replica")
    if WILDCARD in layers and layers != [WILDCARD] and len(layers) != ipus:
        field, name = f"{mode}layers_per_ipu", _mode_name(mode)
        text = (
            f"{field} has {len(layers)} values with wildcards, {mode}ipus_per_replica is {ipus}; expected {ipus} "
            "values, or [-1] for even shares"
        )
        yield Finding(mode=name, field=field, text=text, fatal=ipus > 1)


def _too_little_accumulation(config: Fields) -> Iterator[Finding]:
    """1 is the default, and trainers set it on their command line."""
    field, least = "gradient_accumulation_steps", least_accumulation(config)
    given = config.gradient_accumulation_steps
    if field in config.model_fields_set and given < least:
        text = (
            f"{field} is {given}, and a pipeline with these layers_per_ipu needs at least {least}; give it here or to "
            "the trainer"
        )
        yield Finding(mode="training", field=field, text=text, fatal=given > 1)


def _mode_name(mode: str) -> ModeName:
    return "inference" if mode else "training"


def _number_problems(config: Fields) -> Iterator[str]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        numbers = value if isinstance(value, list) else [value]
        if name != "seed" and any(isinstance(number, int) and number > LARGEST for number in numbers):
            yield f"{name} holds a number above {LARGEST}"
    if config.seed is not None and not 0 <= config.seed <= _MOST_SEED:
        yield f"seed is expected from 0 to {_MOST_SEED}"


def _is_json(value: Any) -> bool:
    """Whether a file gives back exactly `value`."""
    try:
        text = json.dumps(value, allow_nan=False)
        json.dumps(value, ensure_ascii=False).encode()
        return bool(json.loads(text) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def least_accumulation(config: Fields) -> int:
    """Micro-batches per update that training needs at the least, whatever the model: 2 F - 1, F = the IPUs that the
    layers use, IPU 0 included. A head that returns to IPU 0 needs more.

    Source: graphcore/poptorch:popart_compiler/source/Compiler.cpp `initSession`.
    """
    ipus, layers = config.ipus_per_replica, config.layers_per_ipu
    if ipus == 1:
        return 1
    each = layers * ipus if layers == [WILDCARD] else layers
    return 2 * len({0} | {ipu for ipu, count in enumerate(each) if count}) - 1


def raw_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """What is lost once missing fields are filled in: keys that are no fields, and numbers of the wrong kind."""
    for name in data:
        if name not in Fields.model_fields:
            yield _stranger(str(name))
    for mode in MODES:
        yield from _no_proportions(f"{mode}matmul_proportion", data.get(f"{mode}matmul_proportion"))
        name = f"{mode}ipus_per_replica"
        if type(data.get(name, 1)) is not int and data[name] is not None:
            yield f"{name} is {_short(data[name])}, expected a whole number"
    yield from _falsy(data)


def _no_proportions(name: str, value: Any) -> Iterator[str]:
    """Whole numbers too: the original fails on them later."""
    for one in value if isinstance(value, list) else [value]:
        if type(one) is int and one in (0, 1):
            yield f"{name} holds {one}, which is no float; write {float(one)}"
        elif isinstance(one, int | float) and (isinstance(one, int) or not 0 <= one <= 1):
            yield f"{name} holds {_short(one)}, expected floats from 0.0 to 1.0"


def _falsy(data: Mapping[str, Any]) -> Iterator[str]:
    """The original takes whatever is empty for missing."""
    for name, kinds in (("inference_layers_per_ipu", (list,)), ("inference_matmul_proportion", (float, list, int))):
        value = data.get(name)
        if not (value or value is None or isinstance(value, kinds)):
            yield f"{name} is {_short(value)}, expected a list" + (" or a float" if float in kinds else "")


def _stranger(name: str) -> str:
    from ..handwritten.keys import why_not

    return f"{_short(name)} is no field of IPUConfig{why_not(name)}"


def _short(value: Any) -> str:
    return "a huge number" if isinstance(value, int) and abs(value) >= LARGEST else short(value)
