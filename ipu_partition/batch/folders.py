"""Folders of an output: whether one is complete, and writing one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..emit.files import write_all
from ..emit.python_source import MODULE_NAME
from ..errors import UsageError
from ..hub.folder import CARD_NAME, kept, opened
from ..ipu_config import CONFIG_NAME
from ..plan import PLAN_NAME
from .summary import Result

KEPT_CARD = f"{CARD_NAME} was there and was left as it is; it may describe an earlier plan."
KEPT_CODE = f"{MODULE_NAME} is there from an earlier plan, and this one has none."


def is_complete(folder: Path, result: Result) -> bool:
    """Whether all files of `result` are there, the plan is the one that was written and not stale, and the
    configuration says the same. The card may have been edited."""
    if not result.files or not all((folder / name).is_file() for name in result.files):
        return False
    try:
        return opened(folder).fingerprint() == result.plan
    except (UsageError, OSError, ValueError):
        return False


def write(folder: Path, texts: Mapping[str, str], replace: bool) -> list[str]:
    """Write `texts` into `folder`, all or none, and return what is to be said; a card that somebody touched stays.

    UsageError where the folder cannot be written, or, unless `replace`, holds a configuration that is no plan's.
    """
    if not replace and os.path.lexists(folder / CONFIG_NAME) and not (folder / PLAN_NAME).is_file():
        raise UsageError(
            f"{folder / CONFIG_NAME} is there without {PLAN_NAME}, so it is not ours. Move it away, or --force to "
            "replace it."
        )
    keep = kept(folder)
    other_card = bool(keep) and _differs(folder / CARD_NAME, texts.get(CARD_NAME))
    write_all(folder, texts, keep=keep)
    notes = [KEPT_CARD] if other_card else []
    return [*notes, KEPT_CODE] if MODULE_NAME not in texts and (folder / MODULE_NAME).exists() else notes


def has_plan(folder: Path) -> bool:
    """Whether a plan of an earlier batch is there."""
    return (folder / PLAN_NAME).is_file()


def _differs(path: Path, text: str | None) -> bool:
    """Whether something else than `text` is there."""
    try:
        return path.read_text(encoding="utf-8") != text
    except FileNotFoundError:
        return path.is_symlink()
    except (OSError, ValueError):
        return True


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """`folder`, made if missing, is this process's alone; UsageError where another batch is writing there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be written ({error}); expected a folder to write into.") from error
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"Another batch is writing to {folder}. Wait for it, or choose another folder.") from None
    except OSError:  # a file system without locks
        return
