"""The contract holds for every planner there is, and catches every way to break it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random

import pytest

from ipu_partition.testing import ContractError, planner_contract
from ipu_partition.testing.changes import IMPROVEMENTS, relabelled
from ipu_partition.testing.malformed import malformed
from ipu_partition.testing.problems import random_problem
from ipu_partition.testing.shrink import smallest, without_unit
from planners import (
    Feasible,
    Infeasible,
    Optimal,
    Planner,
    Preference,
    Problem,
    ProblemError,
    Schedule,
    SharedGroup,
    Solution,
    Tensor,
    Unit,
    evaluate,
    parse,
    validate,
)
from planners.brute import Brute
from planners.problem_json import to_json
from planners.registry import names_for
from planners.uniform import Uniform

ROOT = Path(__file__).parent.parent.parent
EXACT = {"brute", "chain", "milp"}
NEEDS = {"milp": "highspy"}
"""Optional libraries; what runs on them is slow on small problems."""
SAMPLE = [random_problem(Random(f"sample/{number}"), 7) for number in range(400)]
BEST = Brute()


@pytest.mark.parametrize("name", names_for(Problem))
def test_every_planner_keeps_the_contract(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    examples = 15 if name in NEEDS else 40
    report = planner_contract(name, examples=examples, exact=name in EXACT, most_units=6)
    assert report.optimal + report.feasible + report.infeasible + report.missed == report.examples == examples
    if name in EXACT:
        assert (report.missed, report.feasible, report.best) == (0, 0, report.optimal)
        assert "every answer is the best there is" in report.checked
    assert ("time limits are kept" in report.checked) == hasattr(parse(name), "time_limit")


def test_the_same_arguments_ask_the_same() -> None:
    assert planner_contract("uniform", examples=20, seed=3) == planner_contract(Uniform(), examples=20, seed=3)
    assert to_json(random_problem(Random("3/7"), 7)) == to_json(random_problem(Random("3/7"), 7))
    assert random_problem(Random("3/7"), 7) != random_problem(Random("4/7"), 7)


def share(holds: Callable[[Problem], object]) -> float:
    return sum(bool(holds(problem)) for problem in SAMPLE) / len(SAMPLE)


@pytest.mark.parametrize(
    "holds",
    [
        *(lambda p, s=schedule: p.schedule is s for schedule in Schedule if schedule.returns),
        lambda p: any(len(tensor.readers) > 1 for tensor in p.tensors),
        lambda p: any(tensor.producer is None for tensor in p.tensors),
        lambda p: any(group.colocate and len(group.members) > 1 for group in p.groups),
        lambda p: any(not group.colocate for group in p.groups),
        lambda p: p.pins,
        lambda p: p.forbidden_cuts,
        lambda p: p.sequential,
        lambda p: p.allow_empty,
        lambda p: any(device.min_units > 1 for device in p.devices),
        lambda p: any(device.layers is not None for device in p.devices),
        lambda p: any(unit.checkpoint_bytes for unit in p.units),
        lambda p: p.prefer is Preference.MEMORY,
        lambda p: len({device.speed for device in p.devices}) > 1,
        lambda p: len({device.capacity_bytes for device in p.devices}) > 1,
        lambda p: len(p.devices) == 3 and len(p.units) == 7,
    ],
)
def test_problems_have_every_feature(holds: Callable[[Problem], object]) -> None:
    assert 0.04 < share(holds) < 0.96


def test_problems_have_every_kind_of_answer() -> None:
    answers = [BEST(problem) for problem in SAMPLE[:150]]
    optimal = [answer for answer in answers if isinstance(answer, Optimal)]
    lacking = [answer for answer in answers if isinstance(answer, Infeasible) and answer.assignment]
    assert len(optimal) > 75
    assert len(lacking) > 15
    assert len(answers) - len(optimal) - len(lacking) > 5
    assert sum(len(answer.evaluation.stages) > len(set(answer.assignment)) for answer in optimal) > 20


def test_problems_and_what_becomes_of_them_are_well_formed() -> None:
    for problem in SAMPLE:
        validate(problem)
        for change in (*IMPROVEMENTS.values(), relabelled):
            validate(change(Random(1), problem))
        for unit in range(len(problem.units)):
            smaller = without_unit(problem, unit)
            if smaller.units and all(device.layers is None for device in problem.devices) and problem.allow_empty:
                validate(smaller)


def test_every_malformed_problem_is_one() -> None:
    for what, problem in malformed(SAMPLE[0]):
        with pytest.raises(ProblemError):
            validate(problem)
        assert what


@dataclass(frozen=True)
class Broken:
    """Answers of the oracle, made wrong by ``spoil``."""

    spoil: Callable[[Problem, Solution], Solution]

    def __call__(self, problem: Problem) -> Solution:
        return self.spoil(problem, BEST(problem))


def bounded(problem: Problem, best: Solution, **changes: float) -> Solution:
    return best if isinstance(best, Infeasible) else Feasible(best.assignment, best.evaluation, "b", **changes)


def invalid(problem: Problem, best: Solution) -> Solution:
    assignment = (len(problem.devices) - 1, *(0 for _ in problem.units[1:]))
    return Feasible(assignment, evaluate(problem, assignment), "invalid")


def too_large(problem: Problem, best: Solution) -> Solution:
    if isinstance(best, Infeasible) and best.assignment is not None and best.evaluation is not None:
        return Feasible(best.assignment, best.evaluation, "too large")
    return best


def false_numbers(problem: Problem, best: Solution) -> Solution:
    if isinstance(best, Infeasible):
        return best
    return Optimal(best.assignment, replace(best.evaluation, copied_bytes=best.evaluation.copied_bytes + 1), "numbers")


def first_valid(problem: Problem, best: Solution) -> Solution:
    """Calls the baseline's answer optimal."""
    found = Uniform()(problem)
    return Optimal(found.assignment, found.evaluation, "first") if isinstance(found, Feasible) else best


