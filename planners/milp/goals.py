"""What is minimised, and what an answer may take at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from math import inf

from ..evaluate import TIE, Evaluation
from .network import Network


class Goal(Enum):
    LACK = auto()
    """The largest shortfall of a device."""
    TIME = auto()
    MEMORY = auto()
    COPIES = auto()
    EVENNESS = auto()

    def of(self, evaluation: Evaluation) -> float:
        """What the judge says of it: bytes, us, or us^2."""
        if self is Goal.LACK:
            return evaluation.shortfall_bytes
        if self is Goal.TIME:
            return evaluation.objective_us
        if self is Goal.MEMORY:
            return evaluation.peak_bytes
        return evaluation.copied_bytes if self is Goal.COPIES else evaluation.evenness

    def most(self, network: Network) -> float:
        """No assignment takes more time or memory."""
        if self is not Goal.TIME:
            return float(most_bytes(network))
        blocks, problem = network.blocks, network.blocks.problem
        copies_us = 2 * len(problem.devices) * sum(blocks.flows.values()) * problem.copy_us_per_byte
        return sum(blocks.work_us) / min(device.speed for device in problem.devices) + copies_us


@dataclass(frozen=True, slots=True)
class Limits:
    """What an answer may take at most."""

    capacities: tuple[int, ...]
    time_us: float = inf
    peak_bytes: float = inf
    copied_bytes: float = inf

    def allow(self, evaluation: Evaluation, goal: Goal | None = None) -> bool:
        """Memory may be short where that is the goal."""
        if goal is Goal.LACK:
            return evaluation.valid
        holds = zip(evaluation.devices, self.capacities, strict=True)
        return (
            evaluation.valid
            and all(load.memory.total <= capacity for load, capacity in holds)
            and evaluation.objective_us <= self.time_us
            and evaluation.peak_bytes <= self.peak_bytes
            and evaluation.copied_bytes <= self.copied_bytes
        )

    def device_bytes(self) -> list[float]:
        return [min(capacity, self.peak_bytes) for capacity in self.capacities]

    def with_goal(self, goal: Goal, value: float) -> Limits:
        """With a limit on the goal as well, where it has one."""
        if goal is Goal.LACK:
            return replace(self, capacities=tuple(capacity + int(value) for capacity in self.capacities))
        if goal is Goal.TIME:
            return replace(self, time_us=min(self.time_us, value))
        if goal is Goal.MEMORY:
            return replace(self, peak_bytes=min(self.peak_bytes, value))
        return replace(self, copied_bytes=value) if goal is Goal.COPIES else self

    def sharpened(self, goal: Goal, known: Evaluation | None, network: Network) -> Limits:
        """With the goal no worse than in a known assignment, where that obeys the limits."""
        if goal is Goal.LACK:
            return self.with_goal(goal, known.shortfall_bytes if known else most_bytes(network))
        if known is None or not self.allow(known):
            return self
        return self.with_goal(goal, goal.of(known) * (1 + TIE if goal is Goal.TIME else 1))


def most_bytes(network: Network) -> int:
    """No device ever holds more."""
    blocks, problem = network.blocks, network.blocks.problem
    deepest = 2 * int(network.slot.max()) + 2
    kept = sum(blocks.kept_bytes) + sum(blocks.shared.values()) + max(device.base_bytes for device in problem.devices)
    deep = sum(blocks.checkpoint_bytes) + sum(blocks.stashes.values())
    runs = sum(live + transient for run in blocks.runs for _, live, transient in run)
    return kept + deepest * deep + runs + max(blocks.alone_bytes)
