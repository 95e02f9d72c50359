"""What is asked of a run, checked before anything heavy is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import UsageError

ENGINES = ("torch",)
SCHEDULES = ("1f1b", "gpipe")
MAX_RANKS = 64
"""More processes than this on one machine are a mistake."""
LEAST_TIMEOUT_S = 2.0
MICRO_BATCHES_PER_RANK = 2
"""Where the user does not say: enough to fill the pipeline, and few enough for a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a plan is run. Raises :class:`UsageError` for what cannot be."""

    ranks: int
    """Processes, each with one stage of the pipeline."""
    steps: int = 5
    """Weight updates."""
    schedule: str = "1f1b"
    micro_batches: int | None = None
    """Of each step; None: those of a plan for the devices of a machine file, twice as many as ranks for others."""
    seed: int = 0
    """Of weights, data and dropout."""
    learning_rate: float = 5e-5
    compare: bool = True
    """Whether the whole model is trained beside it, in one process."""
    timeout_s: float | None = None
    """How long a stage may work on one micro-batch, or give no sign of life; None: see :class:`.stuck.Limits`."""

    def __post_init__(self) -> None:
        _count("nproc", self.ranks)
        _count("steps", self.steps)
        if self.ranks > MAX_RANKS:
            raise UsageError(f"{self.ranks} processes were asked for, expected at most {MAX_RANKS} on one machine.")
        if self.schedule not in SCHEDULES:
            raise UsageError(f"schedule is {self.schedule!r}, expected {' or '.join(SCHEDULES)}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 32:
            raise UsageError(f"seed is {self.seed!r}, expected a whole number of at least 0 and below 2**32.")
        _positive("learning_rate", self.learning_rate)
        if self.timeout_s is not None:
            _positive("timeout", self.timeout_s)
            if self.timeout_s < LEAST_TIMEOUT_S:
                raise UsageError(
                    f"timeout is {self.timeout_s:g} s, expected at least {LEAST_TIMEOUT_S:g}: stages give a sign of "
                    "life every half second, and a busy machine holds it up."
                )
        if self.micro_batches is not None:
            _count("micro_batches", self.micro_batches)
            self._check_filled(self.micro_batches)

    def _check_filled(self, micro_batches: int) -> None:
        if self.schedule == "1f1b" and micro_batches < self.ranks:
            raise UsageError(
                f"{micro_batches} micro-batches cannot fill a 1f1b pipeline of {self.ranks} stages; expected at least "
                f"{self.ranks}. Try --micro-batches {self.ranks} or more, or --schedule gpipe."
            )

    def per_step(self, planned: int | None) -> int:
        """Micro-batches of a step. `planned`: what a plan for a machine file has."""
        return self.micro_batches or planned or MICRO_BATCHES_PER_RANK * self.ranks


def check_engine(name: str) -> None:
    """UsageError for an engine there is not."""
    if name not in ENGINES:
        raise UsageError(f"engine is {name!r}, expected {' or '.join(ENGINES)} (PyTorch's own pipeline).")


def _count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name} is {value!r}, expected a whole number of at least 1.")


def _positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise UsageError(f"{name} is {value!r}, expected a number above 0.")
