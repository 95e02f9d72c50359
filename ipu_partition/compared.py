"""Our plan beside a configuration that somebody else wrote: the same workload, only the layers are free."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Unpack

from .api import Opened, document
from .assemble import mode_plan
from .checked import Checked, CheckedMode, CheckOptions, checked, solved_as_asked
from .document import canonical_json
from .errors import UsageError
from .handwritten import Source
from .plan import ModePlan, PartitionPlan
from .plan_parts import ModeName
from .request import Request, planner_named
from .workload import Mode

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

TIE = 1e-6
"""Objectives whose ratio differs from 1 by no more are equal: a document keeps them to a nanosecond."""


class Verdict(StrEnum):
    """How theirs compares with ours, in the time of a micro-batch where both fit."""

    EQUAL = "equal"
    """The same cut."""
    TIED = "tied"
    """Another cut, and the same time."""
    BETTER = "ours is better"
    OURS_FITS = "only ours fits"
    NEITHER_FITS = "neither fits"
    NO_PLAN = "theirs is no plan"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two plans of one workload."""

    ours: PartitionPlan
    theirs: PartitionPlan
    """As :func:`ipu_partition.check` gives it."""

    def modes(self) -> dict[ModeName, tuple[ModePlan, ModePlan | None]]:
        """(ours, theirs) of each mode; None where theirs is no plan."""
        theirs = self.theirs.modes()
        return {name: (plan, theirs.get(name)) for name, plan in self.ours.modes().items()}

    def verdict(self, mode: ModeName) -> Verdict:
        """UsageError where the mode was not compared."""
        ours, theirs = self.ours.mode(mode), self.theirs.modes().get(mode)
        if theirs is None:
            return Verdict.NO_PLAN
        if not (ours.fits and theirs.fits):
            return Verdict.OURS_FITS if ours.fits else Verdict.NEITHER_FITS
        if [(s.ipu, s.units) for s in ours.stages] == [(s.ipu, s.units) for s in theirs.stages]:
            return Verdict.EQUAL
        return Verdict.TIED if self.gain(mode) <= TIE else Verdict.BETTER

    def gain(self, mode: ModeName) -> float:
        """How much longer theirs takes for a micro-batch: 0.1 is 10 %. UsageError where the mode was not compared."""
        ours, theirs = self.ours.mode(mode).solution.objective_us, self.theirs.mode(mode).solution.objective_us
        return 0.0 if not ours or theirs is None else theirs / ours - 1.0

    def to_dict(self) -> dict[str, Any]:
        return {"ours": self.ours.to_dict(), "theirs": self.theirs.to_dict()}

    def to_json(self) -> str:
        return canonical_json(self.to_dict())


def compare(
    model: str | os.PathLike[str] | PretrainedConfig | nn.Module,
    ipu_config: Source,
    *,
    planner: str = "chain",
    progress: Callable[[str], None] | None = None,
    **options: Unpack[CheckOptions],
) -> Comparison:
    """The plan of `planner` beside what `ipu_config` says, under the same workload: IPUs, proportions, replicas,
    accumulation, place of the optimizer state, checkpoints and serialisation are those of the file.

    The options are those of :func:`ipu_partition.check`. Where theirs fits, ours is never worse, neither in the time of
    a micro-batch nor in samples per second: where the planner finds nothing better, it is theirs. Raises
    :class:`UsageError`, also where the file's sides contradict themselves so that there is no workload, and
    :class:`TraceError`.
    """
    planner_named(planner)
    theirs = checked(model, ipu_config, progress, options)
    plans = {
        one.prepared.mode: _ours(theirs.opened, one, replace(one.request, layers=None, planner=planner, idle=False))
        for one in theirs.modes
        if one.request is not None
    }
    if not plans:
        said = next(finding.text for finding in theirs.plan.findings if finding.fatal)
        raise UsageError(f"There is nothing to compare with: {said} See `ipu-partition check`.")
    return Comparison(_document(theirs, plans, planner), theirs.plan)


def _document(theirs: Checked, plans: Mapping[Mode, ModePlan], planner: str) -> PartitionPlan:
    opened = replace(theirs.opened, request=replace(theirs.opened.request, planner=planner))
    return document(opened, [one.prepared for one in theirs.modes], plans)


def _ours(opened: Opened, one: CheckedMode, request: Request) -> ModePlan:
    """Planned with the accumulation that theirs runs with."""
    theirs, mode = one.plan, one.prepared.mode
    if theirs is not None and theirs.workload.gradient_accumulation is not None:
        request = replace(request, gradient_accumulation=theirs.workload.gradient_accumulation)
    opened.progress(f"placing {opened.spec.architecture} ({mode.value})")
    try:
        plan = mode_plan(solved_as_asked(opened, one.prepared, request), [], one.prepared.warnings)
    except UsageError:  # more IPUs than places where a stage may begin
        if theirs is None:
            raise
        return theirs
    return theirs if theirs is not None and _better(theirs, plan) else plan


def _better(theirs: ModePlan, ours: ModePlan) -> bool:
    """Whether theirs fits and ours does not, takes longer for a micro-batch, or makes fewer samples a second: with
    little accumulation, more stages may take longer to fill than a shorter cycle saves."""
    if not theirs.fits:
        return False
    one, other = theirs.solution.objective_us or 0.0, ours.solution.objective_us or 0.0
    return not ours.fits or one < other * (1 - TIE) or _rate(theirs) > _rate(ours) * (1 + TIE)


def _rate(plan: ModePlan) -> float:
    return 0.0 if plan.predicted is None else plan.predicted.samples_per_second
