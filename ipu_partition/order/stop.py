"""Being interrupted while orders are compared: what was found until then is said."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def take(self, *_: object) -> None:
        self.asked = True
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Until the end of the block, Ctrl-C raises KeyboardInterrupt and is remembered, whoever catches it; in another
    thread than the main one nothing changes."""
    found = Stop()
    if threading.current_thread() is not threading.main_thread():  # only that may handle signals
        yield found
        return
    before = signal.signal(signal.SIGINT, found.take)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
