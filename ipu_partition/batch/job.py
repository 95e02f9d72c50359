"""The work that is handed to a process, one model for all pods, and what comes back. Plain data, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..basis import machine_numbers
from ..document import canonical_json, digest
from ..models.builtin import find
from .entries import Entry
from .options import SHAPES
from .rules import rules
from .summary import FAILED, Kind, Result

TRACERS = ("torch", "transformers")
"""Packages whose version may change what is traced."""
_MOST_CONFIG_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer for one pod goes."""

    pod: int
    folder: str
    """Relative to the output folder."""
    request: str
    """Fingerprint of all that decides the answer."""


@dataclass(frozen=True, slots=True)
class Job:
    """One model, traced once for all `places`."""

    entry: Entry
    defaults: Mapping[str, Any]
    """Options of all models; a length or size among them is for the models that have one."""
    machines: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def options(self) -> dict[str, Any]:
        return {**self.defaults, "machine": self.machines[0], **self.entry.options}

    @property
    def lenient(self) -> tuple[str, ...]:
        """Shapes that are left out where they do not apply: those the list does not give to this model."""
        given = {name for name in SHAPES if self.defaults.get(name) is not None and name != "micro_batch_size"}
        return tuple(sorted(given - set(self.entry.options)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer for one pod, and the files it is written as."""

    result: Result
    texts: Mapping[str, str] | None = None


def failure(job: Job, place: Place, kind: Kind, reason: str) -> Outcome:
    return Outcome(blank(job, place).model_copy(update={"status": FAILED, "error": kind, "reason": reason}))


def blank(job: Job, place: Place) -> Result:
    """What is known before anything is planned."""
    return Result(
        model=job.entry.model,
        options=plain(job.entry.options),
        pod=place.pod,
        folder=place.folder,
        request=place.request,
        status=FAILED,
        machines=list(job.machines),
    )


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in sorted(options.items())}


def job_for(entry: Entry, name: str, defaults: Mapping[str, Any], machines: Sequence[str], pods: Sequence[int]) -> Job:
    """`name`: of its folder in that of each pod."""
    common = {
        "model": entry.model,
        "options": plain({**defaults, **entry.options}),
        "named": sorted(entry.options),
        "machines": {kind: machine_numbers(kind) for kind in machines},
        "planned_for": machines[0],
        "config": _config_digest(entry),
        "versions": {"ipu-partition": __version__, "rules": rules(), **_versions()},
    }
    places = tuple(Place(pod, f"pod{pod}/{name}", digest(canonical_json({**common, "pod": pod}))) for pod in pods)
    return Job(entry, dict(defaults), tuple(machines), places)


def _config_digest(entry: Entry) -> str | None:
    """Of the configuration of a model on this disk, which may change; None for any other model."""
    if find(entry.model) is not None:
        return None
    try:
        path = Path(entry.model).expanduser()
        with (path / "config.json" if path.is_dir() else path).open("rb") as file:
            return hashlib.sha256(file.read(_MOST_CONFIG_BYTES)).hexdigest()
    except (OSError, ValueError, RuntimeError):
        return None


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in TRACERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
