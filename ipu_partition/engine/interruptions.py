"""Being interrupted while processes of ours run: they are stopped first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Interruptions:
    """What the user asked for meanwhile."""

    def __init__(self) -> None:
        self._asked = False
        self.at_once = False
        """Raise where the interruption comes; else at the next :meth:`check`."""

    def check(self) -> None:
        """KeyboardInterrupt where one was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    def _take(self, *_: object) -> None:
        again, self._asked = self._asked, True
        if self.at_once and not again:
            raise KeyboardInterrupt


@contextmanager
def interruptions() -> Iterator[Interruptions]:
    """Until the end of the block, an interruption, or a request to end, waits until somebody asks for it."""
    found = Interruptions()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield found
        return
    taken = [n for n in _SIGNALS if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]  # nohup ignores one
    before = {number: signal.signal(number, found._take) for number in taken}
    try:
        yield found
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
