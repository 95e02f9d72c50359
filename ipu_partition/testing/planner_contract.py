"""The property suite that a planner must pass, whoever wrote it. Standard library only; it needs no test framework."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from planners import Feasible, Infeasible, Optimal, Planner, Problem, Schedule, parse
from planners.problem_json import to_json
from planners.registry import takes

from .limits import has_time_limit, keeps_its_time_limit
from .problems import SCHEDULES, random_problem
from .properties import EXACT, EXAMPLES, Example, Property
from .shrink import smallest

MOST_UNITS = 9
"""What exhaustion can judge."""
TIME_LIMIT = "time limits are kept"


class ContractError(AssertionError):
    """A property that does not hold, and the smallest problem that was found to show it (``None`` where none does)."""

    def __init__(self, rule: str, wrong: str, where: str, problem: Problem | None = None) -> None:
        shown = f"\nThe problem, made as small as it goes:\n{to_json(problem)}" if problem else ""
        super().__init__(f"{rule}: not so ({where}).\n{wrong}{shown}")
        self.rule, self.problem = rule, problem


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What was asked and answered; every property held."""

    planner: str
    examples: int
    optimal: int
    """Answers that were proved best, and are."""
    feasible: int
    best: int
    """Answers with the best value of the leading criterion, proved or not."""
    infeasible: int
    missed: int
    """Answers of :class:`Infeasible` (not proved) although something fits."""
    checked: tuple[str, ...]
    """The properties that hold."""


def planner_contract(
    planner: Planner | str,
    *,
    examples: int = 200,
    seed: int = 0,
    exact: bool = False,
    most_units: int = 7,
    schedules: Sequence[Schedule] = SCHEDULES,
) -> ContractReport:
    """Ask a planner (or specification) for ``examples`` random problems and check what it says by exhaustion.

    Same arguments, same problems. ``exact``: it must find and prove the best by every criterion, also the nearest where
    nothing fits. ``schedules``: those of the problems; 1F1B only where it is named. ContractError for a property that
    does not hold; ValueError for ``most_units`` beyond 1 to 9.
    """
    if not schedules:
        raise ValueError("schedules is empty, expected one or more")
    if not 1 <= most_units <= MOST_UNITS or examples < 0:
        raise ValueError(
            f"most_units is {most_units} and examples {examples}, expected 1 to {MOST_UNITS}, and 0 or more"
        )
    chosen = parse(planner) if isinstance(planner, str) else planner
    if Problem not in takes(chosen):
        raise ValueError(f"planner {planner!r} plans no chains; the contract is one of planners that do")
    rules = {**EXAMPLES, **(EXACT if exact else {})}
    seen = []
    for number in range(examples):
        name = f"{seed}/{number}"
        example = Example(chosen, random_problem(Random(name), most_units, schedules), name)
        for rule, holds in rules.items():
            _check(rule, holds, example)
        seen.append(_outcome(example))
    _check_time_limit(chosen)
    return _report(chosen, seen, rules)


def _check(rule: str, holds: Property, example: Example) -> None:
    if wrong := _wrong(holds, example):
        problem = smallest(example.problem, lambda p: _wrong(holds, replace(example, problem=p)) is not None)
        shown = _wrong(holds, replace(example, problem=problem)) or wrong
        raise ContractError(rule, shown, f"seed {example.seed}", problem)


def _wrong(holds: Property, example: Example) -> str | None:
    """An exception of the planner is wrong too."""
    try:
        return holds(example)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _check_time_limit(planner: Planner) -> None:
    try:
        wrong = keeps_its_time_limit(planner)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:
        raise ContractError(TIME_LIMIT, wrong, "a fixed problem")


def _outcome(example: Example) -> tuple[str, bool]:
    """Kind of the answer, and whether its leading criterion is the best there is."""
    answer, best = example.answer, example.best
    if isinstance(answer, Infeasible) or isinstance(best, Infeasible):
        return ("missed" if type(answer) is not type(best) else "infeasible"), False
    return type(answer).__name__.lower(), answer.evaluation.leading == best.evaluation.leading


def _report(planner: Planner, seen: list[tuple[str, bool]], rules: Iterable[str]) -> ContractReport:
    kinds = [kind for kind, _ in seen]
    return ContractReport(
        repr(planner),
        len(seen),
        kinds.count(Optimal.__name__.lower()),
        kinds.count(Feasible.__name__.lower()),
        sum(best for _, best in seen),
        kinds.count("infeasible"),
        kinds.count("missed"),
        (*rules, TIME_LIMIT) if has_time_limit(planner) else tuple(rules),
    )
