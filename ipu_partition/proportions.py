"""Plans where IPUs differ in their available-memory proportion: what a unit takes then depends on where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from planners import Feasible, Infeasible, Optimal, Problem, Solution, confirm
from planners.evaluate import TIE, evaluate

from .machine import Costing

ROUNDS = 8
"""Assignments that are tried before the nearest so far is taken."""


def settle(
    make: Callable[[tuple[int, ...]], Costing], relaxed: Costing, lenient: Solution, ask: Callable[[Problem], Solution]
) -> tuple[Costing, Solution]:
    """The best assignment found, judged with every unit's proportion that of its IPU.

    `make` gives the problem where units have the proportions of the IPUs named; `relaxed` is the problem where each has
    the memory of the least and the time of the greatest, and `lenient` its answer: no plan can be better, so its bound
    holds here. Where the assignment it gives does not fit after all, the planner is asked again with the proportions of
    that assignment, until one fits or nothing new comes.
    """
    best, homes, tried = (relaxed, lenient), lenient.assignment, set[tuple[int, ...]]()
    while homes is not None and homes not in tried and len(tried) < ROUNDS:
        tried.add(homes)
        costing = make(homes)
        found = _judged(costing, homes, lenient)
        if len(tried) == 1 or _nearer(found, best[1]):
            best = costing, found
        if not isinstance(found, Infeasible):
            break
        homes = ask(costing.problem).assignment
    return best


def _judged(costing: Costing, homes: tuple[int, ...], lenient: Solution) -> Solution:
    found = evaluate(costing.problem, homes)
    answer: Solution
    if not found.fits:
        proved = isinstance(lenient, Infeasible) and lenient.proved
        least = lenient.least_shortfall_bytes if isinstance(lenient, Infeasible) else 0
        lack = found.shortfall_bytes
        reason = f"the nearest found lacks {lack} bytes on one device"
        answer = Infeasible(lenient.planner, reason, lack, proved, homes, found, min(lack, least))
    else:
        bound = 0.0 if isinstance(lenient, Infeasible) else min(lenient.lower_bound, found.leading)
        best = isinstance(lenient, Optimal) and found.leading <= bound * (1 + TIE)
        made = Optimal(homes, found, lenient.planner, refined=False)
        answer = made if best else Feasible(homes, found, lenient.planner, bound)
    confirm(costing.problem, answer)
    return replace(answer, seconds=lenient.seconds)


def _nearer(one: Solution, other: Solution) -> bool:
    """Whether `one` fits, or lacks less than `other`."""
    if not isinstance(one, Infeasible):
        return True
    return isinstance(other, Infeasible) and one.shortfall_bytes < other.shortfall_bytes
