"""Looking after a run until it ends: its progress, its data, and whoever holds it up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .beats import State, read
from .failures import EngineError, told, why
from .files import batch_file, done_file, state_file
from .handed import write_tensors
from .stuck import Limits, stuck

if TYPE_CHECKING:
    import torch

    from .launch import Torchrun

EVERY_S = 0.05
AHEAD = 2
"""Steps whose data is there before they begin."""
GRACE_S = 3.0
"""For torchrun to notice that a rank has failed, and for the others to say what they know."""


@dataclass(frozen=True, slots=True)
class Done:
    """One step of the pipeline."""

    loss: float
    """Mean over its micro-batches."""
    seconds: float
    """Of the first rank: from its first micro-batch to its updated weights."""
    gradients: Sequence[Mapping[str, float]] = ()
    """In the first step, of each process: weight -> norm of its gradient."""


@dataclass
class Watch:
    """One run. :meth:`until_done` is called once."""

    folder: Path
    ranks: int
    steps: int
    limits: Limits
    batch: Callable[[int], Mapping[str, torch.Tensor]]
    """The inputs of the model in a step, counted from 1."""
    progress: Callable[[str], None]
    check: Callable[[], None]
    """Raises where the user wants it to end."""

    def __post_init__(self) -> None:
        self._first, self._last = (_Lines(done_file(self.folder, rank)) for rank in (0, self.ranks - 1))

    def until_done(self, run: Torchrun) -> list[Done]:
        """Every step, as soon as all ranks have done the last. Raises :class:`EngineError` where a stage fails, hangs
        or is killed."""
        begun_s, written, said = time.monotonic(), 0, -1
        while run.ended() is None:
            self.check()
            states = self.states()
            finished = min(0 if state is None else state.finished for state in states)
            if finished > said:
                said = finished
                self._say(finished)
            if finished == self.steps:
                return self.done()
            written = self._hand_out(written, finished)
            self._judge(run, stuck(self.states(), begun_s, time.monotonic(), self.limits))
            time.sleep(EVERY_S)
        done = self.done()
        if len(done) < self.steps:
            raise why(self.folder, self.ranks)
        return done

    def _judge(self, run: Torchrun, held_up: str | None) -> None:
        """Raise where a rank has failed, or holds the others up."""
        if told(self.folder, self.ranks):
            until_s = time.monotonic() + GRACE_S
            while run.ended() is None and time.monotonic() < until_s:
                time.sleep(EVERY_S)
            raise why(self.folder, self.ranks)
        if held_up is not None:
            raise EngineError(f"{held_up}. The run was ended; --timeout allows more seconds.")

    def states(self) -> list[State | None]:
        return [read(state_file(self.folder, rank)) for rank in range(self.ranks)]

    def done(self) -> list[Done]:
        """The steps that all ranks have finished so far."""
        return [Done(end["loss"], begin["seconds"]) for begin, end in zip(self._first(), self._last(), strict=False)]

    def _hand_out(self, written: int, finished: int) -> int:
        """The data of the steps that are next; that of steps which all ranks have done is removed."""
        while written < min(self.steps, finished + AHEAD):
            written += 1
            write_tensors(batch_file(self.folder, written), self.batch(written))
            batch_file(self.folder, written - AHEAD - 1).unlink(missing_ok=True)
        return written

    def _say(self, finished: int) -> None:
        if finished == 0:
            self.progress(f"starting {self.ranks} processes")
            return
        loss, seconds = self._last()[finished - 1]["loss"], self._first()[finished - 1]["seconds"]
        self.progress(f"step {finished} of {self.steps}: loss {loss:.6f}, {seconds:.3f} s")


class _Lines:
    """The lines of a file that grows, each read once."""

    def __init__(self, file: Path) -> None:
        self._file, self._read, self._found = file, 0, list[dict[str, float]]()

    def __call__(self) -> list[dict[str, float]]:
        """Those that are complete by now."""
        if self._file.exists():
            with self._file.open("rb") as lines:
                lines.seek(self._read)
                new, end, _ = lines.read().rpartition(b"\n")
            self._read += len(new) + len(end)
            self._found += [json.loads(line) for line in new.splitlines()]
        return self._found
