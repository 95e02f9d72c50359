"""The planner: validates, searches, and says no more than was proved."""

from __future__ import annotations

from dataclasses import dataclass

from ..chain.contradiction import explain
from ..evaluate import Evaluation, evaluate
from ..problem import Problem, Schedule
from ..solution import Feasible, Infeasible, Optimal, Solution
from ..validation import validate

NAME = "inline"
SHAPE = "every device holds one run of units, in the order of the devices"


@dataclass(frozen=True, slots=True)
class Inline:
    """Exact where stages follow device order, one on each: dynamic programming over devices and runs of units.

    That is so in ``1f1b-training``, where all units are sequential, and where nothing is pinned or tied. Elsewhere the
    best cut of that form, of which nothing is proved. Sharded, only the leading criterion is proved.
    """

    limit: int = 2000
    """Places where a run may begin; with more of them it refuses (ValueError): time and memory grow with the square."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"inline has limit {self.limit}, expected 1 or more")

    def __call__(self, problem: Problem) -> Solution:
        """ProblemError where the problem is malformed."""
        validate(problem)
        from .places import in_order, places_of
        from .search import Search

        at = places_of(problem)
        if len(at) - 1 > self.limit:
            raise ValueError(f"inline would cut at {len(at) - 1} places, more than its limit of {self.limit}")
        exact, found = in_order(problem), Search.of(problem, at).best()
        if found is None:
            return _impossible(problem, exact)
        return _answer(problem, found, evaluate(problem, found), exact)


def _answer(problem: Problem, assignment: tuple[int, ...], found: Evaluation, exact: bool) -> Solution:
    assert found.valid, f"inline and evaluate disagree on {assignment}; please report the problem as JSON"
    lack = found.shortfall_bytes
    if not lack and exact:
        return Optimal(assignment, found, NAME, refined=problem.schedule is not Schedule.SHARDED)
    if not lack:
        return Feasible(assignment, found, NAME)
    which = "every assignment" if exact else "every cut in device order"
    reason = f"{which} lacks memory; the nearest lacks {lack} bytes on one device"
    return Infeasible(NAME, reason, lack, exact, assignment, found, lack if exact else 0)


def _impossible(problem: Problem, exact: bool) -> Infeasible:
    if not exact:
        return Infeasible(NAME, "no cut in device order obeys all constraints")
    from .search import possible

    return Infeasible(NAME, explain(problem, possible, SHAPE), proved=True)
