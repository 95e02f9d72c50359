"""Runs tasks in processes through joblib, so that one that dies, hangs or is killed costs one answer and no more."""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from ..errors import SAID, UsageError, one_line
from .backends import LOKY, check_backend, default_workers, joins_cluster, running
from .processes import Single, begin, in_time, stop_all, uninterrupted

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came: the process that worked on the task ended, or was ended."""

    timed_out: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Engine:
    """How tasks are run."""

    backend: str = LOKY
    workers: int | None = None
    """Tasks at the same time; None: as many as there are cores and memory for."""
    timeout_s: float | None = None
    """After which a task is given up; None: never."""

    def __post_init__(self) -> None:
        check_backend(self.backend)
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"{self.workers} jobs at the same time were asked for, expected at least 1.")
        if self.timeout_s is None:
            return
        if not 0 < self.timeout_s < threading.TIMEOUT_MAX:
            raise UsageError(f"The time for a model is {self.timeout_s} seconds, expected a number above 0.")
        if self.backend != LOKY:
            raise UsageError(
                f"Only loky's processes can be stopped in time, those of {self.backend!r} cannot. Leave one out."
            )

    def run(
        self, work: Callable[[Task], Answer], tasks: Sequence[Task]
    ) -> Generator[tuple[int, Answer | Lost], None, None]:
        """(number of the task, its answer) as answers come. Close it to stop what is running.

        Where a process dies, joblib stops the others too. What they were at is begun again, one at a time, so that it
        is known which it was.
        """
        left = dict(enumerate(tasks))
        workers = min(self.workers or default_workers(), max(1, len(tasks)))
        while left:
            alone = list(left)
            if workers > 1 or self.backend != LOKY:
                alone = yield from self._together(work, left, workers)
            yield from self._alone(work, {number: left.pop(number) for number in alone})

    def _together(
        self, work: Callable[[Task], Answer], left: dict[int, Task], workers: int
    ) -> Generator[tuple[int, Answer | Lost], None, list[int]]:
        """Answers, taken out of `left`; returns the numbers of the tasks that have none because a process died."""
        from joblib import delayed

        begun: dict[int, float] = {}

        def handed_out() -> Iterator[Any]:
            for number, task in list(left.items()):
                begun[number] = time.monotonic()
                yield delayed(in_time)(work, number, task, self.timeout_s)

        at_once = -1 if joins_cluster(self.backend) and self.workers is None else workers
        try:
            with _set_up(self.backend, workers), closing(_answers(at_once, handed_out())) as answers:
                for number, answer in answers:
                    del left[number]
                    yield number, answer
        except Exception as error:
            unanswered = [number for number in begun if number in left]
            if not unanswered:
                raise UsageError(
                    f"Backend {self.backend!r} does not work here: {one_line(str(error), SAID)}."
                ) from error
            late = [number for number in unanswered if self._is_late(error, begun[number])]
            for number in late:
                del left[number]
                yield number, self._lost(error, late=True)
            return [number for number in unanswered if number not in late]
        return []

    def _alone(
        self, work: Callable[[Task], Answer], tasks: dict[int, Task]
    ) -> Generator[tuple[int, Answer | Lost], None, None]:
        """Answers of tasks that are begun one after the other."""
        if self.backend != LOKY:
            for number, task in tasks.items():
                yield number, self._on_cluster(work, task)
            return
        with closing(Single()) as process:
            for number, task in tasks.items():
                begun = time.monotonic()
                try:
                    yield number, process.answer(work, task, self.timeout_s)
                except BrokenProcessPool as error:
                    yield number, self._lost(error, late=self._is_late(error, begun))

    def _on_cluster(self, work: Callable[[Task], Answer], task: Task) -> Answer | Lost:
        from joblib import Parallel, delayed

        try:
            with _set_up(self.backend, 1):
                # with n_jobs=1, Ray's backend would work on it in this process
                found: tuple[int, Answer] = Parallel(n_jobs=2)([delayed(in_time)(work, 0, task, None)])[0]
                return found[1]
        except Exception as error:
            return self._lost(error, late=False)

    def _is_late(self, error: Exception, begun_s: float) -> bool:
        """Whether a task begun then was given up for its time: a process ends itself no earlier."""
        late = self.timeout_s is not None and time.monotonic() - begun_s >= self.timeout_s
        return late and isinstance(error, BrokenProcessPool)

    def _lost(self, error: Exception, late: bool) -> Lost:
        if late:
            return Lost(True, f"It took longer than {self.timeout_s:g} s and was given up; --timeout allows more.")
        if not isinstance(error, BrokenProcessPool):
            return Lost(False, f"Backend {self.backend!r} lost it: {one_line(str(error), SAID)}")
        codes = re.search(r"exit codes of the workers are \{(.*)\}", str(error))
        how = f" ({codes[1]})" if codes else ""
        return Lost(False, f"Its process ended{how}: it was killed, perhaps for lack of memory, or it crashed.")


def _answers(at_once: int, calls: Iterator[Any]) -> Generator[tuple[int, Any], None, None]:
    """As they come; from a backend that can only give lists, such as Ray's, those of as many calls as run at once."""
    from joblib import Parallel, effective_n_jobs
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    if backend.supports_return_generator:
        parallel = Parallel(n_jobs=at_once, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs")
        with uninterrupted():
            started = parallel(calls)
        with closing(started) as answers:
            yield from answers
        return
    while chunk := list(islice(calls, effective_n_jobs(at_once))):
        yield from Parallel(n_jobs=at_once, batch_size=1)(chunk)


@contextmanager
def _set_up(backend: str, workers: int) -> Iterator[None]:
    """The backend, and joblib's remarks on processes that it ends left out."""
    settings = {"inner_max_num_threads": 1, "initializer": begin, "initargs": (os.getpid(),)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"joblib\b.*")
        try:
            with running(backend, workers, **(settings if backend == LOKY else {})):
                yield
        finally:
            if backend == LOKY:
                stop_all()
