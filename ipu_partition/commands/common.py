"""What every command does the same way: exit codes, being interrupted, text that is safe to print."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

FITS, INTERNAL, DOES_NOT_FIT, INTERRUPTED = 0, 1, 3, 130


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While planning, when nothing has been written, an interruption ends the process at once: torch's tracer may not
    survive an exception that is raised in the middle of it."""

    def leave(*_: object) -> None:
        os.write(2, b"\nipu-partition: interrupted; nothing was written.\n")
        os._exit(INTERRUPTED)

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
