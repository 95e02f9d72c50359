"""Where a configuration is read from: a folder, a file, or the Hub."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .builtin import close_names
from .limits import check_fields, check_nesting
from .spec import Source
from .table import limits

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.\-]*(/[\w.\-]+)?")


@dataclass(frozen=True, slots=True)
class Origin:
    """A configuration as it was written, and where."""

    name: str
    source: Source
    fields: Mapping[str, Any]
    folder: str | None = None
    """The folder, or for a model from the Hub its id: where remote code would be found."""
    hub_id: str | None = None
    revision: str | None = None


def locate(model: str, revision: str | None) -> Origin:
    """The configuration that a path or a Hub id names.

    Raises:
        UsageError: nothing is there, or what is there is no acceptable configuration.
    """
    if not model.strip():
        raise UsageError("The model has an empty name. " + _advice(model))
    path = _path(model)
    if _exists(path):
        if revision is not None:
            raise UsageError(f"{model[:100]!r} is on this disk and has no revisions; leave out revision={revision!r}.")
        return _from_disk(path)
    if not _REPOSITORY.fullmatch(model) or ".." in model:
        raise UsageError(
            f"There is no file or folder {model[:100]!r}, and it is no Hub id (`owner/name`). {_advice(model)}"
        )
    return _from_hub(model, revision)


def read_config(path: Path) -> dict[str, Any]:
    """The object in a JSON file, held to the limits on size, nesting and field values.

    Raises:
        UsageError: unreadable, too large, no JSON, no object, or out of bounds.
    """
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(path)!r} is not valid JSON ({_first_line(error)}); expected a config.json.") from None
    if not isinstance(value, dict):
        raise UsageError(
            f"{str(path)!r} holds a JSON {type(value).__name__}, expected an object of configuration fields."
        )
    check_nesting(value, str(path))
    check_fields(value, str(path))
    return value


def _from_disk(path: Path) -> Origin:
    file = path / "config.json" if path.is_dir() else path
    if not _exists(file):
        raise UsageError(
            f"The folder {str(path)!r} holds no config.json; save the model's configuration there, or name its file."
        )
    folder = file.parent.resolve()
    name = folder.name if file.name == "config.json" else file.stem
    return Origin(name or str(folder), "folder", read_config(file), str(folder))


def _from_hub(model: str, revision: str | None) -> Origin:
    from transformers.utils.hub import cached_file

    offline = _offline()
    try:
        file = cached_file(model, "config.json", revision=revision, local_files_only=offline)
    except Exception as error:  # the Hub client raises its own, the HTTP library's and OSError
        raise _missing(model, revision, offline, error) from None
    if file is None:
        raise UsageError(
            f"{model[:100]!r} on the Hub holds no config.json, so its architecture is unknown. {_advice(model)}"
        )
    return Origin(model, "hub", read_config(Path(file)), model, model, _commit(Path(file)) or revision)


def _missing(model: str, revision: str | None, offline: bool, error: Exception) -> UsageError:
    at = f" at revision {revision!r}" if revision is not None else ""
    if offline:
        reason = "it is not in the local Hub cache (the Hub is off: HF_HUB_OFFLINE)"
    else:
        reason = f"the Hub did not give its configuration: {_first_line(error)}"
    return UsageError(f"{model[:100]!r}{at} is neither a built-in model nor a folder, and {reason}. {_advice(model)}")


def _advice(model: str) -> str:
    close = close_names(model)
    near = f"Close built-in names: {', '.join(close)}. " if close else ""
    return (
        f"{near}Give a built-in name (`ipu-partition models` lists them), a folder with a config.json, or a Hub id "
        "that can be reached."
    )


def _offline() -> bool:
    """The variable is read at call time as well as at import, where the Hub client reads it."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _commit(path: Path) -> str | None:
    """The Hub cache keeps files as `snapshots/<commit>/config.json`."""
    return path.parent.name if path.parent.parent.name == "snapshots" else None


def _text(path: Path) -> str:
    most = limits().file_bytes
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{str(path)!r} is not a regular file, expected a config.json.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read ({error.strerror}).") from None
    if len(data) > most:
        raise UsageError(f"{str(path)!r} is larger than {most} bytes, expected a config.json; is it a file of weights?")
    return data.decode("utf-8-sig")


def _path(model: str) -> Path:
    try:
        return Path(model).expanduser()
    except RuntimeError:  # no such user
        return Path(model)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or a null character
        return False


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__
