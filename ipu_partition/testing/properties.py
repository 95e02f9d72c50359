"""What must hold of a planner's answers. Each property is a function that returns what is wrong, or None."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

from planners import Infeasible, Planner, Problem, ProblemError, Solution
from planners.brute import Brute
from planners.problem_json import to_json

from .answers import dishonest, rejected, score, wrong_form
from .changes import IMPROVEMENTS, Change, relabelled
from .limits import has_time_limit
from .malformed import malformed

ORACLE = Brute(limit=4**9)


@dataclass(frozen=True)
class Example:
    """A planner, a problem, and the seed of everything random about them."""

    planner: Planner
    problem: Problem
    seed: str

    @cached_property
    def answer(self) -> Solution:
        return self.planner(self.problem)

    @cached_property
    def best(self) -> Solution:
        """By exhaustion."""
        return ORACLE(self.problem)

    def random(self) -> Random:
        return Random(self.seed)


Property = Callable[[Example], str | None]


def confirmed(example: Example) -> str | None:
    return wrong_form(example.answer) or rejected(example.problem, example.answer)


def honest(example: Example) -> str | None:
    """No bound is above the best there is, nothing is called best that is not, nor impossible what is possible."""
    return dishonest(example.answer, example.best)


def exact(example: Example) -> str | None:
    """Type and every field of the score are those of exhaustion, also where nothing fits: then of the nearest."""
    answer, best = example.answer, example.best
    if type(answer) is not type(best) or (isinstance(answer, Infeasible) and not answer.proved):
        return f"the answer is {answer!r}, but exhaustion says {best!r}"
    if isinstance(answer, Infeasible) and isinstance(best, Infeasible):
        mine = (answer.shortfall_bytes, answer.least_shortfall_bytes)
        if mine != (best.shortfall_bytes, best.least_shortfall_bytes):
            return f"shortfall and its bound are {mine}, but {best.assignment} lacks {best.shortfall_bytes} bytes"
    mine_key, best_key = score(answer), score(best)
    return None if mine_key == best_key else f"the score is {mine_key}, but {best.assignment} has {best_key}"


def deterministic(example: Example) -> str | None:
    again = example.planner(deepcopy(example.problem))
    return None if again == example.answer else f"asked twice, it answers {example.answer!r} and {again!r}"


def leaves_its_input_alone(example: Example) -> str | None:
    """Asked with a copy, and before any other property: a change that is made once would go unseen later."""
    text, options = to_json(example.problem), repr(example.planner)
    problem = deepcopy(example.problem)
    example.planner(problem)
    if to_json(problem) != text:
        return "the problem is another one afterwards"
    return None if repr(example.planner) == options else f"the planner is {example.planner!r} now, and was {options}"


def labels_do_not_matter(example: Example) -> str | None:
    other = _changed(example, relabelled)
    if isinstance(other, str):
        return f"with other names and another order, it {other}"
    if (type(other), score(other)) == (type(example.answer), score(example.answer)):
        return None
    return f"with other names and another order, {_told(example.answer)} becomes {_told(other)}"


def never_worse(example: Example) -> str | None:
    """For planners that claim to be exact."""
    for name, change in IMPROVEMENTS.items():
        other = _changed(example, change)
        if isinstance(other, str):
            return f"with {name}, it {other}"
        if score(example.answer) and (not score(other) or score(other) > score(example.answer)):
            changed = to_json(change(example.random(), example.problem))
            return f"with {name}, {_told(example.answer)} becomes {_told(other)}: {changed}"
    return None


def _changed(example: Example, change: Change) -> Solution | str:
    """The answer to the changed problem, or what the planner raises."""
    problem = change(example.random(), example.problem)
    try:
        return example.planner(problem)
    except Exception as error:
        return f"raises {type(error).__name__}: {error}: {to_json(problem)}"


def _told(answer: Solution) -> str:
    return f"{type(answer).__name__} {score(answer)}"


def refuses_malformed(example: Example) -> str | None:
    for what, problem in malformed(example.problem):
        try:
            found = f"is answered by {example.planner(problem)!r}"
        except ProblemError:
            continue
        except Exception as error:
            found = f"raises {type(error).__name__}: {error}"
        return f"a problem with {what} {found}, expected ProblemError"
    return None


def honest_in_a_hurry(example: Example) -> str | None:
    """With hardly any time, answers are confirmed and honest still. Planners without ``time_limit`` pass."""
    if not has_time_limit(example.planner):
        return None
    answer = replace(example.planner, time_limit=1e-6)(example.problem)  # type: ignore[type-var]
    return wrong_form(answer) or rejected(example.problem, answer) or dishonest(answer, example.best)


EXAMPLES: dict[str, Property] = {
    "problem and planner stay as they were": leaves_its_input_alone,
    "answers are confirmed by the judge": confirmed,
    "bounds and proofs are true": honest,
    "the same problem gets the same answer": deterministic,
    "names and order of mention do not matter": labels_do_not_matter,
    "malformed problems are refused": refuses_malformed,
    "a short time limit is no reason to lie": honest_in_a_hurry,
}
EXACT: dict[str, Property] = {
    "every answer is the best there is": exact,
    "improvements never make the best worse": never_worse,
}
