"""Making a plan fit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from planners import evaluate

from ..levers import Change, Ladder, Trial, Trials
from ..levers.relaxed import shapes_may_help
from ..levers.singles import time_lost
from .planes import Options, Space, space
from .search import Rungs, cheapest

Groups = tuple[tuple[Options, ...], ...]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A set of changes with which the plan fits."""

    options: Options
    """Keywords of `partition`, what is as it was asked for left out."""
    trial: Trial
    time_lost: float | None


def fit(trials: Trials) -> Fitted | None:
    """The cheapest set of changes with which the plan of `trials` fits; None where none does.

    Cheap is, in this order: what is computed stays the same; as many replicas; as few IPUs, where the request leaves
    their number open; tables on one IPU; little time lost; few changes. Every set is verified by planning. None, too,
    where the accumulation asked for is too low for any plan.
    """
    before, where = trials.before, space(trials)
    if before is None:
        return None
    where = replace(where, inner=tuple(x for ladder in where.inner if (x := _rising(trials, where, ladder)).rungs))
    found = _first(trials, where, where.groups, {}) or _first(trials, where, where.fewer, {})
    for groups in (where.groups, where.fewer) if where.shapes and found is None else ():
        found = found or _reshaped(trials, where, groups)
    return None if found is None else Fitted(_changed(trials, found), found, time_lost(before, found))


def _rising(trials: Trials, where: Space, ladder: Ladder) -> Ladder:
    """Without the rungs that save no more than a lower one, or cannot be planned."""
    found, least = list[Change](), _footprint(trials, where.base)
    for rung in ladder.rungs:
        bytes_ = _footprint(trials, {**where.base, **rung.options})
        if bytes_ is not None and (least is None or bytes_ < least):
            found.append(rung)
            least = bytes_
    return replace(ladder, rungs=tuple(found))


def _footprint(trials: Trials, options: Options) -> int | None:
    """Bytes on all IPUs together, no unit being moved; where units differ, as they are placed anew."""
    trial, assignment = trials.plan(options), trials.solved.assignment
    if trial is None or trial.solved.evaluation is None or assignment is None:
        return None
    problem, same = trial.solved.costing.problem, trial.solved.evaluation
    if len(assignment) == len(problem.units) and max(assignment) < len(problem.devices):
        same = evaluate(problem, assignment)
    return sum(device.memory.total for device in same.devices)


def _reshaped(trials: Trials, where: Space, groups: Groups) -> Trial | None:
    """With the largest shapes with which anything in `groups` fits."""
    if not _worth_tracing(trials, where, groups):
        return None
    at = bisect_left(where.shapes, True, key=lambda rung: _somewhere(trials, where, groups, rung.options))
    return _first(trials, where, groups, where.shapes[at].options) if at < len(where.shapes) else None


def _first(trials: Trials, where: Space, groups: Groups, shape: Options) -> Trial | None:
    """The best of the first group in which anything fits."""
    for group in groups:
        found = [trial for plane in group if (trial := _best(trials, where, {**shape, **plane})) is not None]
        if found:
            return max(found, key=lambda trial: trial.samples_per_second)
    return None


def _best(trials: Trials, where: Space, plane: Options) -> Trial | None:
    def plan(rungs: Rungs) -> Trial | None:
        return trials.plan(_options(where, plane, rungs))

    def fits(rungs: Rungs) -> bool:
        trial = plan(rungs)
        return trial is not None and trial.solved.fits

    heights = [len(ladder.rungs) for ladder in where.inner]
    nothing = plan((0,) * len(heights))

    def lost(rungs: Rungs) -> float:
        trial = plan(rungs)
        share = None if trial is None or nothing is None else time_lost(nothing, trial)
        return 0.0 if share is None else share

    def guess(rungs: Rungs) -> float:
        kept = 1.0
        for index, rung in enumerate(rungs):
            alone = (*(0,) * index, rung, *(0,) * (len(rungs) - index - 1))
            kept *= 1 - max(0.0, lost(alone) if rung else 0.0)
        return 1 - kept

    found = cheapest(heights, fits, lost, guess)
    return None if found is None else plan(found)


def _options(where: Space, plane: Options, rungs: Rungs) -> Options:
    steps = [ladder.rungs[rung - 1].options for ladder, rung in zip(where.inner, rungs, strict=True) if rung]
    changed = {name: value for step in steps for name, value in step.items()}
    return {**where.base, **changed, **plane}


def _top(where: Space) -> Rungs:
    return tuple(len(ladder.rungs) for ladder in where.inner)


def _somewhere(trials: Trials, where: Space, groups: Groups, shape: Options) -> bool:
    """Whether anything fits with every ladder climbed to its top."""
    planes = (_options(where, {**shape, **plane}, _top(where)) for group in groups for plane in group)
    return any((trial := trials.plan(options)) is not None and trial.solved.fits for options in planes)


def _worth_tracing(trials: Trials, where: Space, groups: Groups) -> bool:
    """Whether parameters and code alone fit anywhere."""
    planes = (_options(where, plane, _top(where)) for group in groups for plane in group)
    return any(shapes_may_help(trials, options) for options in planes)


def _changed(trials: Trials, trial: Trial) -> Mapping[str, object]:
    """What the request of the trial says otherwise, in the order of its fields; IPUs it leaves open are no change."""
    names = type(trial.request).__dataclass_fields__
    now = {name: getattr(trial.request, name) for name in names}
    old = {name: getattr(trials.request, name) for name in names}
    if old["optimizer_state_offchip"] is None and not now["optimizer_state_offchip"]:
        now["optimizer_state_offchip"] = None
    return {name: now[name] for name in names if now[name] != old[name] and name != "ipus"}
