"""What came of a run."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..emit.torch_pipelining import Change

TOLERANCE = 1e-4
"""How far the loss of a step may be from that of the same step in one process."""


@dataclass(frozen=True, slots=True)
class Step:
    """One weight update."""

    step: int
    """Counted from 1."""
    loss: float
    seconds: float
    alone_loss: float | None = None
    """Of the same step in one process; None: not compared."""
    alone_seconds: float | None = None

    @property
    def difference(self) -> float | None:
        return None if self.alone_loss is None else abs(self.loss - self.alone_loss)

    @property
    def agrees(self) -> bool:
        """False for what is no number, too."""
        return self.difference is None or self.difference <= TOLERANCE


@dataclass(frozen=True, slots=True)
class Stage:
    """What one rank held."""

    modules: tuple[str, ...]
    parameters: int
    """Elements, those of copies included."""
    sent_bytes: int
    """To the next stage, of each micro-batch."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of a plan."""

    model: str
    plan: str
    """The fingerprint of the plan."""
    torch: str
    device: str
    schedule: str
    micro_batches: int
    """Of each step."""
    seed: int
    learning_rate: float
    stages: tuple[Stage, ...]
    change: Change | None
    """What was planned again; None: the stages are those of the plan."""
    predicted_step_seconds: float | None
    """What the plan predicts; None: it is for IPUs, or for another number of micro-batches."""
    steps: tuple[Step, ...]
    gradient: str = ""
    """The weight whose gradient differs most in the first step."""
    gradient_difference: float | None = None
    """By which share of its norm; None: not compared."""

    @property
    def passed(self) -> bool:
        """Whether nothing that was compared differs."""
        alike = self.gradient_difference is None or self.gradient_difference <= TOLERANCE
        return alike and self.first_difference is None

    @property
    def compared(self) -> bool:
        return all(step.alone_loss is not None for step in self.steps)

    @property
    def first_difference(self) -> Step | None:
        """The first step whose loss is not that of one process."""
        return next((step for step in self.steps if not step.agrees), None)

    @property
    def step_seconds(self) -> float:
        """Median, without the first step, which makes connections, where there are others."""
        return typical([step.seconds for step in self.steps])

    @property
    def alone_step_seconds(self) -> float | None:
        """As `step_seconds`, in one process."""
        return typical([s.alone_seconds for s in self.steps if s.alone_seconds is not None]) if self.compared else None

    def to_json(self) -> str:
        """Everything, keys sorted."""
        different = self.first_difference
        largest = max((s.difference for s in self.steps if s.difference is not None), default=None)
        found = {
            **asdict(self),
            "steps": [_plain({**asdict(step), "difference": step.difference}) for step in self.steps],
            "step_seconds": self.step_seconds,
            "alone_step_seconds": self.alone_step_seconds,
            **_plain({"largest_difference": largest}),
            "tolerance": TOLERANCE,
            "first_difference": None if different is None else different.step,
            "passed": self.passed if self.compared else None,
        }
        return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _plain(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """None for what is no number, which JSON has none for."""
    return {name: value if value is None or math.isfinite(value) else None for name, value in figures.items()}


def typical(seconds: Sequence[float]) -> float:
    return statistics.median(seconds[1:] or seconds)
