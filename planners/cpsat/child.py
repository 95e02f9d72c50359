"""The solver's process: a task on the standard input, plans and bounds on the standard output as they are found.

Further lines on the input tell the value of better plans that are known elsewhere; when it ends, so does the process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, BinaryIO

from .rounds import Rounds
from .watch import ORPHAN, watch
from .wire import line, task_of


class Told:
    """Messages out, whole lines, from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._lock = out, threading.Lock()

    def __call__(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(line(message))
            self._out.flush()


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no message
    rounds = Rounds(task_of(sys.stdin.readline()), Told(out))
    watch()
    threading.Thread(target=_listen, args=(rounds,), daemon=True).start()
    rounds.run()
    out.flush()
    os._exit(0)  # not held up by threads of the solver


def _listen(rounds: Rounds) -> None:
    for text in sys.stdin:
        rounds.know(json.loads(text)["value_us"])
    os._exit(ORPHAN)


if __name__ == "__main__":
    main()
