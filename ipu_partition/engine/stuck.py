"""Which stage a run waits for in vain, from what the stages say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .beats import State

LEAST_S = 20.0
"""A stage that works this long on one micro-batch is left alone, however short the others were."""
TIMES = 5.0
"""How much longer than the longest so far a stage may work on one micro-batch."""
START_S = 120.0
"""For loading and connecting."""
LEAST_START_S = 60.0
"""For loading and connecting, however short a time the user gives: importing PyTorch takes many seconds where several
processes do it at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, in seconds, a stage may do one thing, or give no sign of life."""

    timeout_s: float | None = None
    """What the user says; None: 20 s, or five times the longest that any micro-batch took, where that is more."""
    first_s: float = LEAST_S
    """For a micro-batch of the first step, before it is known how long one takes."""

    def silent_s(self) -> float:
        """Without a sign of life."""
        return LEAST_S if self.timeout_s is None else self.timeout_s

    def start_s(self) -> float:
        return START_S if self.timeout_s is None else max(LEAST_START_S, self.timeout_s)

    def work_s(self, longest_s: float) -> float:
        """On one micro-batch."""
        return max(LEAST_S, TIMES * longest_s) if self.timeout_s is None else self.timeout_s


def stuck(states: Sequence[State | None], begun_s: float, now_s: float, limits: Limits) -> str | None:
    """The rank that holds the others up, in words; None where all may go on. `states`: of each rank."""
    longest_s = max((s.longest_s for s in states if s is not None), default=0.0)
    for rank, state in enumerate(states):
        if state is None:
            if now_s - begun_s > limits.start_s():
                return f"{named(rank)} has not started for {now_s - begun_s:.0f} s"
            continue
        silent_s = limits.silent_s() if state.step else limits.start_s()  # loading libraries holds the signs up
        if now_s - state.beat_s > silent_s:
            return f"{_unfinished(rank, state, now_s - state.beat_s)}: it has given no sign of life"
    for rank, state in enumerate(states):
        if state is not None and state.working and now_s - state.since_s > _allowed_s(state, longest_s, limits):
            return f"{_unfinished(rank, state, now_s - state.since_s)}: it was {state.doing}"
    return _all_waiting(states, now_s, longest_s, limits)


def named(rank: int) -> str:
    return f"rank {rank} (stage {rank})"


def _allowed_s(state: State, longest_s: float, limits: Limits) -> float:
    """The first step may take longer, unless the user says how long it may."""
    if state.step == 0:
        return limits.start_s()
    first_s = limits.first_s if state.finished == 0 and limits.timeout_s is None else 0.0
    return max(first_s, limits.work_s(longest_s))


def _unfinished(rank: int, state: State, seconds: float) -> str:
    what = f"step {state.step}" if state.step else "starting"
    return f"{named(rank)} has not finished {what} for {seconds:.0f} s"


def _all_waiting(states: Sequence[State | None], now_s: float, longest_s: float, limits: Limits) -> str | None:
    """Where nobody works, the one that waits in the earliest step holds the others up."""
    there = [(state.step, rank, state) for rank, state in enumerate(states) if state is not None]
    if len(there) < len(states) or any(state.working for _, _, state in there):
        return None
    _, rank, state = min(there, key=lambda one: one[:2])
    waited_s = now_s - max(one.since_s for _, _, one in there)
    if waited_s <= max(_allowed_s(state, longest_s, limits) for _, _, state in there):
        return None
    return f"{_unfinished(rank, state, waited_s)}: every stage waits for another, this one was {state.doing}"
