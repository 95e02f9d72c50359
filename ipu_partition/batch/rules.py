"""What an answer rests on beside the request: everything that selects, plans and writes, and not its cost alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ..basis import HERE, planners_folder, sources
from ..document import canonical_json, digest


@cache
def rules() -> str:
    """16 hex digits of the sources and data of `ipu_partition` and `planners`, the numbers of machines apart."""
    return rules_of(HERE, planners_folder())


def rules_of(*packages: Path) -> str:
    """16 hex digits of the sources and data in these folders."""
    found = {
        f"{package.name}/{path}": hashlib.sha256(content).hexdigest()
        for package in packages
        for name in _rooms(package)
        for path, content in sources(package, name)
    }
    return digest(canonical_json(found))


def _rooms(package: Path) -> Iterator[str]:
    return (child.name for child in package.iterdir() if child.is_dir() or child.suffix == ".py")
