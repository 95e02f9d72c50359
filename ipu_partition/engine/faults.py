"""Faults for the tests of this room, and for nothing else: `IPU_PARTITION_TEST_FAULT=KIND:RANK:STEP` has one stage fail
in one step (counted from 1; 0: while it starts). Without the variable nothing here does anything."""

from __future__ import annotations

import os
import signal

VARIABLE = "IPU_PARTITION_TEST_FAULT"
KINDS = ("crash", "hang", "freeze", "kill")


class InjectedError(Exception):
    """What a stage fails with that was told to."""


def fault(rank: int, step: int) -> None:
    """Fail, where it was asked of this rank in this step."""
    kind, _, where = os.environ.get(VARIABLE, "").partition(":")
    if where != f"{rank}:{step}":
        return
    if kind == "crash":
        raise InjectedError("the stage was told to fail")
    if kind == "hang":
        while True:
            pass
    if kind in ("freeze", "kill"):
        os.kill(os.getpid(), signal.SIGSTOP if kind == "freeze" else signal.SIGKILL)
