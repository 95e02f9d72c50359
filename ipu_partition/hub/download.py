"""Where a document is read from: a file, a folder, or a repository on the Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import UsageError
from .failures import explained, offline

MOST_BYTES = 64 << 20
"""Larger files are not fetched."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.\-]*(/[\w.\-]+)?", re.ASCII)


def located(source: str | os.PathLike[str], name: str, revision: str | None, what: str) -> Path:
    """The file that `source` names: itself, `name` in a folder, or `name` in a repository on the Hub, fetched.

    `what` is expected there; it ends the message. What is on this disk comes first and has no `revision`.
    UsageError where nothing is found, or the Hub cannot be reached and has not been before.
    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else source
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{ascii(source)[:80]} names nothing; expected {what}: a file, a folder or a Hub id.")
    local = _local(text)
    if local is None:
        return _from_hub(text, name, revision, what)
    if revision is not None:
        raise UsageError(f"{text[:200]!r} is on this disk and has no revisions; leave out revision={revision!r}.")
    file = local / name if local.is_dir() else local
    if not file.is_file():
        raise UsageError(f"{str(local)!r} holds no file {name}; expected {what}.")
    return file


def repository(name: str) -> bool:
    """Whether the Hub could have a repository of that name."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return bool(_REPOSITORY.fullmatch(name))


def _local(text: str) -> Path | None:
    try:
        path = Path(text).expanduser()
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):  # too long, a null character, no such user
        return None


def _from_hub(name: str, file: str, revision: str | None, what: str) -> Path:
    if not repository(name):
        raise UsageError(
            f"There is no file or folder {name[:200]!r}, and it is no Hub id (`owner/name`); expected {what}."
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RevisionNotFoundError

    at = f"{name!r} on the Hub" + (f" at revision {revision[:100]!r}" if revision is not None else "")
    try:
        reached = not offline() and _small_enough(name, file, revision, at)
        return Path(hf_hub_download(name, file, revision=revision, local_files_only=not reached))
    except LocalEntryNotFoundError as error:
        why = "the Hub is off: HF_HUB_OFFLINE" if offline() else "the Hub cannot be reached"
        raise UsageError(
            f"{name!r} is no file or folder, and {file} of {at} is not in the local cache ({why}); expected {what}."
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(
            f"{name!r} on the Hub has no revision {revision!r}; expected a branch, tag or commit."
        ) from error
    except EntryNotFoundError as error:
        raise UsageError(f"{at} holds no {file}; expected {what}.") from error
    except Exception as error:  # the Hub's client raises its own, the HTTP library's and OSError
        doing = f"There is no file or folder {name!r}, and reading {file} of {at}"
        raise explained(error, doing, "read") from error


def _small_enough(name: str, file: str, revision: str | None, at: str) -> bool:
    """Whether the Hub says so; False where it cannot be reached, since the cache may help. UsageError if it says no."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    try:
        found = get_hf_file_metadata(hf_hub_url(name, file, revision=revision), token=None)
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return False
    except (HTTPError, OSError):
        return False
    if found.size is not None and found.size > MOST_BYTES:
        raise UsageError(
            f"{file} of {at} has {found.size:,} bytes; expected at most {MOST_BYTES:,}. It was not fetched."
        )
    return True
