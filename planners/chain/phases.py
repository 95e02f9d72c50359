"""One criterion after the other, each among the ways that tie on those before.

Limits make the search narrow. They are guessed just above a bound that was proved, and widened until a way is found:
all ways within the limits are looked at, so the best one found is the best there is, and a guess that fails is a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..evaluate import TIE, evaluate, preferred
from ..problem import Preference
from .blocks import Blocks
from .bounds import cycle_bound_us, latency_bound_us, peak_bound_bytes
from .branch import Found, units_of
from .caps import MANY, Caps
from .costs import Coster
from .layers import Component, Goal
from .search import Search

CYCLE = Component("time_us", total=False)
LATENCY = Component("time_us", total=True)
MEMORY = Component("memory_bytes", total=False)
LACK = Component("lack_bytes", total=False)
LAST: Goal = (Component("received_bytes", total=True), Component("evenness", total=True))
WIDTHS = tuple(2.0**power for power in (-6, -3, -2, -1, 0, 1, 2, 3, 4))
"""How far above the bound the guesses lie, relative to it."""
DIVE = 12
"""Branches of a first look, which seldom misses the best."""
SMALL = 40_000
"""Spans times devices below which guessing does not pay."""


class OutOfTimeError(Exception):
    """The time limit, or the limit on rows, is reached."""


@dataclass
class Progress:
    """What is known so far. Survives :class:`OutOfTimeError`."""

    best: Found = field(default_factory=Found)
    bound: float = 0.0
    """Of the leading criterion."""
    leading: bool = False
    """The best is proved to be so by the leading criterion."""
    refined: bool = False
    """And by all further ones."""
    none_fits: bool = False
    none_valid: bool = False
    lack_bytes: float = 0.0
    """Of the best; 0 where it fits."""
    least_lack_bytes: float = 0.0
    """Proved."""


class Phases:
    """One problem. ``tick`` may raise :class:`OutOfTimeError`."""

    def __init__(self, blocks: Blocks, tick: Callable[[int], None]) -> None:
        self._blocks, self._tick, self._coster = blocks, tick, Coster(blocks)
        self._devices = blocks.problem.devices
        self._room = tuple(float(device.capacity_bytes) for device in self._devices)
        self.progress = Progress()

    def run(self) -> None:
        """Fill in :attr:`progress`."""
        if not self._criteria():
            self.progress.none_fits = True
            if self.lack():
                self._room = self._more(self.progress.lack_bytes)
                self._criteria()

    def lack(self) -> bool:
        """Find the least memory that the worst device lacks. False where no way obeys the constraints."""
        known = self.progress
        least = max(0.0, self._blocks.held_bytes[-1] - sum(self._room)) / len(self._devices)
        known.least_lack_bytes = least

        def proved(lack_bytes: float) -> None:
            known.least_lack_bytes = max(known.least_lack_bytes, lack_bytes)

        found = self._optimum(
            LACK, least, max(least, *self._room), lambda lack: self._caps(room=self._more(lack)), proved
        )
        if found is None:
            known.none_valid = True
            return False
        known.best, known.lack_bytes = found, max(0.0, _value(found))
        known.least_lack_bytes = known.lack_bytes
        return True

    def assignment(self) -> tuple[int, ...]:
        """The best so far."""
        return units_of(self._blocks, self.progress.best)

    def _criteria(self) -> bool:
        """All criteria in order. False where nothing fits."""
        by_time = self._blocks.problem.prefer is Preference.TIME
        if self._blocks.sharded:
            return self._latency_first() if by_time else self._memory_first_sharded()
        time_us, room, most = np.inf, self._room, np.inf
        for time in (by_time, not by_time):
            value = self._cycle(room, most) if time else self._peak(time_us, most)
            if value is None:
                return False
            time_us, room = (value * (1 + TIE), room) if time else (time_us, self._capped(value))
            if np.isinf(most):
                reached = evaluate(self._blocks.problem, self.assignment())
                most = reached.peak_bytes if time else reached.objective_us
        self._refine(self._caps(time_us, room), LAST)
        return True

    def _cycle(self, room: tuple[float, ...], most: float) -> float | None:
        """Least cycle time."""

        def caps(guess: float) -> Caps:
            return self._caps(guess * (1 + TIE), room)

        return self._least(CYCLE, cycle_bound_us(self._blocks), most, caps)

    def _peak(self, time_us: float, most: float) -> float | None:
        """Least peak memory."""
        return self._least(
            MEMORY, peak_bound_bytes(self._blocks), most, lambda guess: self._caps(time_us, self._capped(guess))
        )

    def _least(
        self, criterion: Component, least: float, most: float, caps: Callable[[float], Caps], scale: float | None = None
    ) -> float | None:
        """``most`` is reached by a known way: all better ones are looked at at once. Infinite: none is known."""
        leading, known = not self.progress.leading, self.progress

        def proved(value: float) -> None:
            known.bound = max(known.bound, value) if leading else known.bound

        proved(least)
        if np.isfinite(most):
            found: Found | None = self._search(caps(most), (criterion,))
        else:
            found = self._optimum(criterion, least, least if scale is None else scale, caps, proved)
        if found is None:
            return None
        proved(_value(found))
        known.best, known.leading = found, True
        return _value(found)

    def _optimum(
        self,
        criterion: Component,
        least: float,
        scale: float,
        caps: Callable[[float], Caps],
        proved: Callable[[float], None],
    ) -> Found | None:
        """The best way by one criterion; None where there is none at all. ``proved`` is told of bounds on the way."""
        for guess in self._guesses(least, scale, caps):
            dive = Search(self._coster, caps(guess), (criterion,), self._tick, branches=DIVE)
            found = self._run(dive)
            if found.values is not None:
                return found if dive.complete else self._search(caps(_value(found)), (criterion,), found)
            if np.isinf(guess):
                found = self._search(caps(guess), (criterion,)) if not dive.complete else found
                return found if found.values is not None else None
            if dive.complete:
                proved(guess)
        return None

    def _latency_first(self) -> bool:
        """Latency, then memory. Ways of little memory are tried first: one of them mostly has the least latency."""
        least, peak = latency_bound_us(self._blocks), peak_bound_bytes(self._blocks)
        limit_us, most, known = np.inf, np.inf, self.progress
        known.bound = least

        def caps(guess: float) -> Caps:
            return self._caps(room=self._capped(guess), latency_us=limit_us)

        for guess in self._guesses(peak, peak, caps):
            dive = Search(self._coster, caps(guess), (LATENCY, MEMORY), self._tick, branches=DIVE)
            found = self._run(dive)
            if found.values is None:
                continue
            most = _value(found)
            break
        if most > least * (1 + TIE):
            latency_us = self._latency(self._room, most)
            if latency_us is None:
                return False
            least = latency_us
        known.leading, known.bound, limit_us = True, least, least * (1 + TIE)
        for guess in self._guesses(peak, peak, caps):
            found = self._search(caps(guess), (LATENCY, MEMORY))
            if found.values is not None and _value(found) <= limit_us:
                known.best = found
                room = self._capped(found.values[1])
                self._refine(self._caps(room=room, latency_us=limit_us), (LATENCY, *LAST))
                return True
        raise AssertionError("this latency was reached, so a way reaches it")

    def _latency(self, room: tuple[float, ...], most: float) -> float | None:
        """Least latency. Ways differ by cuts mostly, so guesses are as far apart as those are long."""
        devices = len(self._devices)
        least, scale = latency_bound_us(self._blocks), devices * float(self._blocks.cut_us.max(initial=0.0))
        return self._least(
            LATENCY, least, most, lambda guess: self._caps(room=room, latency_us=guess * (1 + TIE)), scale
        )

    def _memory_first_sharded(self) -> bool:
        peak_bytes = self._peak(np.inf, np.inf)
        if peak_bytes is None:
            return False
        room = self._capped(peak_bytes)
        latency_us = self._latency(room, np.inf)
        assert latency_us is not None, "this memory was enough, so a way is within it"
        self._refine(self._caps(room=room, latency_us=latency_us * (1 + TIE)), (LATENCY, *LAST))
        return True

    def _refine(self, caps: Caps, goal: Goal) -> None:
        found = self._search(caps, goal)
        assert found.values is not None, "the criteria before were reached, so a way reaches them"
        self.progress.best, self.progress.refined = found, True

    def _search(self, caps: Caps, goal: Goal, otherwise: Found | None = None) -> Found:
        """Every way within the limits; ``otherwise`` where there is none."""
        if self._hopeless(caps):
            return otherwise or Found()
        found = self._run(Search(self._coster, caps, goal, self._tick))
        return otherwise if found.values is None and otherwise is not None else found

    def _run(self, search: Search) -> Found:
        """What is found counts even if the search is broken off."""
        try:
            found = search.run()
        except OutOfTimeError:
            self._consider(search.found)
            raise
        if self.progress.best.values is None:
            self.progress.best = found
        return found

    def _consider(self, found: Found) -> None:
        """Keep it, if it is better than what is known."""
        if found.values is None:
            return
        known = self.progress
        if known.best.values is None:
            known.best = found
            return
        old, new = (evaluate(self._blocks.problem, units_of(self._blocks, way)) for way in (known.best, found))
        less = new.shortfall_bytes < old.shortfall_bytes
        if less or (new.shortfall_bytes == old.shortfall_bytes and preferred([old, new]) == 1):
            known.best = found

    def _guesses(self, least: float, scale: float, caps: Callable[[float], Caps]) -> Iterator[float]:
        """From ``least`` on, farther and farther; those that are seen to be hopeless are left out."""
        spans = len(self._blocks) ** 2 * len(self._devices)
        if spans > SMALL and scale > 0:
            widths = WIDTHS if spans > MANY else WIDTHS[1:]
            precision = widths[0] / (8 if spans > MANY else 2)
            start = _first_hope(least, scale, precision, lambda guess: self._hopeless(caps(guess)))
            yield from (start + scale * width for width in widths)
        yield np.inf

    def _hopeless(self, caps: Caps) -> bool:
        self._tick(1)
        return caps.hopeless

    def _more(self, lack_bytes: float) -> tuple[float, ...]:
        return tuple(device.capacity_bytes + lack_bytes for device in self._devices)

    def _caps(self, time_us: float = np.inf, room: tuple[float, ...] | None = None, latency_us: float = np.inf) -> Caps:
        room = self._room if room is None else room
        return Caps(self._blocks, time_us, room, latency_us, by_memory=room == self._room or np.isinf(time_us))

    def _capped(self, peak_bytes: float) -> tuple[float, ...]:
        return tuple(min(room, peak_bytes) for room in self._room)


def _value(found: Found) -> float:
    """By the first criterion."""
    assert found.values is not None
    return found.values[0]


def _first_hope(least: float, scale: float, precision: float, hopeless: Callable[[float], bool]) -> float:
    """A guess from ``least`` on below which all are hopeless, found by bisection: near the first that is not."""
    low = high = least
    width = precision = scale * precision
    while hopeless(high):
        low, high, width = high, high + width, 2 * width
        if width > scale * 64:
            return low
    while high - low > precision:
        middle = (low + high) / 2
        low, high = (middle, high) if hopeless(middle) else (low, middle)
    return low
