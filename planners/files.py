"""Reading and writing one text file: bounded, and complete or not at all."""

from __future__ import annotations

import os
import sys
from errno import EACCES, EISDIR, ENOENT, ENOTDIR
from pathlib import Path
from typing import BinaryIO

from .checks import ProblemError

MOST_FILE_BYTES = 256 * 2**20
"""A problem of 100,000 units has some 45 MB."""


def read_text(path: str) -> str:
    """UTF-8 text of the file, or of the standard input where ``path`` is ``-``.

    ProblemError where it has more than ``MOST_FILE_BYTES`` (it is not read then) or is not UTF-8. OSError as usual.
    """
    if path == "-":
        data = _bounded("standard input", sys.stdin.buffer)
    else:
        with open(path, "rb") as file:
            data = _bounded(repr(path), file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemError(f"{path!r} is not UTF-8 text: byte {error.start} cannot be read") from None


def _bounded(name: str, file: BinaryIO) -> bytes:
    known = os.fstat(file.fileno()).st_size
    data = b"" if known > MOST_FILE_BYTES else file.read(MOST_FILE_BYTES + 1)
    if max(known, len(data)) > MOST_FILE_BYTES:
        raise ProblemError(f"{name} has more than {MOST_FILE_BYTES} bytes, the most that is read")
    return data


def check_output(path: str) -> None:
    """OSError where ``path`` can never be written to, before long work is done for it. Changes nothing."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OSError(EISDIR, "is a folder", path)
    if not target.parent.is_dir():
        raise OSError(ENOTDIR if target.parent.exists() else ENOENT, "there is no such folder to write into", path)
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise OSError(EACCES, "may not be written", path)


def write_text(path: str, text: str) -> None:
    """Written beside the target and renamed, so that readers see the old file or all of the new one. A device such as
    ``/dev/null`` or a pipe is written to as it is."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8", newline="\n")
        return
    scratch = target.with_name(f".planners-{os.getpid()}.part")
    try:
        with open(scratch, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