def unrefined(problem: Problem, best: Solution) -> Solution:
    """The best time, with whatever comes after."""
    if isinstance(best, Infeasible):
        return best
    again = [0] * len(problem.units)
    same = [again, [*best.assignment[:-1], max(0, best.assignment[-1] - 1)]]
    for assignment in same:
        found = evaluate(problem, tuple(assignment))
        if found.valid and found.fits and found.leading == best.evaluation.leading:
            return Optimal(tuple(assignment), found, "unrefined")
    return best


def gives_up(problem: Problem, best: Solution) -> Solution:
    return Infeasible("gives up", "I did not look", proved=True)


def false_lack(problem: Problem, best: Solution) -> Solution:
    return replace(best, least_shortfall_bytes=1) if isinstance(best, Infeasible) else best


def no_reason(problem: Problem, best: Solution) -> Solution:
    return replace(best, reason="") if isinstance(best, Infeasible) else best


def as_list(problem: Problem, best: Solution) -> Solution:
    return best if best.assignment is None else replace(best, assignment=list(best.assignment))  # type: ignore[arg-type]


def bools(problem: Problem, best: Solution) -> Solution:
    if best.assignment is None or max(best.assignment) > 1:
        return best
    return replace(best, assignment=tuple(map(bool, best.assignment)))


def raises(problem: Problem, best: Solution) -> Solution:
    if len(problem.tensors) > 2:
        raise KeyError("t2")
    return best


def by_name(problem: Problem, best: Solution) -> Solution:
    """Takes units of one name for one unit."""
    if len({unit.name for unit in problem.units}) == len(problem.units):
        return best
    return Infeasible("by name", "a name is taken twice")


def by_order(problem: Problem, best: Solution) -> Solution:
    members = [group.members for group in problem.groups]
    return best if members == sorted(members) else Infeasible("by order", "the groups are in disorder")


