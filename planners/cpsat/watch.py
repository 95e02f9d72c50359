"""The solver's process ends with the one that started it, and before memory does."""

from __future__ import annotations

import os
import sys
import threading
import time

MOST_BYTES = 1_100_000_000
POLL_S = 0.05
ORPHAN, FULL = 4, 5
"""Exit codes."""


def watch() -> None:
    """In a thread of its own."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        if os.getppid() != parent:
            os._exit(ORPHAN)
        if held_bytes() > MOST_BYTES:
            os._exit(FULL)
        time.sleep(POLL_S)


def held_bytes() -> int:
    """Of this process, in memory now; where the system does not tell, the most so far, or 0."""
    try:
        with open("/proc/self/statm") as told:
            return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return _most_bytes()


def _most_bytes() -> int:
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
