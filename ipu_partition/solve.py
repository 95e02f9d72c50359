"""Planning one prepared mode: for a number of IPUs, or for the smallest number that fits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planners import Infeasible, Planner, Problem, ProblemError, Solution, parse, validate

from .errors import UsageError
from .layout import placement
from .machine import Costing, Machine, make_problem
from .prepare import Prepared
from .request import Request
from .workload import Mode, Target, Workload

if TYPE_CHECKING:
    from planners.evaluate import Evaluation

BASELINES = ("uniform",)


@dataclass(frozen=True, slots=True)
class Solved:
    """A planner's answer with what is needed to explain it."""

    prepared: Prepared
    workload: Workload
    costing: Costing
    solution: Solution
    seconds: float
    baselines: tuple[tuple[str, Solution], ...]
    lacks_on_chip_bytes: int = 0
    """Where the optimizer state was moved off chip: what the fullest IPU lacked with it on chip."""

    @property
    def fits(self) -> bool:
        return not isinstance(self.solution, Infeasible)

    @property
    def evaluation(self) -> Evaluation | None:
        return self.solution.evaluation

    @property
    def assignment(self) -> tuple[int, ...] | None:
        return self.solution.assignment


def solve(prepared: Prepared, request: Request, machine: Machine, target: Target) -> Solved:
    """Plan for the IPUs asked for, else for the smallest power of two that fits, else for the count that comes nearest.

    Raises :class:`UsageError` where no such number of IPUs is possible for the model.
    """
    tried: list[Solved] = []
    for ipus in _counts(prepared, request):
        work = workload(prepared, request, ipus, target)
        solved = attempt(prepared, work, machine, request.planner, state_open=request.optimizer_state_offchip is None)
        if solved.fits:
            return solved
        if solved.evaluation is not None and solved.evaluation.valid:
            tried.append(solved)
        elif not tried:
            raise UsageError(f"There is no plan for {prepared.mode.value} on {ipus} IPUs: {_reason(solved)}.")
    return min(tried, key=_lack)


def attempt(
    prepared: Prepared, work: Workload, machine: Machine, planner: str, *, state_open: bool, compare: bool = True
) -> Solved:
    """Plan for `work`. Where the place of the optimizer state is open: on chip if that fits, else off chip."""
    solved = solve_for(prepared, work, machine, planner, compare=compare)
    movable = prepared.mode is Mode.TRAINING and work.optimizer.state_bytes(work.precision) > 0
    if solved.fits or solved.assignment is None or not movable or not state_open or work.optimizer_state_offchip:
        return solved
    moved = solve_for(prepared, replace(work, optimizer_state_offchip=True), machine, planner, compare=compare)
    return replace(moved, lacks_on_chip_bytes=_lack(solved)) if moved.fits else solved


def solve_for(prepared: Prepared, work: Workload, machine: Machine, planner: str, *, compare: bool = True) -> Solved:
    """Plan for exactly `work.ipus` IPUs; baselines beside it where `compare`."""
    costing = make_problem(
        prepared.graph, work, machine, placement=placement(prepared.layout, prepared.graph, work.ipus)
    )
    _check(costing.problem, prepared, work.ipus)
    chosen = planner_named(planner)
    begin = time.perf_counter()
    try:
        solution = chosen(costing.problem)
    except ValueError as error:  # a planner's limits
        raise UsageError(f"Planner {planner!r} cannot plan this: {error}.") from error
    seconds = time.perf_counter() - begin
    names = BASELINES if compare else ()
    return Solved(prepared, work, costing, solution, seconds, tuple((n, parse(n)(costing.problem)) for n in names))


def workload(prepared: Prepared, request: Request, ipus: int, target: Target) -> Workload:
    """The request for one mode; the micro-batch is that of the traced inputs, which the user may have given."""
    mode = prepared.mode
    return Workload(
        mode=mode,
        ipus=ipus,
        micro_batch_size=int(prepared.shapes["micro_batch_size"]),
        replicas=request.replicas,
        gradient_accumulation=request.gradient_accumulation if mode is Mode.TRAINING else None,
        optimizer=request.optimizer_kind,
        precision=request.precision_kind,
        optimizer_state_offchip=bool(request.optimizer_state_offchip),
        replicated_tensor_sharding=request.replicated_tensor_sharding,
        recompute_checkpoint_every_layer=request.recompute_checkpoint_every_layer,
        matmul_proportion=request.matmul_proportion,
        target=target,
    )


def _counts(prepared: Prepared, request: Request) -> Sequence[int]:
    counts, units, rule = request.ipu_counts(), len(prepared.graph.units), prepared.rule
    if rule is not None and rule.ipus is not None:
        if request.ipus not in (None, rule.ipus):
            raise UsageError(
                f"{rule.optimum_class} always uses {rule.ipus} IPUs, {request.ipus} were asked for. "
                f"Ask for {rule.ipus}, or try --target poptorch, which places blocks freely."
            )
        return [rule.ipus]
    possible = [count for count in counts if count <= units]
    if not possible:
        raise UsageError(
            f"{counts[0]} IPUs need at least {counts[0]} places where a stage may begin; this model has {units} "
            f"({prepared.mode.value}). Ask for at most {units} IPUs."
        )
    return possible


def planner_named(spec: str) -> Planner:
    """Raises :class:`UsageError` for a planner or an option that does not exist."""
    try:
        return parse(spec)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _check(problem: Problem, prepared: Prepared, ipus: int) -> None:
    try:
        validate(problem)
    except ProblemError as error:
        raise UsageError(f"This model cannot be planned on {ipus} IPUs ({prepared.mode.value}): {error}.") from error


def _reason(solved: Solved) -> str:
    """Why there is no assignment at all, or what is wrong with the one a baseline insists on."""
    broken = solved.evaluation.violations if solved.evaluation is not None else ()
    reason = solved.solution.reason if isinstance(solved.solution, Infeasible) else ""
    return "; ".join(broken) or reason


def _lack(solved: Solved) -> int:
    return solved.solution.shortfall_bytes if isinstance(solved.solution, Infeasible) else 0