BREAKS: dict[str, tuple[Callable[[Problem, Solution], Solution], str]] = {
    "bound": (lambda p, best: bounded(p, best, lower_bound=1e9), "answers are confirmed by the judge"),
    "nan": (lambda p, best: bounded(p, best, lower_bound=float("nan")), "answers are confirmed by the judge"),
    "invalid": (invalid, "answers are confirmed by the judge"),
    "large": (too_large, "answers are confirmed by the judge"),
    "numbers": (false_numbers, "answers are confirmed by the judge"),
    "nothing": (lambda p, best: None, "answers are confirmed by the judge"),  # type: ignore[dict-item, return-value]
    "list": (as_list, "answers are confirmed by the judge"),
    "bools": (bools, "answers are confirmed by the judge"),
    "reason": (no_reason, "answers are confirmed by the judge"),
    "optimal": (first_valid, "bounds and proofs are true"),
    "unrefined": (unrefined, "bounds and proofs are true"),
    "gives up": (gives_up, "bounds and proofs are true"),
    "raises": (raises, "problem and planner stay as they were"),
    "names": (by_name, "names and order of mention do not matter"),
    "order": (by_order, "names and order of mention do not matter"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_broken_planners_are_caught(name: str) -> None:
    spoil, rule = BREAKS[name]
    with pytest.raises(ContractError) as caught:
        planner_contract(Broken(spoil), examples=150, most_units=5)
    assert caught.value.rule == rule
    assert caught.value.problem is not None
    assert to_json(caught.value.problem) in str(caught.value)


@dataclass
class Restless:
    """Answers something else every second time."""

    calls: Iterable[int] = field(default_factory=count, repr=False)

    def __call__(self, problem: Problem) -> Solution:
        best = BEST(problem)
        if next(iter(self.calls)) % 2 or isinstance(best, Infeasible):
            return best
        return Feasible(best.assignment, best.evaluation, "restless")


class Meddling:
    """Changes the problem, to the same effect however often."""

    def __call__(self, problem: Problem) -> Solution:
        best = BEST(problem)
        object.__setattr__(problem, "copy_us_per_byte", 0.0)
        return best


@dataclass
class Learning:
    """Changes itself."""

    seen: int = 0

    def __call__(self, problem: Problem) -> Solution:
        self.seen += 1
        return BEST(problem)


class Credulous:
    """Never validates."""

    def __call__(self, problem: Problem) -> Solution:
        try:
            return BEST(problem)
        except ProblemError:
            return Infeasible("credulous", "nothing found")


@dataclass(frozen=True)
class Boastful:
    """Out of time, it calls the baseline's answer the best."""

    time_limit: float = 1.0

    def __call__(self, problem: Problem) -> Solution:
        best = BEST(problem)
        return best if self.time_limit > 0.1 else first_valid(problem, best)


@dataclass(frozen=True)
class Late:
    time_limit: float = 1.0

    def __call__(self, problem: Problem) -> Solution:
        validate(problem)
        if len(problem.units) > 9:
            time.sleep(0.5)
        return Infeasible("late", "nothing found")


@pytest.mark.parametrize(
    ("planner", "rule"),
    [
        (Restless(), "the same problem gets the same answer"),
        (Meddling(), "problem and planner stay as they were"),
        (Learning(), "problem and planner stay as they were"),
        (Credulous(), "malformed problems are refused"),
        (Boastful(), "a short time limit is no reason to lie"),
    ],
)
def test_planners_that_misbehave_are_caught(planner: Planner, rule: str) -> None:
    with pytest.raises(ContractError) as caught:
        planner_contract(planner, examples=150, most_units=5)
    assert caught.value.rule == rule


def test_a_planner_that_is_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planner_contract(Late(), examples=1).checked[-1] == "time limits are kept"
    monkeypatch.setattr("ipu_partition.testing.limits.GRACE_SECONDS", 0.1)
    with pytest.raises(ContractError, match="time limits are kept") as caught:
        planner_contract(Late(), examples=1)
    assert caught.value.problem is None
    assert "it took 0.5 seconds for 60 units" in str(caught.value)


@pytest.mark.parametrize("spoil", [false_lack, lambda p, best: bounded(p, best)])
def test_exact_planners_must_prove_all_they_find(spoil: Callable[[Problem, Solution], Solution]) -> None:
    planner_contract(Broken(spoil), examples=30, most_units=4)
    with pytest.raises(ContractError, match="every answer is the best there is"):
        planner_contract(Broken(spoil), examples=80, most_units=4, exact=True)


@dataclass(frozen=True)
class Confused:
    """Finds nothing where a device may be twice as fast as usual."""

    def __call__(self, problem: Problem) -> Solution:
        validate(problem)
        if max(device.speed for device in problem.devices) > 2:
            return Infeasible("confused", "too fast for me")
        return BEST(problem)


def test_exact_planners_get_no_worse_with_more_to_choose_from() -> None:
    with pytest.raises(ContractError, match="improvements never make the best worse: not so") as caught:
        planner_contract(Confused(), examples=40, most_units=4, exact=True)
    assert "with a faster device, Optimal" in str(caught.value)


def test_failures_show_the_smallest_problem() -> None:
    with pytest.raises(ContractError) as caught:
        planner_contract(Broken(raises), examples=100)
    small = caught.value.problem
    assert small is not None
    assert len(small.tensors) == 3
    assert (len(small.groups), len(small.pins), len(small.forbidden_cuts), len(small.sequential)) == (0, 0, 0, 0)
    assert len(small.devices) == 1
    assert "KeyError: 't2'" in str(caught.value)


def test_shrinking_keeps_what_must_hold_and_ends() -> None:
    def tied(problem: Problem) -> bool:
        return any(group.colocate and len(group.members) == 2 for group in problem.groups)

    problem = next(p for p in SAMPLE if tied(p) and len(p.units) == 7 and len(p.tensors) > 2)
    found = smallest(problem, tied)
    assert (len(found.units), len(found.groups), found.tensors, found.pins) == (2, 1, (), ())
    assert smallest(problem, lambda p: False) == problem


def test_a_unit_is_left_out_with_all_that_names_it() -> None:
    units = tuple(Unit(name, 1.0) for name in "abcd")
    problem = Problem(
        units, SAMPLE[0].devices[:1], Schedule.TRAINING,
        (Tensor("x", 1, (2, 3), 4), Tensor("y", 0, (1, 3), 5), Tensor("z", None, (1,), 6)),
        (SharedGroup("g", (1, 3), 7, True), SharedGroup("h", (1,), 8, False)),
        pins=((1, 0), (3, 0)), forbidden_cuts=frozenset({1, 2}), sequential=frozenset({0, 1, 3}),
    )  # fmt: skip
    found = without_unit(problem, 1)
    assert [unit.name for unit in found.units] == ["a", "c", "d"]
    assert found.tensors == (Tensor("y", 0, (2,), 5),)
    assert found.groups == (SharedGroup("g", (2,), 7, True),)
    assert (found.pins, found.forbidden_cuts, found.sequential) == (((2, 0),), frozenset({1}), frozenset({0, 2}))


@pytest.mark.parametrize(("most_units", "examples"), [(0, 1), (10, 1), (5, -1)])
def test_what_cannot_be_judged_is_refused(most_units: int, examples: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 9"):
        planner_contract("uniform", examples=examples, most_units=most_units)


def test_improvements_are_improvements() -> None:
    """By exhaustion, which the property itself takes the planner's word for."""
    better = Counter[str]()
    for number, problem in enumerate(problem for problem in SAMPLE if len(problem.units) < 5):
        before = BEST(problem)
        for name, change in IMPROVEMENTS.items():
            after = BEST(change(Random(number), problem))
            if before.evaluation is None:
                continue
            assert after.evaluation is not None
            old = (before.evaluation.shortfall_bytes, *before.evaluation.key())
            new = (after.evaluation.shortfall_bytes, *after.evaluation.key())
            assert new <= old
            better[name] += new < old
    assert min(better[name] for name in IMPROVEMENTS) > 0


def test_it_needs_no_test_framework() -> None:
    code = (
        "import sys; from ipu_partition.testing import planner_contract;"
        "planner_contract('uniform', examples=2);"
        "print([m for m in ('torch', 'transformers', 'pydantic', 'hypothesis', 'pytest', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
