"""Writing several files so that either all of them are there or nothing changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import UsageError

_FORBIDDEN = frozenset({"config.json"})
"""The model's own configuration: never ours to write."""


def write_all(directory: str | Path, texts: Mapping[str, str], keep: Iterable[str] = ()) -> tuple[Path, ...]:
    """Write every text under its file name into `directory` (made if missing) and return the paths, by name.

    Files that exist are replaced, except those in `keep`, which stay and are not returned. On any failure, an
    interruption included, the folder is as it was before.
    Raises UsageError where the folder cannot be written, ValueError for a name that is no plain file name.
    """
    folder = Path(directory)
    names, kept = sorted(texts), frozenset(keep)
    _check_names(names)
    made = _missing_parents(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [name for name in names if name not in kept or not os.path.lexists(folder / name)]
        _check_targets(folder, names)
        with tempfile.TemporaryDirectory(prefix=".ipu-partition-", dir=folder) as scratch:
            _replace_all(folder, Path(scratch), names, texts)
    except BaseException as error:
        _remove_empty(made)
        if isinstance(error, (OSError, ValueError)):
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{folder} cannot be written ({reason}); expected a folder to write into.") from error
        raise
    return tuple(folder / name for name in names)


def check_directory(directory: str | Path) -> None:
    """UsageError where `directory` can never be written to, before long work is done for it. Changes nothing."""
    if not str(directory):
        raise UsageError("The folder to write into has no name; give one, or '.' for this one.")
    folder = Path(directory)
    existing = next((p for p in (folder, *folder.absolute().parents) if _exists(p)), None)
    if existing is None or not existing.is_dir():
        raise UsageError(f"{folder} cannot be written ({existing} is no folder); expected a folder to write into.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written (permission denied); expected a folder to write into.")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)[:80]!r} is no name for a folder ({error.__class__.__name__}).") from error


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if name in ("", ".", "..") or Path(name).name != name or name.lower() in _FORBIDDEN:
            raise ValueError(f"{name!r} is not a file name this may write.")


def _check_targets(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(21, f"{name} is a folder")


def _replace_all(folder: Path, scratch: Path, names: list[str], texts: Mapping[str, str]) -> None:
    """New texts and copies of the old files are complete in `scratch` before the first file is replaced."""
    for name in names:
        (scratch / f"new-{name}").write_text(texts[name], encoding="utf-8", newline="\n")
        if os.path.lexists(folder / name):
            shutil.copy2(folder / name, scratch / f"old-{name}", follow_symlinks=False)
    try:
        for name in names:
            os.replace(scratch / f"new-{name}", folder / name)
    except BaseException:
        _roll_back(folder, scratch, names)
        raise


def _roll_back(folder: Path, scratch: Path, names: list[str]) -> None:
    for name in names:
        if (scratch / f"new-{name}").exists():
            continue
        if os.path.lexists(scratch / f"old-{name}"):
            os.replace(scratch / f"old-{name}", folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _missing_parents(folder: Path) -> list[Path]:
    """The folders that making `folder` would make, innermost first."""
    try:
        return [path for path in (folder, *folder.parents) if not path.exists()]
    except (OSError, ValueError):
        return []


def _remove_empty(made: list[Path]) -> None:
    for path in made:
        try:
            path.rmdir()
        except (OSError, ValueError):
            return
