"""What the baselines share: which units are layers, what the others follow, and what may be claimed of the result.

*Layers* are the sequential units or, where there are none, the units that are neither pinned nor tied. A baseline
places those; the others follow them in one fixed way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from .evaluate import evaluate
from .problem import Problem, Schedule
from .solution import Feasible, Infeasible

FIRST_DEVICE = -1
"""In :func:`owners`: the unit follows no other and goes to device 0."""
MOST_WORDS = 5
"""Violations named in a reason."""


def layer_units(problem: Problem) -> list[int]:
    """The units that ``layers`` counts, ascending."""
    if problem.sequential:
        return sorted(problem.sequential)
    bound = {unit for unit, _ in problem.pins}
    bound |= {unit for group in problem.groups if group.colocate for unit in group.members}
    return [unit for unit in range(len(problem.units)) if unit not in bound]


def owners(problem: Problem, layers: Sequence[int]) -> list[int]:
    """Per unit: the layer or pinned unit whose device it takes, itself where it is one, or ``FIRST_DEVICE``.

    Units that may not be parted and tied groups are of one company. A company with a pinned unit or a layer follows
    that; any other goes where the unit before its first one goes.
    """
    root, settled = companies(problem), dict[int, int]()
    pinned = [unit for unit, _ in problem.pins]
    for unit in (*pinned, *layers):
        settled.setdefault(root[unit], unit)
    own = {*pinned, *layers}
    found: list[int] = []
    for unit, company in enumerate(root):
        before = found[-1] if found else FIRST_DEVICE
        found.append(unit if unit in own else settled.setdefault(company, before))
    return found


def companies(problem: Problem) -> list[int]:
    """Per unit: the first unit of those that must share its device (tied, or not to be parted)."""
    root = list(range(len(problem.units)))
    for one, other in _pairs(problem):
        a, b = _root(root, one), _root(root, other)
        root[max(a, b)] = min(a, b)
    return [_root(root, unit) for unit in range(len(root))]


def _pairs(problem: Problem) -> Iterator[tuple[int, int]]:
    yield from ((unit, unit + 1) for unit in problem.forbidden_cuts)
    for group in problem.groups:
        yield from pairwise(group.members) if group.colocate else ()


def _root(root: list[int], unit: int) -> int:
    while root[unit] != unit:
        root[unit] = root[root[unit]]
        unit = root[unit]
    return unit


def work_us(problem: Problem) -> list[float]:
    """Per unit: time at speed 1 that it takes in any assignment: forward and, in training, backward and, unless 1F1B,
    forward again.

    Units after the model's last checkpoint are not run again where they are in the last stage; see ``evaluate``.
    """
    if not problem.schedule.trains:
        return [unit.forward_us for unit in problem.units]
    if problem.schedule is Schedule.ONE_F_ONE_B:
        return [unit.forward_us + unit.backward_us for unit in problem.units]
    last = max((i for i, unit in enumerate(problem.units) if unit.checkpoint_bytes), default=-1)
    return [u.forward_us * (2 if i <= last else 1) + u.backward_us for i, u in enumerate(problem.units)]


def weight_bytes(problem: Problem) -> list[int]:
    """Per unit: resident bytes, and those of shared groups with the first member of each."""
    held = [unit.resident_bytes for unit in problem.units]
    for group in problem.groups:
        for unit in group.members[:1]:
            held[unit] += group.bytes
    return held


def judged(problem: Problem, planner: str, what: str, assignment: tuple[int, ...]) -> Feasible | Infeasible:
    """The answer of a planner that does not search. ``what`` names its split in the reason."""
    evaluation = evaluate(problem, assignment)
    if not evaluation.valid:
        return Infeasible(planner, f"{what}: {_words(evaluation.violations)}")
    if evaluation.fits:
        return Feasible(assignment, evaluation, planner)
    lack = evaluation.shortfall_bytes
    return Infeasible(planner, f"{what} lacks {lack} bytes on one device", lack, False, assignment, evaluation)


def _words(violations: Sequence[str]) -> str:
    more = len(violations) - MOST_WORDS
    return "; ".join(islice(violations, MOST_WORDS)) + (f"; and {more} more" if more > 0 else "")
