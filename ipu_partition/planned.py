"""From what is asked of a model to the plans of its modes: solved, made to fit where asked, written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .assemble import mode_plan
from .cost.shared import shared_weights
from .fit import Fitted, fit
from .host.tables import factor_name, splits_name
from .layout import MANY_READERS
from .levers import SHAPES, Trials, described, levers, option, plain, text_of
from .machine import Machine, needed_bytes, peak_bytes
from .overrule import idle_pins
from .plan_parts import Applied, Fitting, ModePlan
from .prepare import Prepared
from .request import Request
from .solve import Solved, attempt, solve
from .workload import Mode, Target

SHARED = frozenset(SHAPES) - {"micro_batch_size"}
"""What is one for training and inference, because it is of the data."""

TIGHT = 0.97
"""Share of an IPU's memory from which fitting is within the error of the memory model. Source: docs/cost-model.md."""

UNEVEN = 1.5
"""Times an even share of the work, from which weights that bind it to one IPU are warned of."""

PASSES = 4
"""Times that the modes are planned in turn until what they share is settled."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Plans the modes of one model. Every trace is made once."""

    prepare: Callable[[Request, Mode], Prepared]
    kind: Machine
    target: Target
    progress: Callable[[str], None]
    suggests: bool = True
    """Whether a plan that does not fit says what would help."""
    _traces: dict[tuple[object, ...], Prepared] = field(default_factory=dict)

    def prepared(self, request: Request, mode: Mode) -> Prepared:
        key = (mode, *(getattr(request, name) for name in SHAPES))
        if key not in self._traces:
            self._traces[key] = self.prepare(request, mode)
        return self._traces[key]


@dataclass(frozen=True, slots=True)
class Planned:
    """The answer for one mode."""

    request: Request
    """What was planned; where it was made to fit, that is not what was asked for."""
    solved: Solved
    plan: ModePlan

    @property
    def shared(self) -> dict[str, object]:
        """What was changed and holds for the other mode too."""
        rule = self.solved.prepared.rule
        tables = {} if rule is None else rule.serialised
        common = [layer for layer, table in tables.items() if not table.per_mode]
        names = SHARED | {factor_name(layer) for layer in common} | {splits_name(layer) for layer in common}
        changed = {name for applied in self.plan.applied for name in applied.options}
        return {name: getattr(self.request, name) for name in sorted(changed & names)}


def plan_modes(workshop: Workshop, requests: Mapping[Mode, Request]) -> dict[Mode, Planned]:
    """Each mode by its own request. What is changed to make one fit holds for the other where one setting serves both.

    Raises :class:`UsageError` and :class:`TraceError`.
    """
    shared: dict[str, object] = {}
    found: dict[Mode, Planned] = {}
    for _ in range(PASSES):
        for mode, request in requests.items():
            found[mode] = plan_mode(workshop, mode, request, shared)
            shared |= found[mode].shared
        if all(getattr(one.request, name) == value for one in found.values() for name, value in shared.items()):
            break
    return found


def plan_mode(workshop: Workshop, mode: Mode, asked: Request, shared: Mapping[str, object]) -> Planned:
    """`shared`: changes that the other mode needs. Raises :class:`UsageError` where the request cannot be obeyed."""
    request = replace(asked, **shared)  # type: ignore[arg-type]
    prepared = workshop.prepared(request, mode)
    workshop.progress(f"placing {prepared.name} ({mode.value})")
    solved = solve(prepared, request, workshop.kind, workshop.target)
    workshop.progress(f"solved in {solved.solution.seconds:.3f} s ({mode.value})")
    trials = Trials(request, solved, workshop.kind, lambda changed: workshop.prepared(changed, mode))
    fitting, applied = None, list(_applied(asked, request, {}))
    if asked.fit and not solved.fits:
        workshop.progress(f"trying what makes it fit ({mode.value})")
        fitted = fit(trials)
        fitting = _fitting(trials, fitted)
        if fitted is not None:
            words = described(trials)
            request = replace(request, **fitted.options)  # type: ignore[arg-type]
            solved = _settled(workshop, fitted, asked)
            applied = list(_applied(asked, request, words))
            trials = Trials(request, solved, workshop.kind, trials.retrace)
    suggested = []
    if workshop.suggests and (asked.levers or not solved.fits):
        workshop.progress(f"trying what saves memory ({mode.value})")
        suggested = levers(trials, everything=asked.levers)
    plan = mode_plan(solved, suggested, warnings(solved, request, workshop.kind), applied=applied, fitting=fitting)
    return Planned(request, solved, plan)


