"""Machine files: TOML or JSON from outside, read strictly. `parse` gives the form."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from planners.checks import brief

from ..basis import machine_numbers
from ..document import parse_object, read_bytes
from ..errors import SAID, UsageError, one_line
from .kinds import KINDS, PRECISIONS, TorchDevice, TorchMachine

MOST_FILE_BYTES = 1 << 16
MOST_LINE = 1000
"""Characters; a reader of TOML takes ever longer for a long key."""
MOST_DEVICES = 64
"""What planners place stages on."""
MOST_MEMORY_BYTES = 1 << 50
"""Of one device; planners count no further exactly."""
MOST_NUMBER = 1e30
MOST_CHARACTERS = 100
WHAT = "a machine file"
_TOP = ("name", "count", "device", "devices")
_NUMBERS = ("bytes_per_s", "op_overhead_us", "link_bytes_per_s", "link_latency_us")
_KEYS = ("kind", "memory_gib", "memory_bytes", "flops_per_s", *_NUMBERS, "reserved_bytes")


def read_machine(path: str | os.PathLike[str]) -> TorchMachine:
    """The machine that the file describes: JSON where its name ends so or its text begins with a brace, else TOML.

    UsageError, which names the key, for anything that is not as :func:`parse` says.
    """
    file, data = Path(path), read_bytes(Path(path), WHAT, MOST_FILE_BYTES)
    if file.suffix.lower() == ".json" or (file.suffix.lower() != ".toml" and data.lstrip().startswith(b"{")):
        return parse(parse_object(data, str(file), WHAT, MOST_FILE_BYTES), str(file))
    if any(len(line) > MOST_LINE for line in data.splitlines()):
        raise UsageError(f"{file} has a line of more than {MOST_LINE} characters; expected {WHAT}.")
    try:
        found = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML ({one_line(str(error), SAID)}); expected {WHAT}.") from error
    return parse(found, str(file))


def parse(data: Mapping[str, Any], origin: str) -> TorchMachine:
    """`name`, and either `count` equal devices as `device` says, or `devices`, one by one.

    A device has `kind` (cuda or cpu), `memory_gib` or `memory_bytes`, `flops_per_s` (a number, or one each for float32
    and float16), `bytes_per_s`, and where there are several `link_bytes_per_s`; `op_overhead_us`, `link_latency_us` and
    `reserved_bytes` are 0 where they are left out. UsageError for anything else; `origin` says where it comes from.
    """
    _known(data, _TOP, origin, "")
    name = _name(data.get("name"), origin)
    if ("device" in data) == ("devices" in data):
        both = "both are" if "device" in data else "neither is"
        raise UsageError(f"{origin}: {both} there, expected either `device` (with `count`) or a list `devices`.")
    if "devices" in data:
        if "count" in data:
            raise UsageError(f"{origin}: count is there beside `devices`; it belongs to `device`. Leave it out.")
        return TorchMachine(name, _listed(data["devices"], origin))
    count = data.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_DEVICES:
        raise UsageError(f"{origin}: count is {brief(count)}, expected a whole number from 1 to {MOST_DEVICES}.")
    return TorchMachine(name, (_device(data["device"], "device", origin, count > 1),) * count)


def _listed(value: object, origin: str) -> tuple[TorchDevice, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_DEVICES:
        found = f"{len(value)} of them" if isinstance(value, list) else brief(value)
        raise UsageError(f"{origin}: devices is {found}, expected a list of 1 to {MOST_DEVICES} devices.")
    return tuple(_device(d, f"devices[{i}]", origin, len(value) > 1) for i, d in enumerate(value))


def _known(data: object, known: Collection[str], origin: str, owner: str) -> None:
    where = f"{origin}: {owner or 'the file'}"
    if not isinstance(data, Mapping):
        raise UsageError(f"{where} is {brief(data)}, expected a table of {', '.join(known)}.")
    if strangers := [key for key in data if key not in known]:
        raise UsageError(f"{where} has a key {brief(strangers[0])}, expected {', '.join(known)}.")


def _name(value: object, origin: str) -> str:
    fine = isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and value.isprintable()
    if not fine or not isinstance(value, str):
        raise UsageError(
            f"{origin}: name is {brief(value)}, expected a printable text of at most {MOST_CHARACTERS} characters."
        )
    if machine_numbers(value) is not None:
        raise UsageError(f"{origin}: name is {value!r}, which is a kind of IPU. Choose another.")
    return value


def _device(data: Any, owner: str, origin: str, linked: bool) -> TorchDevice:
    _known(data, _KEYS, origin, owner)
    kind = data.get("kind")
    if kind not in KINDS:
        raise UsageError(f"{origin}: {owner}.kind is {brief(kind)}, expected {' or '.join(KINDS)}.")
    if linked and "link_bytes_per_s" not in data:
        raise UsageError(
            f"{origin}: {owner}.link_bytes_per_s is missing, expected bytes per second: there are several devices."
        )
    values = {key: _number(data[key], f"{owner}.{key}", origin, key.endswith("_us")) for key in _NUMBERS if key in data}
    if "bytes_per_s" not in values:
        raise UsageError(f"{origin}: {owner}.bytes_per_s is missing, expected bytes per second of its memory.")
    memory = _memory(data, owner, origin)
    reserved = data.get("reserved_bytes", 0)
    if isinstance(reserved, bool) or not isinstance(reserved, int) or not 0 <= reserved < memory:
        raise UsageError(
            f"{origin}: {owner}.reserved_bytes is {brief(reserved)}, expected a whole number from 0 to less than its "
            f"memory, {memory}."
        )
    rates = _rates(data.get("flops_per_s"), f"{owner}.flops_per_s", origin)
    return TorchDevice(kind=kind, memory_bytes=memory, flops_per_s=rates, reserved_bytes=reserved, **values)


def _number(value: object, name: str, origin: str, zero: bool = False) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        fine = (math.isfinite(value) if isinstance(value, float) else True) and 0 <= value <= MOST_NUMBER
        if fine and (value > 0 or zero):
            return float(value)
    least = "from 0" if zero else "above 0"
    raise UsageError(f"{origin}: {name} is {brief(value)}, expected a number {least} to {MOST_NUMBER:.0e}.")


def _memory(data: Mapping[str, Any], owner: str, origin: str) -> int:
    given = [key for key in ("memory_gib", "memory_bytes") if key in data]
    if len(given) != 1:
        found = "both are there" if given else "is missing"
        raise UsageError(f"{origin}: {owner}.memory_gib or memory_bytes: {found}, expected one of the two.")
    value = _number(data[given[0]], f"{owner}.{given[0]}", origin)
    bytes_ = int(value * (1 << 30 if given[0] == "memory_gib" else 1))
    whole = given[0] == "memory_gib" or isinstance(data["memory_bytes"], int)
    if not whole or not 1 <= bytes_ <= MOST_MEMORY_BYTES:
        raise UsageError(
            f"{origin}: {owner}.{given[0]} is {brief(data[given[0]])}, expected whole bytes, 1 to {MOST_MEMORY_BYTES}."
        )
    return bytes_


def _rates(value: object, name: str, origin: str) -> dict[str, float]:
    if not isinstance(value, Mapping):
        both = _number(value, name, origin)
        return dict.fromkeys(PRECISIONS, both)
    _known(value, PRECISIONS, origin, name)
    if not value:
        raise UsageError(f"{origin}: {name} is empty, expected {' or '.join(PRECISIONS)}.")
    return {key: _number(value[key], f"{name}.{key}", origin) for key in PRECISIONS if key in value}
