"""The baseline of Graphcore's PopLiner: fill devices in order to 60 % of their memory, else to 70 %, up to 100 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cuts import Ends, completions, cut, ends_of, no_cut
from .filling import Filling, Needs
from .layers import judged
from .problem import Problem
from .row import Row, row_of
from .solution import Feasible, Infeasible, Solution
from .validation import validate

if TYPE_CHECKING:
    from .cuts import Indices

NAME = "greedy"


@dataclass(frozen=True, slots=True)
class Greedy:
    """Fills the devices in order, each as far as its fill level and the constraints on the rest allow.

    The first level that no device exceeds decides; failing that the first at which everything fits, failing that the
    one that lacks least. While a device is filled, its stash is that of a pipeline through all devices. Source:
    graphcore/popliner:DEVELOPMENT.md (there on the profile of a compiled model, hence without any stash).
    """

    levels: tuple[int, ...] = (60, 70, 80, 90, 100)
    """Percent of the capacity of every device, in the order in which they are tried."""

    def __post_init__(self) -> None:
        if not self.levels or any(not 0 < level <= 100 for level in self.levels):
            raise ValueError(f"greedy has levels {self.levels}, expected some percentages from 1 to 100")

    def __call__(self, problem: Problem) -> Solution:
        """ProblemError where the problem is malformed."""
        validate(problem)
        row = row_of(problem)
        ends = ends_of(row)
        needs = Needs.of(row)
        found: list[Feasible | Infeasible] = []
        for level in self.levels:
            cuts = filled(row, ends, needs, level)
            if cuts is None:
                return no_cut(NAME, row)
            found.append(judged(problem, NAME, f"filling to {level} %", row.assignment(cuts)))
            if _within(found[-1], level):
                return found[-1]
        return min(found, key=_lack)


def filled(row: Row, ends: Sequence[Ends], needs: Needs, level: int) -> tuple[int, ...] | None:
    """Cuts that fill every device to ``level`` percent where they can; ``None`` where no cuts obey the constraints."""

    def fullest(device: int, start: int, candidates: Indices) -> int:
        room = row.problem.devices[device].capacity_bytes * level // 100
        filling = Filling(needs, device, start)
        stop = start
        while stop < candidates[-1] and filling.with_block(row.blocks[stop]) <= room:
            stop += 1
        return int(candidates[max(0, int(candidates.searchsorted(stop, side="right")) - 1)])

    return cut(ends, completions(ends), fullest)


def _within(found: Feasible | Infeasible, level: int) -> bool:
    return isinstance(found, Feasible) and all(
        load.memory.total * 100 <= load.capacity_bytes * level for load in found.evaluation.devices
    )


def _lack(found: Feasible | Infeasible) -> tuple[bool, int]:
    """Least for an assignment that fits, most for none."""
    return found.assignment is None, 0 if isinstance(found, Feasible) else found.shortfall_bytes
