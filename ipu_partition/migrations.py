"""Plan documents of earlier schema versions, brought up to this one step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from .errors import UsageError

SCHEMA_VERSION: Final = 3
FINGERPRINT = "fingerprint"
FIRST_SEALED = 2
"""The first version whose documents carry their own fingerprint."""
FINGERPRINTED = 2
"""The version in whose words a fingerprint is taken: what 3 adds is left out of it, or where nothing is said by it, so
that what names a plan by its fingerprint stays true of the plan brought up to 3."""
LATER: Mapping[int, frozenset[str]] = {2: frozenset({FINGERPRINT, "basis"}), 3: frozenset({"verified"})}
"""Keys that came with a version."""


def migrated(data: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """`data` in the words of this version. UsageError where its version is none that is known."""
    version = version_of(data, origin)
    later = frozenset[str]().union(*(names for since, names in LATER.items() if since > version))
    if not later.isdisjoint(data):
        raise UsageError(
            f"{origin} was edited: a document of schema_version {version} has no "
            f"{min(later.intersection(data))!r}. Make the plan again."
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


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """3 says what was proved of the plan; of a plan of version 2 nothing was."""
    return {**data, "verified": None}


_STEPS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
