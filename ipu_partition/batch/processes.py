"""What happens in a worker process, and one such process that is kept to find out which task ends it."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")

WATCH_S = 1.0
"""How soon a process notices that it is an orphan."""
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def begin(parent: int) -> None:
    """Set a worker process up: it leaves interruptions to `parent`, and ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Interruptions wait until the end; processes that are begun inside never get any, not even while they start."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_time(work: Callable[[Task], Answer], number: int, task: Task, limit_s: float | None) -> tuple[int, Answer]:
    """The answer of a task. After `limit_s` seconds the process ends instead: torch's tracer does not survive an
    exception that is raised in the middle of it."""
    with _ended_after(limit_s):
        return number, work(task)


@contextmanager
def _ended_after(limit_s: float | None) -> Iterator[None]:
    if limit_s is None:
        yield
        return
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


class Single:
    """One process, begun again where it ended."""

    def __init__(self) -> None:
        self._pool: Any = None

    def answer(self, work: Callable[[Task], Answer], task: Task, limit_s: float | None) -> Answer:
        """Raises `BrokenProcessPool` where the process ended."""
        from joblib.externals.loky import ProcessPoolExecutor

        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, initializer=begin, initargs=(os.getpid(),), env=_THREADS)
        try:
            with uninterrupted():
                future = self._pool.submit(in_time, work, 0, task, limit_s)
            found: tuple[int, Answer] = future.result()
        except BaseException:
            self.close()
            raise
        return found[1]

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


def stop_all() -> None:
    """End the processes that joblib keeps for its next call."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)
