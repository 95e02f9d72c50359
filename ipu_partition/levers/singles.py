"""Each change alone: what it saves, what it costs, and whether the plan fits with it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from planners import evaluate

from ..plan_parts import Lever
from .changes import Change, Ladder, ladders
from .names import options_text, plain
from .relaxed import shapes_may_help
from .trials import SHAPES, Trial, Trials

SIZES = frozenset(SHAPES) - {"micro_batch_size"}
"""What makes a sample another one."""


def levers(trials: Trials, *, everything: bool = False) -> list[Lever]:
    """What saves memory on the fullest IPU: what makes the plan fit first, the cheapest in time
    first; then what saves most.

    Where the plan does not fit, each ladder gives its first rung that makes it fit, else the one that saves most; with
    `everything`, all of them. Of a plan that fits, all rungs are given, but shapes change by one half only.
    """
    held = _held(trials)
    before = held.before
    if before is None:
        return []
    found = [lever for ladder in ladders(held.solved, held.request) for lever in _of(ladder, held, before, everything)]
    return sorted(found, key=_rank)


def _rank(lever: Lever) -> tuple[bool, bool, float, int, str]:
    """What changes the work itself comes after what does not."""
    reshapes = not lever.options.keys().isdisjoint(SHAPES)
    lost = round(lever.time_lost or 0.0, 3) if lever.fits else 0.0
    return not lever.fits, reshapes and lever.fits, lost, -lever.bytes_saved, lever.name


def _held(trials: Trials) -> Trials:
    """Where the optimizer state was moved off chip to make the plan fit, it stays there."""
    solved = trials.solved
    if not (solved.fits and solved.workload.optimizer_state_offchip):
        return trials
    request = replace(trials.request, optimizer_state_offchip=True)
    return Trials(request, solved, trials.machine, trials.retrace, _traces=trials._traces)


def _of(ladder: Ladder, trials: Trials, before: Trial, everything: bool) -> list[Lever]:
    fits = before.solved.fits
    if ladder.reshapes and not fits and not everything and not _shapes_may_help(trials):
        return []
    found = [lever for lever in _climbed(ladder, trials, before, everything) if lever.bytes_saved > 0 or lever.fits]
    if fits:
        return [lever for lever in found if lever.bytes_saved > 0]
    if everything or not found:
        return found
    fitting = [lever for lever in found if lever.fits]
    return fitting[:1] or [max(found, key=lambda lever: lever.bytes_saved)]


def _shapes_may_help(trials: Trials) -> bool:
    movable = trials.request.optimizer_state_offchip is None and trials.solved.workload.state_bytes > 0
    return shapes_may_help(trials, {"optimizer_state_offchip": True} if movable else {})


def _climbed(ladder: Ladder, trials: Trials, before: Trial, everything: bool) -> Iterator[Lever]:
    """Ascending; up to the first that makes the plan fit, unless `everything` is asked for."""
    rungs: Sequence[Change] = ladder.rungs
    if ladder.reshapes:
        rungs = rungs[:1] if before.solved.fits else _halved(rungs, trials)
    for rung in rungs:
        after = trials.plan(rung.options)
        if after is None:
            continue
        yield lever_of(rung, before, after)
        if after.solved.fits and not before.solved.fits and not everything:
            return


def _halved(rungs: Sequence[Change], trials: Trials) -> Sequence[Change]:
    """The first rung that makes the plan fit, the last where none does: few of them are traced."""

    def fits(rung: Change) -> bool:
        trial = trials.plan(rung.options)
        return trial is not None and trial.solved.fits

    first = bisect_left(rungs, True, key=fits)
    return rungs[first : first + 1] or rungs[-1:]


def lever_of(change: Change, before: Trial, after: Trial) -> Lever:
    """What the change does; that it also moved the optimizer state off chip is part of it."""
    options, description = dict(change.options), change.description
    if after.solved.workload.optimizer_state_offchip and not before.solved.workload.optimizer_state_offchip:
        if "optimizer_state_offchip" not in options:
            description += ", and keep the optimizer state in host memory"
        options["optimizer_state_offchip"] = True
    return Lever(
        name=options_text(options),
        description=description,
        options={name: plain(value) for name, value in options.items()},
        bytes_saved=before.peak_bytes - min(after.peak_bytes, _same_cut(before, after)),
        samples_per_second=round(after.samples_per_second, 3),
        time_lost=time_lost(before, after),
        fits=after.solved.fits,
    )


def time_lost(before: Trial, after: Trial) -> float | None:
    """Share of the samples per second that is lost; negative where they become more, None where samples are not what
    they were."""
    rate = before.samples_per_second
    resized = any(getattr(before.request, name) != getattr(after.request, name) for name in SIZES)
    return None if resized or not rate else round(1 - after.samples_per_second / rate, 6)


def _same_cut(before: Trial, after: Trial) -> int:
    """The peak without moving a unit: a planner with room to spare may use it to be faster."""
    assignment, problem = before.solved.assignment, after.solved.costing.problem
    if assignment is None or len(assignment) != len(problem.units) or max(assignment) >= len(problem.devices):
        return after.peak_bytes
    found = evaluate(problem, assignment)
    return found.peak_bytes if found.valid else after.peak_bytes
