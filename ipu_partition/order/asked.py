"""From a request to the subject whose orders are compared."""

from __future__ import annotations

import math

from ..devices import TorchMachine
from ..devices.solve import workload
from ..errors import UsageError
from ..machine import Machine
from ..prepare import Prepared
from ..request import Request
from ..solve import solve
from ..workload import Target
from .problems import GRANULARITIES, Subject

SHARDED = (
    "{mode}: sharded, one IPU runs at a time, so that the work takes as long in any order. It is not compared; with "
    "--target poptorch inference is pipelined."
)


def check_search(granularity: object, time_limit: object) -> None:
    """UsageError for what is no granularity or no time."""
    if granularity not in GRANULARITIES:
        raise UsageError(f"granularity is {granularity!r}, expected {' or '.join(GRANULARITIES)}.")
    number = isinstance(time_limit, int | float) and not isinstance(time_limit, bool)
    if not number or not 0 < time_limit < math.inf:  # type: ignore[operator]
        raise UsageError(f"time_limit is {time_limit!r}, expected a number of seconds above 0.")


def check_demands(request: Request) -> None:
    """UsageError for what binds a plan and no order."""
    plain = Request(machine=request.machine)
    for name in ("planner", "prefer", "layers", "pins"):
        if getattr(request, name) != getattr(plain, name):
            raise UsageError(
                f"{name} is {getattr(request, name)!r}, but orders are compared by time, for plans that nothing but "
                "order and memory binds. Leave it out."
            )


def subject_of(
    prepared: Prepared, request: Request, kind: Machine | TorchMachine, target: Target, granularity: str
) -> tuple[Subject, float | None]:
    """On all devices of a machine file, or on as many IPUs as a plan takes, and the cycle of that plan (us; None where
    it does not fit, or on other devices). UsageError where there is no such plan."""
    if isinstance(kind, TorchMachine):
        return Subject(prepared, workload(prepared, request, len(kind.devices)), kind, granularity), None
    solved = solve(prepared, request, kind, target)
    value_us = solved.evaluation.objective_us if solved.fits and solved.evaluation else None
    return Subject(prepared, solved.workload, kind, granularity), value_us
