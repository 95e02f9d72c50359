"""What came of a batch, kept in one document beside the folders: no clock is in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from ..document import Count, Document, Flag, Number, Positive, canonical_json, describe, read_object
from ..emit.files import write_all
from ..errors import UsageError

SUMMARY_NAME = "summary.json"
_WHAT = "the summary of a batch"

Status = Literal["fits", "does not fit", "failed"]
FITS: Final = "fits"
DOES_NOT_FIT: Final = "does not fit"
FAILED: Final = "failed"
Kind = Literal["usage", "trace", "internal", "killed", "timeout", "output"]
"""Of a failure: the request, the model, a defect, its process ended, it took too long, its folder."""


class ModeResult(Document):
    """Training or inference of one model on one pod."""

    ipus: Positive
    """Per replica: the power of two that is fastest of those that fit with as many replicas as the pod has room for, or
    the number that comes nearest."""
    replicas: Positive
    gradient_accumulation: Positive | None
    layers_per_ipu: list[Count] | None
    proof: Literal["optimal", "feasible", "infeasible"]
    fits: Flag
    fullest: Number
    """Share of its memory that the fullest IPU needs."""
    lacks_bytes: Count = 0
    """On the IPU that lacks most."""
    lever: str | None = None
    """The first of what would help, as an option; None where it fits, or nothing is known to help."""
    lever_fits: Flag = False
    applied: list[str] = Field(default_factory=list)
    """Options that --fit changed."""
    samples_per_second: dict[str, Number | None]
    """Predicted, of all replicas together, on each machine; of what does not fit, as if it did."""


class Result(Document):
    """One model on one pod."""

    model: str
    options: dict[str, Any] = Field(default_factory=dict)
    """What the list asks of this model alone."""
    pod: Positive
    """IPUs."""
    folder: str
    """Relative to the summary; it is written where the plan fits."""
    request: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    """Fingerprint of all that decides the result."""
    status: Status
    error: Kind | None = None
    reason: str | None = None
    """One line; None where it fits, or where memory alone is missing."""
    notes: list[str] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    """Written into the folder."""
    plan: str | None = None
    """Fingerprint of the plan in the folder."""
    architecture: str | None = None
    task: str | None = None
    parameters: Count | None = None
    machines: list[str] = Field(default_factory=list)
    """Planned for the first, predicted for all."""
    training: ModeResult | None = None
    inference: ModeResult | None = None

    def modes(self) -> dict[str, ModeResult]:
        found = {"training": self.training, "inference": self.inference}
        return {name: mode for name, mode in found.items() if mode is not None}


class Summary(Document):
    """All results of an output folder, one for each folder in it, in order of pod and folder."""

    schema_version: Literal[1] = 1
    results: list[Result] = Field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    def by_folder(self) -> dict[str, Result]:
        return {result.folder: result for result in self.results}

    def save(self, directory: Path) -> None:
        """Replace the summary in `directory`, at once; UsageError where that fails."""
        write_all(directory, {SUMMARY_NAME: self.to_json()})


def summary_of(results: Iterable[Result]) -> Summary:
    return Summary(results=sorted(results, key=lambda result: (result.pod, result.folder)))


def read_summary(directory: Path) -> Summary:
    """What earlier batches left in `directory`, empty where there is none; UsageError where it is none of ours."""
    file = directory / SUMMARY_NAME
    if not file.exists() and not file.is_symlink():
        return Summary()
    data = read_object(file, _WHAT)
    try:
        return Summary.model_validate(data)
    except ValidationError as error:
        raise UsageError(
            f"{file} is not {_WHAT}: {describe(error)}. Choose another folder, or --force to replace it."
        ) from error
