"""A batch from beginning to end: what is there already, what is to be done, doing it, keeping the summary."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..devices import ipus_only
from ..emit.files import check_directory
from ..errors import UsageError
from ..machine import machine
from ..models.builtin import find
from ..request import Request
from .engine import Engine, Lost
from .entries import Entry
from .folders import locked
from .job import Job, Outcome, failure, job_for
from .names import folder_names
from .options import request_for
from .output import Output
from .summary import FITS, Result, Summary, read_summary
from .worker import work

PODS = (4, 16, 64)
MACHINES = ("mk2", "bow")

Progress = Callable[[int, int, str], None]
"""(models done, of how many, the one done last)"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of it."""

    results: tuple[Result, ...]
    """Of this batch, in the order of the list and of the pods; what was not begun is missing."""
    kept: int
    """How many of them were there already, and are up to date."""
    asked: int
    summary: Summary
    """Of the output folder: earlier batches are in it too."""
    interrupted: bool

    @property
    def complete(self) -> bool:
        """Whether everything is planned and fits."""
        return len(self.results) == self.asked and all(result.status == FITS for result in self.results)


def batch(
    entries: Sequence[Entry],
    output: str | Path,
    *,
    pods: Sequence[int] = PODS,
    machines: Sequence[str] = MACHINES,
    options: Mapping[str, Any] | None = None,
    engine: Engine | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Batch:
    """Plan `entries` for `pods` and write a folder for each that fits, `output/pod16/<model>-ipu`.

    `options` are keywords of :func:`ipu_partition.partition` for all models; a length or size among them is for the
    models that have one. What is there and up to date is kept, unless `force`. Failures are results. An interruption
    (KeyboardInterrupt) ends it early.

    Raises :class:`UsageError` before anything is planned, where the request makes no sense or `output` is no place to
    write to.
    """
    check_directory(output)
    machines = _machines(machines)
    jobs = _jobs(entries, options or {}, _pods(pods, machines), machines)
    folder = Path(output)
    with locked(folder):
        out = Output(folder, force, _before(folder, force).by_folder())
        todo = _left(out, jobs)
        kept = len(out.fresh)
        interrupted = _run(out, todo, engine or Engine(), progress or _silent, len(jobs))
        summary = out.save()
    places = [place.folder for job in jobs for place in job.places]
    found = tuple(out.fresh[name] for name in places if name in out.fresh)
    return Batch(found, kept, len(places), summary, interrupted)


def _before(folder: Path, force: bool) -> Summary:
    try:
        return read_summary(folder)
    except UsageError:
        if not force:
            raise
        return Summary()


def _left(out: Output, jobs: Sequence[Job]) -> list[Job]:
    """What is still to be done."""
    left = (replace(job, places=tuple(p for p in job.places if not out.keep(job, p))) for job in jobs)
    return [job for job in left if job.places]


def _run(out: Output, jobs: Sequence[Job], engine: Engine, progress: Progress, models: int) -> bool:
    """Whether it was interrupted."""
    done, jobs = models - len(jobs), sorted(jobs, key=_size, reverse=True)
    progress(done, models, "")
    try:
        with closing(engine.run(work, jobs)) as answers:
            for number, answer in answers:
                job = jobs[number]
                out.take(job, _lost(job, answer) if isinstance(answer, Lost) else answer)
                done += 1
                progress(done, models, job.entry.model)
    except KeyboardInterrupt:
        return True
    return False


def _size(job: Job) -> int:
    """What takes longest is begun first: elements of a built-in model, others before them."""
    entry = find(job.entry.model)
    return sys.maxsize if entry is None else entry.parameters


def _lost(job: Job, lost: Lost) -> list[Outcome]:
    return [failure(job, place, "timeout" if lost.timed_out else "killed", lost.reason) for place in job.places]


def _jobs(
    entries: Sequence[Entry], options: Mapping[str, Any], pods: Sequence[int], machines: Sequence[str]
) -> list[Job]:
    for entry in entries:
        try:
            request_for(options, {"machine": machines[0], **entry.options})
        except UsageError as error:
            raise UsageError(f"{entry.origin}: {entry.model}: {error}") from None
    names = folder_names(entries)
    return [job_for(entry, name, options, machines, pods) for entry, name in zip(entries, names, strict=True)]


def _machines(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        ipus_only(Request(machine=name), "A batch")
        machine(name)
    if not names or len({*names}) < len(names):
        given = ", ".join(names) or "none"
        raise UsageError(f"The machines are {given}; expected each once, the one to plan for first.")
    return names


def _pods(pods: Sequence[int], machines: Sequence[str]) -> Sequence[int]:
    legal = sorted(set.intersection(*({*machine(name).legal_ipu_counts} for name in machines)))
    wrong = [pod for pod in pods if isinstance(pod, bool) or pod not in legal]
    if wrong or not pods or len({*pods}) < len(pods):
        given = ", ".join(map(str, pods)) or "none"
        raise UsageError(f"The pods are {given}; expected each once, of {', '.join(map(str, legal))} IPUs.")
    return sorted(pods)


def _silent(_done: int, _of: int, _last: str) -> None:
    """Progress that nobody watches."""
