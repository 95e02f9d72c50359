"""Names of the files of a run, in a folder that is its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

JOB, FAILURES, LOG = "job.pickle", "ended.json", "log.txt"


@contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """The path to write to instead of `file`, which then becomes it in one go: a reader finds all of it or nothing."""
    new = file.with_suffix(".new")
    yield new
    new.replace(file)


def part_file(folder: Path, rank: int) -> Path:
    return folder / f"stage-{rank}.pickle"


def weights_file(folder: Path, rank: int) -> Path:
    return folder / f"weights-{rank}.pt"


def batch_file(folder: Path, step: int) -> Path:
    return folder / f"batch-{step}.pt"


def state_file(folder: Path, rank: int) -> Path:
    return folder / f"state-{rank}.json"


def gradients_file(folder: Path, rank: int) -> Path:
    """Sizes of the gradients that a rank had in the first step."""
    return folder / f"gradients-{rank}.json"


def error_file(folder: Path, rank: int) -> Path:
    return folder / f"error-{rank}.json"


def done_file(folder: Path, rank: int) -> Path:
    """A line for each step that a rank has finished."""
    return folder / f"done-{rank}.jsonl"