def _settled(workshop: Workshop, fitted: Fitted, asked: Request) -> Solved:
    """The plan with the time the user's planner takes, and the baselines beside it."""
    trial = fitted.trial.solved
    final = attempt(
        trial.prepared, trial.workload, workshop.kind, asked.planner, demands=asked.demands, state_open=False
    )
    return final if final.fits else replace(trial, baselines=final.baselines)


def _applied(asked: Request, request: Request, words: Mapping[str, str]) -> Iterator[Applied]:
    """What `request` says otherwise, in the order of its fields; `words`: option -> what it does."""
    for name in asked.__dataclass_fields__:
        value = getattr(request, name)
        if value != getattr(asked, name) and name != "ipus":
            text = words.get(option(name, value), "as the other mode needs it")
            yield Applied(name=option(name, value), description=text, options={name: plain(value)})


def _fitting(trials: Trials, fitted: Fitted | None) -> Fitting:
    nearest = trials.nearest if fitted is None else None
    before = trials.before
    lacked = 0 if before is None else before.shortfall_bytes
    return Fitting(
        lacked_bytes=max(1, lacked),
        plans_tried=max(1, trials.count),
        time_lost=None if fitted is None else fitted.time_lost,
        nearest=[] if nearest is None else text_of(nearest[0]),
        nearest_lacks_bytes=0 if nearest is None else nearest[1].shortfall_bytes,
    )


def warnings(solved: Solved, request: Request, kind: Machine) -> list[str]:
    """What the user should know of one mode."""
    used = solved.workload.ipus * solved.workload.replicas
    found = list(solved.prepared.warnings)
    found += [
        f"{pin} changes nothing: the module does no work in {solved.prepared.mode.value}."
        for pin in idle_pins(solved.prepared, request.demands)
    ]
    found += _bound_together(solved)
    if lack := solved.lacks_on_chip_bytes:
        found.append(
            f"The optimizer state is kept in host memory: on chip, the fullest IPU would lack {lack:,} bytes. "
            "Say where it must be with optimizer_state_offchip."
        )
    share = needed_bytes(solved.costing, peak_bytes(solved.evaluation)) / kind.capacity_bytes
    if solved.fits and share > TIGHT:
        found.append(
            f"The fullest IPU is predicted at {share:.1%} of its memory. That is within the error of the model: it may "
            "not fit after all. --levers lists what saves memory."
        )
    if (reserved := kind.reserved_ipus(used)) != used:
        found.append(
            f"{used} IPUs is no power of two: the host reserves {reserved} and leaves {reserved - used} of them idle."
        )
    return found


def _bound_together(solved: Solved) -> Iterator[str]:
    """Weights whose readers are so much of the work that the other IPUs have little to do."""
    prepared, ipus, units = solved.prepared, solved.workload.ipus, solved.costing.problem.units
    assignment = solved.assignment
    total = sum(u.forward_us + u.backward_us for u in units)
    copied = {a.parameter for a in prepared.layout.adapters}
    for shared in shared_weights(prepared.traced, prepared.graph, MANY_READERS):
        share = sum(units[i].forward_us + units[i].backward_us for i in shared.units) / total if total else 0.0
        if assignment is None or shared.name in copied or ipus * share < UNEVEN:
            continue
        how = f"called {shared.times} times" if shared.called else f"read in {shared.times} places"
        yield (
            f"{shared.name!r} is {how} with one set of weights ({shared.elements:,} parameters, {shared.bytes:,} "
            f"bytes). All of that must be on one IPU, where the weights are, so {share:.0%} of the time is spent on "
            f"IPU {assignment[shared.units[0]]} and {ipus} IPUs are little faster than one. Plan for fewer IPUs and "
            f"more replicas{prepared.untying}; where the calls do not need each other's results, make one call of all "
            "inputs, joined along the batch."
        )
