"""What a planner answers, and what was proved about it."""

from __future__ import annotations

from dataclasses import dataclass

from .evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class Optimal:
    """An assignment with a proof: no valid assignment that fits has a better objective (within ``evaluate.TIE``).

    ``chain`` and ``brute`` also choose the best among the ties, unless ``chain``'s limits cut that short.
    """

    assignment: tuple[int, ...]
    """Device of every unit."""
    evaluation: Evaluation
    planner: str


@dataclass(frozen=True, slots=True)
class Feasible:
    """A valid assignment without a proof; ``lower_bound_us`` is what is proved of the best one (0.0: nothing)."""

    assignment: tuple[int, ...]
    evaluation: Evaluation
    planner: str
    lower_bound_us: float = 0.0


@dataclass(frozen=True, slots=True)
class Infeasible:
    """No assignment that fits was found; ``proved``: there is none.

    ``shortfall_bytes`` is the least, over assignments, of the worst device's lack (proved, or merely found).
    ``assignment`` comes nearest: of those with that lack, the one preferred. It is ``None`` where none obeys the
    constraints, or none was found; ``reason`` says what contradicts what, or which limit was reached.
    """

    planner: str
    reason: str
    shortfall_bytes: int = 0
    proved: bool = False
    assignment: tuple[int, ...] | None = None
    evaluation: Evaluation | None = None


Solution = Optimal | Feasible | Infeasible
