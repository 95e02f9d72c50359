"""What a device costs that holds one run of units, for all runs between two places at once.

Tables have a row for each place where a run begins and a column for each where it ends; what lies below the diagonal
means nothing. They are filled from the last unit to the first, because what a run reads from elsewhere changes only at
units that read or make something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from ..problem import Problem, Schedule
from .flows import Flows
from .peaks import Peaks

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Values = NDArray[Any]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Runs:
    """One table for each part of the rules of ``evaluate``; bytes are whole."""

    work_us: Floats
    """At speed 1."""
    last_us: Floats
    """As above, in the last stage."""
    received: Ints
    """Bytes."""
    moved: Ints
    """Bytes received and sent."""
    copies: Ints
    """Times that something is received or sent."""
    kept: Ints
    """Bytes that do not depend on how many stages follow."""
    deep: Ints
    """Bytes that are kept for each micro-batch that is under way: of tensors and checkpoints."""
    live: Ints
    """As above, of activations; 0 where these are recomputed."""
    peak: Ints
    """Most bytes of working memory beside ``live`` while the units run."""
    update: Ints
    """Most bytes of temporaries while weights are updated."""


def runs_of(problem: Problem, places: Sequence[int]) -> Runs:
    """The tables of all runs between two of the places (units, ascending)."""
    at, sums, flows, peaks = np.array(places), _Sums(problem), Flows(problem), Peaks(problem)
    shape = len(at), len(at)
    tables: dict[str, Values] = {field.name: np.zeros(shape, _kind(field.name)) for field in fields(Runs)}
    row = {place: index for index, place in enumerate(places)}
    for start in range(len(problem.units) - 1, -1, -1):
        flows.begin_at(start)
        peaks.begin_at(start)
        if start in row:
            found: dict[str, Values] = {**sums.of(start), **flows.of(start), **peaks.of(start)}
            found["deep"] = found.pop("checkpoints") + found.pop("reads")
            found["kept"] = found.pop("own") + found.pop("shared")
            for name, values in found.items():
                tables[name][row[start]] = values[at]
    return Runs(**tables)


def _kind(name: str) -> type:
    return np.float64 if name.endswith("_us") else np.int64


class _Sums:
    """What adds up over the units of a run, from prefix sums; all by the unit behind its end."""

    def __init__(self, problem: Problem) -> None:
        units, schedule = problem.units, problem.schedule
        again = schedule is Schedule.TRAINING
        last = max((i for i, unit in enumerate(units) if unit.checkpoint_bytes), default=-1)
        trained = [u.backward_us if schedule.trains else 0.0 for u in units]
        self._once = _prefix([u.forward_us + b for u, b in zip(units, trained, strict=True)])
        self._forward = _prefix([u.forward_us if again else 0.0 for u in units])
        self._until = last + 1
        self._own = _prefix([u.resident_bytes + u.code_bytes for u in units])
        self._checkpoints = _prefix([u.checkpoint_bytes if again else 0 for u in units])
        self._live = _prefix([0 if again or not schedule.trains else u.live_bytes for u in units])

    def of(self, start: int) -> dict[str, Values]:
        once, again = self._once - self._once[start], self._forward - self._forward[start]
        return {
            "work_us": once + again,
            "last_us": once + max(0.0, float(self._forward[self._until] - self._forward[start])),
            "own": self._own - self._own[start],
            "checkpoints": self._checkpoints - self._checkpoints[start],
            "live": self._live - self._live[start],
        }


def _prefix(values: Sequence[float]) -> Values:
    kind = np.int64 if all(isinstance(value, int) for value in values) else np.float64
    return np.concatenate([np.zeros(1, kind), np.cumsum(np.array(values, kind))])
