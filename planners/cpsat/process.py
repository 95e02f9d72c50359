"""The solver's process, seen from the one that starts it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from .watch import FULL
from .wire import Task, line, task_line

MODULE = "planners.cpsat.child"
END_S = 1.0
"""For a process that has closed its output."""
SOURCE = str(Path(__file__).resolve().parents[2])


class Solver:
    """Started with a task; killed when left, whatever it is at."""

    def __init__(self, task: Task) -> None:
        self._open = contextlib.ExitStack()
        self._errors = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # what the terminal interrupts is the process that ends this one
        )
        self._told: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._say(task_line(task))
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._open.close()

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next message; none where it says nothing for so long. EOFError when it has ended, ValueError for what is
        no message."""
        try:
            text = self._told.get(timeout=seconds)
        except queue.Empty:
            return None
        if text is None:
            raise EOFError
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError(f"the solver says {text[:100]!r}, expected an object")
        return message

    def know(self, value_us: float) -> None:
        """A better plan is known elsewhere."""
        self._say(line({"value_us": value_us}))

    def failure(self) -> str | None:
        """Why it ended, if not because it was done or out of memory."""
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return "the solver's process says no more and does not end"
        if code in (0, FULL):
            return None
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the solver's process ended with {code}: {said[-1] if said else 'it says nothing'}"

    def _say(self, text: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; hear() says so
            self._process.stdin.write(text)
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as out:
            for text in out:
                self._told.put(text)
        self._told.put(None)


def _environment() -> dict[str, str]:
    """Where this package is found, no module of the user's folder in the way, and no threads but the solver's."""
    path = os.pathsep.join(part for part in (SOURCE, os.environ.get("PYTHONPATH", "")) if part)
    found = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    return found | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
