"""Names of folders for models whose names come from outside: safe, readable, and no two the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..document import canonical_json, digest
from ..errors import UsageError
from ..models.builtin import find
from .entries import Entry

LONGEST = 80
"""Characters before `-ipu`; the Hub takes 96 in all."""
_SAFE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""What the Hub accepts as the name of a repository, `--` and `..` left aside."""
_REPOSITORY = re.compile(r"[^/\\~.][^/\\]*/[^/\\]+|[^/\\~.][^/\\]*")


def folder_names(entries: Sequence[Entry]) -> list[str]:
    """A name for each entry, `<model>-ipu`, that no other entry of the list has on any file system (else UsageError).

    A built-in model gives the last part of its name, another Hub id `owner_name`, a folder its last part. Options
    follow as `-key-value`, or a digest where that makes no name. A digest ends what would be the name of several.
    """
    plain = [_plain(entry) for entry in entries]
    times = Counter(name.casefold() for name in plain)
    found = [
        _with_digest(name, entry) if times[name.casefold()] > 1 else name
        for name, entry in zip(plain, entries, strict=True)
    ]
    names: dict[str, Entry] = {}
    for name, entry in zip(found, entries, strict=True):
        if (other := names.setdefault(name.casefold(), entry)) is not entry:
            raise UsageError(f"{entry.origin} and {other.origin} would share the folder {name}-ipu; rename one.")
    return [f"{name}-ipu" for name in found]


def _plain(entry: Entry) -> str:
    stem = _stem(entry)
    name = "-".join([stem, *(f"{key}-{value}" for key, value in sorted(entry.options.items()))])
    return name if _is_safe(name) else _with_digest(stem, entry)


def _stem(entry: Entry) -> str:
    if "revision" not in entry.options and (built_in := find(entry.model)) is not None:
        return built_in.name.split("/")[-1]
    try:
        there = Path(entry.model).expanduser()
        if there.exists() or not _REPOSITORY.fullmatch(entry.model):
            there = there.absolute()
            return (there.parent if there.name == "config.json" else there).name
    except (OSError, ValueError, RuntimeError):
        pass
    return entry.model.replace("/", "_")


def _is_safe(name: str) -> bool:
    return bool(_SAFE.fullmatch(name)) and len(name) <= LONGEST and "--" not in name and ".." not in name


def _with_digest(name: str, entry: Entry) -> str:
    kept = re.sub(r"[^A-Za-z0-9_]+", "-", name)[: LONGEST - 9].strip("-_")
    identity = canonical_json({"model": entry.model, "options": dict(entry.options)})
    return f"{kept or 'model'}-{digest(identity)[:8]}"
