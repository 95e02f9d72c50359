"""Planning one prepared mode: for a number of IPUs, or for the smallest number that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import planners
from planners import Infeasible, Planner, Problem, ProblemError, Solution

from . import conflicts
from .cost.shared import shared_weights
from .demands import NONE, Demands
from .errors import UsageError
from .hosted import as_hosted
from .layout import placement
from .machine import Costing, Machine, lacking_bytes, make_problem
from .overrule import check, overrule
from .prepare import Prepared
from .proportions import settle
from .request import Request
from .workload import Mode, Target, Workload

if TYPE_CHECKING:
    from planners.evaluate import Evaluation

BASELINES = ("uniform", "greedy", "parameters", "flops")
"""Ways to cut a model that people use today, shown beside every plan; those that are installed."""


@dataclass(frozen=True, slots=True)
class Solved:
    """A planner's answer with what is needed to explain it."""

    prepared: Prepared
    workload: Workload
    costing: Costing
    solution: Solution
    baselines: tuple[tuple[str, Solution], ...]
    """What they say of the problem without the user's demands on layers and modules."""
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

    Raises :class:`UsageError` where no such number of IPUs is possible for the model, or where the demands of the
    request contradict it or each other.
    """
    check(prepared, request.demands)
    tried: list[Solved] = []
    refused: list[UsageError] = []
    state_open = request.optimizer_state_offchip is None
    for ipus in _counts(prepared, request):
        work = workload(prepared, request, ipus, target)
        try:
            solved = attempt(prepared, work, machine, request.planner, demands=request.demands, state_open=state_open)
        except UsageError as error:  # another number of IPUs may be possible
            refused.append(error)
            continue
        if solved.fits:
            return solved
        tried.append(solved)
    if not tried:
        raise refused[0]
    return min(tried, key=_lack)


def attempt(
    prepared: Prepared,
    work: Workload,
    machine: Machine,
    planner: Planner | str,
    *,
    demands: Demands = NONE,
    state_open: bool,
    compare: bool = True,
) -> Solved:
    """As :func:`solve_for`. Where the place of the optimizer state is open: on chip if that fits, else off chip."""
    solved = solve_for(prepared, work, machine, planner, demands=demands, compare=compare)
    movable = prepared.mode is Mode.TRAINING and work.state_bytes > 0
    if solved.fits or not movable or not state_open or work.optimizer_state_offchip:
        return solved
    off_chip = replace(work, optimizer_state_offchip=True)
    moved = solve_for(prepared, off_chip, machine, planner, demands=demands, compare=compare)
    return replace(moved, lacks_on_chip_bytes=_lack(solved)) if moved.fits else solved


def solve_for(
    prepared: Prepared,
    work: Workload,
    machine: Machine,
    planner: Planner | str,
    *,
    demands: Demands = NONE,
    compare: bool = True,
) -> Solved:
    """Plan for exactly `work.ipus` IPUs as `demands` say; baselines, which know no demands, beside it where `compare`.

    Raises :class:`UsageError` where nothing obeys the constraints, or the planner finds nothing that does.
    """
    prepared = as_hosted(prepared, work.serialisation, work.ipus)
    overruled = overrule(prepared, demands, work.ipus)

    def make(homes: tuple[int, ...]) -> Costing:
        there = replace(overruled.placement, homes=homes)
        return make_problem(prepared.graph, work, machine, placement=there, prefer=demands.prefer)

    costing = make(())
    conflicts.check(costing.problem, overruled.decided, demands)
    solution = _ask(planner, costing.problem, prepared)
    if len({*work.proportions}) > 1:
        costing, solution = settle(make, costing, solution, lambda problem: _ask(planner, problem, prepared))
    if isinstance(solution, Infeasible) and solution.assignment is None:
        reason = conflicts.in_words(solution.reason, costing.problem, overruled.decided, demands)
        asked = f" with {demands.options}" if demands.options else ""
        raise UsageError(f"There is no plan for {prepared.mode.value} on {work.ipus} IPUs{asked}: {reason}.")
    return Solved(prepared, work, costing, solution, _baselines(prepared, work, machine) if compare else ())


def _ask(planner: Planner | str, problem: Problem, prepared: Prepared) -> Solution:
    """The planner's confirmed answer; UsageError where it has none."""
    try:
        return planners.solve(problem, planner)
    except ProblemError as error:
        raise UsageError(
            f"This model cannot be planned on {len(problem.devices)} IPUs ({prepared.mode.value}): {error}."
        ) from error
    except (ValueError, ImportError) as error:  # a planner's limits, what it lacks, or what the judge rejects
        raise UsageError(f"Planner {planner!r} cannot plan this: {error}.") from error


def _baselines(prepared: Prepared, work: Workload, machine: Machine) -> tuple[tuple[str, Solution], ...]:
    free = make_problem(
        prepared.graph, work, machine, placement=placement(prepared.layout, prepared.graph, work.ipus)
    ).problem
    return tuple((name, planners.solve(free, name)) for name in BASELINES if name in planners.names())


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
        dtypes=request.dtypes,
        optimizer_state_offchip=bool(request.optimizer_state_offchip),
        replicated_tensor_sharding=request.replicated_tensor_sharding,
        recompute_checkpoint_every_layer=request.recompute_checkpoint_every_layer or _always(prepared),
        matmul_proportion=request.proportions(ipus),
        serialisation=request.serialisation,
        outlined=request.outlining,
        target=target,
    )


def _always(prepared: Prepared) -> bool:
    """Whether the class keeps the outputs of its layers whatever the configuration says."""
    return prepared.rule is not None and prepared.rule.checkpoints.kind == "always"


def _counts(prepared: Prepared, request: Request) -> Sequence[int]:
    counts, units, rule = request.ipu_counts(), len(prepared.graph.units), prepared.rule
    if rule is not None and rule.ipus is not None:
        if request.wanted_ipus not in (None, rule.ipus):
            raise UsageError(
                f"{rule.optimum_class} always uses {rule.ipus} IPUs, {request.wanted_ipus} were asked for. "
                f"Ask for {rule.ipus}, or try --target poptorch, which places blocks freely."
            )
        return [rule.ipus]
    possible = [count for count in counts if count <= units]
    if not possible:
        raise UsageError(
            f"{counts[0]} IPUs need at least {counts[0]} places where a stage may begin; this model has {units} "
            f"({prepared.mode.value}). Ask for at most {units} IPUs.{_called_several_times(prepared)}"
        )
    return possible


def _called_several_times(prepared: Prepared) -> str:
    """Why there are so few places, where modules with weights are called several times."""
    found = [s.name for s in shared_weights(prepared.traced, prepared.graph, len(prepared.graph.units)) if s.called]
    if not found:
        return ""
    return (
        f" None is in {' or '.join(map(repr, found[:3]))}, called several times with one set of weights: where the "
        "calls do not need each other's results, make one call of all inputs, joined along the "
        f"batch{prepared.untying}."
    )


def _lack(solved: Solved) -> int:
    """Bytes that the fullest IPU lacks in the assignment that comes nearest."""
    return 0 if solved.evaluation is None else lacking_bytes(solved.costing, solved.evaluation)
