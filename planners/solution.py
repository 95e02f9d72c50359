"""What a planner answers, and what was proved about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class Optimal:
    """An assignment with a proof: no valid assignment that fits is better in the leading criterion (within ``TIE``).

    ``refined``: nor is any better in the further criteria among those that tie.
    """

    assignment: tuple[int, ...]
    """Device of every unit."""
    evaluation: Evaluation
    planner: str
    refined: bool = True
    seconds: float = field(default=0.0, compare=False)
    """How long the planner took; set by ``solve``."""

    @property
    def lower_bound(self) -> float:
        """Of the leading criterion: microseconds, or bytes where memory is preferred."""
        return self.evaluation.leading

    @property
    def gap(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Feasible:
    """A valid assignment that fits, without a proof."""

    assignment: tuple[int, ...]
    evaluation: Evaluation
    planner: str
    lower_bound: float = 0.0
    """What is proved: no valid assignment that fits has a leading criterion below this. 0.0: nothing."""
    seconds: float = field(default=0.0, compare=False)

    @property
    def gap(self) -> float:
        """How much of the leading criterion might be saved: 0 (nothing) to 1 (not known)."""
        value = self.evaluation.leading
        return max(0.0, (value - self.lower_bound) / value) if value > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Infeasible:
    """No assignment that fits was found; ``proved``: there is none.

    ``shortfall_bytes`` is the lack of the worst device of ``assignment``, which comes nearest: the least lack there is
    if ``least_shortfall_bytes`` equals it, else the least that was found. ``assignment`` obeys all constraints but
    memory; it is ``None`` where nothing obeys them, or nothing was found. ``reason`` says what contradicts what, or
    which limit was reached.
    """

    planner: str
    reason: str
    shortfall_bytes: int = 0
    proved: bool = False
    assignment: tuple[int, ...] | None = None
    evaluation: Evaluation | None = None
    least_shortfall_bytes: int = 0
    """Proved: every assignment lacks so much on some device. 0: nothing is proved."""
    seconds: float = field(default=0.0, compare=False)


Solution = Optimal | Feasible | Infeasible
