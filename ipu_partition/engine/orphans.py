"""No process outlives the one that started it."""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""Source: torvalds/linux:include/uapi/linux/prctl.h."""
_ALONE = 3


def end_with(parent: int) -> None:
    """Have the kernel end this process when `parent`, which started it, is gone; on Linux alone.

    Elsewhere :class:`.beats.Beat` looks after its parent.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    end_if_orphan(parent)


def end_if_orphan(parent: int) -> None:
    """End this process where its parent is another by now."""
    if os.getppid() != parent:
        os._exit(_ALONE)


def children(parent: int) -> list[int] | None:
    """Processes that `parent` has started and that are there, ended ones that nobody waited for included; None where
    the system does not tell."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children") as listed:
            return [int(pid) for pid in listed.read().split()]
    except (OSError, ValueError):
        return None


def kill(pid: int) -> None:
    """At once, whatever it is at; nothing where it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
