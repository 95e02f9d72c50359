"""The folder that a batch writes to, with the summary that is kept in it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError, one_line
from .folders import has_plan, is_complete, write
from .job import Job, Outcome, Place, failure, plain
from .summary import DOES_NOT_FIT, FAILED, FITS, Result, Summary, summary_of

SAVED_EVERY_S = 1.0
"""How often the summary is written while results come; many small models would else be slowed by it."""


@dataclass(slots=True)
class Output:
    """What is in the folder, and what this batch found."""

    root: Path
    force: bool
    before: Mapping[str, Result]
    """Of earlier batches, by folder."""
    fresh: dict[str, Result] = field(default_factory=dict)
    """Of this one, by folder: done again, or kept."""
    saved_s: float = float("-inf")

    def keep(self, job: Job, place: Place) -> bool:
        """Whether the answer for `place` is there already, and up to date."""
        old = self.before.get(place.folder)
        if self.force or old is None or old.request != place.request or old.status == FAILED:
            return False
        if old.status == FITS and not is_complete(self.root / old.folder, old):
            return False
        self.fresh[place.folder] = old
        return True

    def take(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        """Write the folders of a job, and the summary after them, where that is not just written."""
        for place, outcome in zip(job.places, outcomes, strict=True):
            self.fresh[place.folder] = self._written(job, place, outcome)
        if time.monotonic() - self.saved_s >= SAVED_EVERY_S:
            self.save()

    def save(self) -> Summary:
        """The summary as it is now, in its file: results of earlier batches stay as long as their folders do."""
        earlier = {name: old for name, old in self.before.items() if old.status != FITS or (self.root / name).is_dir()}
        summary = summary_of({**earlier, **self.fresh}.values())
        summary.save(self.root)
        self.saved_s = time.monotonic()
        return summary

    def _written(self, job: Job, place: Place, outcome: Outcome) -> Result:
        folder, result = self.root / place.folder, outcome.result
        try:
            ours = self._is_ours(job, place)
            if outcome.texts is not None:
                notes = write(folder, outcome.texts, replace=ours)
                return result.model_copy(update={"notes": [*result.notes, *notes]})
        except UsageError as error:
            return failure(job, place, "output", one_line(str(error), 500)).result
        if result.status == DOES_NOT_FIT and has_plan(folder):
            note = "The folder holds an earlier plan, which was left as it is."
            return result.model_copy(update={"notes": [*result.notes, note]})
        return result

    def _is_ours(self, job: Job, place: Place) -> bool:
        """Whether an earlier batch wrote the folder, or it is to be replaced whoever did; UsageError where an earlier
        batch wrote it for another model."""
        old = self.before.get(place.folder)
        if self.force or old is None:
            return self.force
        if (old.model, old.options) != (job.entry.model, plain(job.entry.options)):
            raise UsageError(
                f"The folder is that of {old.model!r} with options {old.options} from an earlier batch. Choose another "
                "folder, or --force to replace it."
            )
        return old.status == FITS
