"""Planning one mode again with some options changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import planners
from planners import Planner, ProblemError

from ..errors import PartitionError
from ..machine import Machine, lacking_bytes
from ..prepare import Prepared
from ..rates import throughput
from ..request import Request, planner_named
from ..solve import Solved, attempt, workload

SECONDS = 2.0
"""Whether a change helps must be known soon, for all of them."""

ENOUGH_BYTES = 1 << 46
"""Memory without limit."""

SHAPES = ("micro_batch_size", "sequence_length", "target_length", "image_size", "audio_seconds")
"""Options that need a new trace."""

Retrace = Callable[[Request], Prepared]
"""The model of the mode with the shapes of a request."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A plan with some options changed."""

    request: Request
    solved: Solved
    samples_per_second: float
    """Predicted; of a plan that does not fit, what its fastest cut would reach if memory had no limit."""

    @property
    def peak_bytes(self) -> int:
        return 0 if self.solved.evaluation is None else self.solved.evaluation.peak_bytes

    @property
    def shortfall_bytes(self) -> int:
        return 0 if self.solved.evaluation is None else lacking_bytes(self.solved.costing, self.solved.evaluation)


@dataclass(frozen=True, slots=True)
class Trials:
    """Plans one mode under changed options. Every plan and every trace is made once."""

    request: Request
    solved: Solved
    """What it came to."""
    machine: Machine
    retrace: Retrace | None = None
    """None: shapes stay as they are."""
    _plans: dict[tuple[tuple[str, object], ...], Trial | None] = field(default_factory=dict)
    _traces: dict[tuple[object, ...], Prepared | None] = field(default_factory=dict)

    @property
    def before(self) -> Trial | None:
        """The plan without a change; None where its accumulation is too low to say how fast it is."""
        if () not in self._plans:
            self._plans[()] = _trial(self.request, self.solved)
        return self._plans[()]

    @property
    def count(self) -> int:
        """Plans made."""
        return len(self._plans)

    @property
    def nearest(self) -> tuple[dict[str, object], Trial] | None:
        """The options with which least is lacking, and their plan; of equals, the first tried."""
        found = [(dict(key), trial) for key, trial in self._plans.items() if trial is not None]
        return min(found, key=lambda item: item[1].shortfall_bytes, default=None)

    def plan(self, options: Mapping[str, object]) -> Trial | None:
        """The user's demands and planner stay. None where nothing can be planned so."""
        key = tuple(sorted(options.items(), key=lambda item: item[0]))
        if key not in self._plans:
            self._plans[key] = self._attempt(options)
        return self._plans[key]

    def _attempt(self, options: Mapping[str, object]) -> Trial | None:
        try:
            request = replace(self.request, **options)  # type: ignore[arg-type]
            prepared = self._prepared(request)
            if prepared is None:
                return None
            old = self.solved.workload
            work = workload(prepared, request, request.wanted_ipus or old.ipus, old.target)
            is_open = request.optimizer_state_offchip is None
            solved = attempt(
                prepared, work, self.machine, hurried(request.planner),
                demands=request.demands, state_open=is_open, compare=False,
            )  # fmt: skip
            return _trial(request, solved)
        except PartitionError:  # what the demands, the model or its class do not allow
            return None

    def _prepared(self, request: Request) -> Prepared | None:
        shapes, now = _shapes(request), _shapes(self.request)
        if shapes == now:
            return self.solved.prepared
        if shapes not in self._traces:
            self._traces[shapes] = self._trace(request)
        return self._traces[shapes]

    def _trace(self, request: Request) -> Prepared | None:
        try:
            return None if self.retrace is None else self.retrace(request)
        except PartitionError:  # the model cannot run on such inputs
            return None


def _shapes(request: Request) -> tuple[object, ...]:
    return tuple(getattr(request, name) for name in SHAPES)


def _trial(request: Request, solved: Solved) -> Trial | None:
    try:
        rate = throughput(solved if solved.fits else unlimited(solved, request))
    except PartitionError:
        return None
    return None if rate is None else Trial(request, solved, rate.samples_per_second)


def unlimited(solved: Solved, request: Request) -> Solved:
    """The planner's answer if memory had no limit; `solved` itself where it has none."""
    problem = solved.costing.problem
    devices = tuple(replace(device, capacity_bytes=ENOUGH_BYTES) for device in problem.devices)
    try:
        answer = planners.solve(replace(problem, devices=devices), hurried(request.planner))
    except (ProblemError, ValueError, ImportError):
        return solved
    return solved if answer.assignment is None else replace(solved, solution=answer)


def hurried(spec: str) -> Planner:
    """The user's planner, with at most :data:`SECONDS` for an answer if it takes a limit."""
    planner = planner_named(spec)
    limit = getattr(planner, "time_limit", SECONDS)
    return replace(planner, time_limit=SECONDS) if limit > SECONDS else planner  # type: ignore[type-var]
