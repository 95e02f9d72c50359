"""Reading a configuration that others wrote, as leniently as its meaning allows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..document import describe, read_object
from ..errors import UsageError
from ..ipu_config import CONFIG_NAME, Fields
from ..plan_parts import Finding
from .legacy import translated

_WHAT = "an ipu_config.json of optimum-graphcore"
_LARGEST_FILE_BYTES = 1 << 20

Source = str | os.PathLike[str] | Mapping[str, Any] | Fields
"""A file, a folder with `ipu_config.json`, its contents, or a configuration."""


@dataclass(frozen=True, slots=True)
class Handwritten:
    """What a file says, in the words of 0.7.1 and with the defaults filled in."""

    origin: str
    fields: Fields
    given: frozenset[str]
    """Fields that are in the file and not null."""
    findings: tuple[Finding, ...]
    """What was translated."""


def read(source: Source, pod: str | None = None) -> Handwritten:
    """`pod` chooses the entry where values are tables by machine. UsageError where `source` is no configuration."""
    if isinstance(source, Fields):
        return _handwritten("the configuration", source.model_dump(mode="json"), pod)
    if isinstance(source, Mapping):
        return _handwritten("the configuration", source, pod)
    if isinstance(source, str | os.PathLike):
        file = _file(os.fspath(source))
        return _handwritten(str(file), contents(file), pod)
    raise UsageError(f"The configuration is a {type(source).__name__}, expected a file, a folder or a mapping.")


def contents(file: Path) -> dict[str, Any]:
    """The object in a file of the size that a configuration may have. UsageError where there is none."""
    return read_object(file, _WHAT, _LARGEST_FILE_BYTES)


def _file(name: str) -> Path:
    if not name:
        raise UsageError(f"No configuration was named; expected {_WHAT}, or a folder that holds it.")
    try:
        path = Path(name)
        file = path / CONFIG_NAME if path.is_dir() else path
        regular, size = file.is_file(), file.stat().st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{name} cannot be read ({reason}); expected {_WHAT}, or a folder that holds it.") from error
    if not regular or size > _LARGEST_FILE_BYTES:
        raise UsageError(f"{file} is no file of at most {_LARGEST_FILE_BYTES} bytes; expected {_WHAT}.")
    return file


def _handwritten(origin: str, data: Mapping[str, Any], pod: str | None) -> Handwritten:
    values, found = translated(data, pod)
    try:
        fields = Fields.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{origin} is not {_WHAT}: {describe(error)}.") from error
    given = frozenset(key for key, value in values.items() if value is not None)
    return Handwritten(origin, fields, given, tuple(found))
