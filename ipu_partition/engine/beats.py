"""What each rank is at, told through a file of its own: once for everything it begins, and every half second."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .files import replaced
from .orphans import end_if_orphan

EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class State:
    """What a rank was at when it last said so. Times are of the machine's monotonic clock, in seconds."""

    pid: int
    doing: str
    """In words, after "is" or "was": `computing`, `waiting`."""
    step: int
    """Counted from 1; 0: before the first."""
    working: bool
    """It computes, and waits for nobody."""
    since_s: float
    """When it began."""
    beat_s: float
    """Its last sign of life."""
    longest_s: float = 0.0
    """The longest time it has worked on one thing so far."""
    finished: int = 0
    """Steps that are done."""


class Beat:
    """The writing side, in the process of a rank. Every rank writes until :meth:`close`."""

    def __init__(self, file: Path, parent: int) -> None:
        now = time.monotonic()
        self._file, self._parent = file, parent
        self._state = State(os.getpid(), "starting", 0, True, now, now)
        self._lock, self._done = threading.Lock(), threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        return self._state

    def at(self, doing: str, *, working: bool, step: int | None = None) -> None:
        """Something new has begun."""
        now = time.monotonic()
        with self._lock:
            before = self._state
            longest = max(before.longest_s, now - before.since_s if before.working and before.step else 0.0)
            number = before.step if step is None else step
            self._state = replace(
                before, doing=doing, step=number, working=working, since_s=now, beat_s=now, longest_s=longest
            )
            self._write()

    def finish(self, step: int) -> None:
        with self._lock:
            self._state = replace(self._state, finished=step)
            self._write()

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._done.wait(EVERY_S):
            end_if_orphan(self._parent)
            with self._lock:
                self._state = replace(self._state, beat_s=time.monotonic())
                self._write()

    def _write(self) -> None:
        with suppress(OSError), replaced(self._file) as new:  # the folder is gone: the run is over
            new.write_text(json.dumps(asdict(self._state)))


def read(file: Path) -> State | None:
    """None where the rank has said nothing yet."""
    try:
        return State(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
