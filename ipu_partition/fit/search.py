"""Which rung to stand on, on each of several ladders, so that something fits and least is lost. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

Rungs = tuple[int, ...]
"""A rung of each ladder; 0: nothing is changed."""

DOUBT = 0.05
"""What a set may promise to lose beyond the best found and still be tried: promises are about plans that do not fit."""

MOST_TRIALS = 40
"""Sets that are tried in the hope of losing less than the first set found."""


def cheapest(
    heights: Sequence[int],
    fits: Callable[[Rungs], bool],
    loss: Callable[[Rungs], float],
    guess: Callable[[Rungs], float],
) -> Rungs | None:
    """A set of rungs that fits, none of which can be lowered, and loses least among the sets that are tried.

    Higher rungs are taken to fit wherever lower ones do. `heights` are the numbers of rungs above 0, `loss` is what a
    set that fits loses, `guess` what it may lose. First all ladders are climbed to the top: None where that does not
    fit. Then the least rung of each is found with the others at the top; sets below that never fit. From there on sets
    are tried, those first that promise to lose least, until none promises less than what was found.
    """
    top, failed = tuple(heights), list[Rungs]()
    if not fits(top):
        return None

    def hopeful(rungs: Rungs) -> bool:
        if any(_below(rungs, other) for other in failed):
            return False
        if fits(rungs):
            return True
        failed.append(rungs)
        return False

    least = tuple(next(r for r in range(h + 1) if r == h or hopeful(_with(top, i, r))) for i, h in enumerate(heights))
    best = _lowered(top, hopeful, guess)
    ranges = (range(low, high + 1) for low, high in zip(least, heights, strict=True))
    for rungs in sorted(product(*ranges), key=lambda r: (guess(r), _changes(r), r))[:MOST_TRIALS]:
        if guess(rungs) >= loss(best) + DOUBT:
            break
        if hopeful(rungs) and _key(lower := _lowered(rungs, hopeful, guess), loss) < _key(best, loss):
            best = lower
    return best


def _lowered(rungs: Rungs, fits: Callable[[Rungs], bool], guess: Callable[[Rungs], float]) -> Rungs:
    """`rungs` without what is not needed: what loses most is given up first."""
    while True:
        lower = [_with(rungs, i, r) for i, rung in enumerate(rungs) for r in range(rung)]
        found = next((r for r in sorted(lower, key=lambda r: (guess(r), _changes(r), r)) if fits(r)), None)
        if found is None:
            return rungs
        rungs = found


def _key(rungs: Rungs, loss: Callable[[Rungs], float]) -> tuple[float, int, Rungs]:
    return loss(rungs), _changes(rungs), rungs


def _with(rungs: Rungs, index: int, rung: int) -> Rungs:
    return (*rungs[:index], rung, *rungs[index + 1 :])


def _changes(rungs: Rungs) -> int:
    return sum(rung > 0 for rung in rungs)


def _below(one: Rungs, other: Rungs) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))
