"""What went wrong in a run: of all errors that one leads to, the first."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SAID, PartitionError, one_line
from .files import FAILURES, LOG, error_file
from .stuck import named


class EngineError(PartitionError):
    """A stage of a run failed, hung or was killed."""


@dataclass(frozen=True, slots=True)
class Told:
    """The error that ended a rank, as the rank wrote it down."""

    rank: int
    message: str
    step: int
    """0: before the first."""
    working: bool
    """It did not only wait for another rank when the error came."""
    at_s: float
    """On the machine's monotonic clock."""


def told(folder: Path, ranks: int) -> list[Told]:
    """What the ranks wrote down, the earliest first."""
    found = []
    for rank in range(ranks):
        file = error_file(folder, rank)
        if file.exists():
            found.append(Told(rank=rank, **json.loads(file.read_text())))
    return sorted(found, key=lambda one: (one.at_s, one.rank))


def codes(folder: Path) -> dict[int, int]:
    """Rank -> exit code, of the ranks that torchrun saw fail; negative for a signal."""
    file = folder / FAILURES
    return {int(rank): int(code) for rank, code in json.loads(file.read_text()).items()} if file.exists() else {}


def cause(errors: Sequence[Told], ended: Mapping[int, int], log: str) -> str:
    """Why a run ended, in a sentence. A rank that waited for another when its error came is believed last: the other
    is gone. So is one that was terminated: torchrun does that to the ranks that are left."""
    own = next((error for error in errors if error.working), None)
    if own is not None:
        return _in_words(own)
    killed = [rank for rank, code in ended.items() if code < 0]
    if killed:
        first = min(killed, key=lambda rank: (ended[rank] == -signal.SIGTERM, rank))
        return f"{named(first)} {_killed(-ended[first])}."
    if errors:
        return _in_words(errors[0])
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "it said nothing")
    return f"torchrun ended before the stages did: {one_line(last, SAID)}"


def why(folder: Path, ranks: int) -> EngineError:
    """The error for a run that is over."""
    file = folder / LOG
    log = file.read_text(errors="replace") if file.exists() else ""
    return EngineError(cause(told(folder, ranks), codes(folder), log))


def _in_words(error: Told) -> str:
    where = f"in step {error.step}" if error.step else "while it started"
    return f"{named(error.rank)} failed {where}: {error.message}"


def _killed(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "unknown"
    if number == signal.SIGKILL:
        return (
            f"was killed by signal {number} ({name}), perhaps for lack of memory: each process needs the weights of "
            "its stage four times, and its activations. Try fewer micro-batches at a time (--schedule 1f1b), or a "
            "smaller model"
        )
    return f"was ended by signal {number} ({name})"
