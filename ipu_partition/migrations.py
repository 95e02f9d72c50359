"""Plan documents of earlier schema versions, brought up to this one step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .errors import UsageError

SCHEMA_VERSION: Final = 2
FINGERPRINT = "fingerprint"
FIRST_SEALED = 2
"""The first version whose documents carry their own fingerprint."""
LATER = frozenset({FINGERPRINT, "basis"})
"""Keys that came with it."""


def migrated(data: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """`data` in the words of this version. UsageError where its version is none that is known."""
    version = version_of(data, origin)
    if version < FIRST_SEALED and not LATER.isdisjoint(data):
        raise UsageError(
            f"{origin} was edited: a document of schema_version {version} has no "
            f"{min(LATER.intersection(data))!r}. Make the plan again."
        )
    out = dict(data)
    for step in range(version, SCHEMA_VERSION):
        out = _STEPS[step](out)
        out["schema_version"] = step + 1
    return out


def version_of(data: Mapping[str, Any], origin: str) -> int:
    """The schema version of a document; one that names none is not ours."""
    version = data.get("schema_version")
    if type(version) is not int or version < 1:
        raise UsageError(
            f"{origin} is not a plan written by ipu-partition: its schema_version is {ascii(version)[:60]}, expected "
            f"a number from 1 to {SCHEMA_VERSION}. Make the plan again."
        )
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"{origin} has schema_version {version if version < 10**6 else 'beyond a million'}, this ipu-partition "
            f"reads up to {SCHEMA_VERSION}; upgrade it."
        )
    return version


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """2 says what the numbers rest on; of a plan of version 1 that is not known."""
    return {**data, "basis": None}


_STEPS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
