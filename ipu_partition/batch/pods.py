"""How many IPUs a replica gets of a pod, which runs as many replicas as it has room for: what is fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..api import Opened
from ..errors import UsageError
from ..machine import lacking_bytes
from ..planned import Planned, Workshop, plan_modes
from ..prepare import Prepared
from ..rates import throughput
from ..request import Request
from ..solve import Solved, attempt, workload
from ..workload import Mode

PATIENCE = 2
"""Numbers of IPUs that fit and are no faster than the best so far, after which larger ones are not tried: a longer
pipeline pays only where it frees memory, such as that of the optimizer state on the chip."""


class PodTooSmallError(UsageError):
    """The model, or what is asked of it, needs more IPUs than the pod has."""


def plan_pod(opened: Opened, shop: Workshop, request: Request, pod: int) -> dict[Mode, Planned]:
    """Each mode with IPUs and replicas of its own: training may need more IPUs than inference, and the host attaches
    to the pod anew for each. Raises :class:`UsageError` and :class:`TraceError`."""
    asked = {mode: in_pod(opened, shop, request, mode, pod) for mode in opened.modes}
    return plan_modes(shop, asked)


def in_pod(opened: Opened, shop: Workshop, request: Request, mode: Mode, pod: int) -> Request:
    """`request` with the number of IPUs that fits with pod // IPUs replicas and is fastest, the smallest of them; where
    none fits, with the number that comes nearest. Raises :class:`UsageError` where no number is possible."""
    prepared = shop.prepared(request, mode)
    fitting: list[tuple[float, Request]] = []
    tried: list[tuple[int, Request]] = []
    refused: list[UsageError] = []
    for ipus in _counts(prepared, request, pod):
        if _settled([rate for rate, _ in fitting]):
            break
        there = replace(request, ipus=ipus, replicas=pod // ipus)
        try:
            solved = _tried(opened, shop, prepared, there)
        except UsageError as error:  # another number of IPUs may be possible
            refused.append(error)
            continue
        if solved.fits:
            fitting.append((_rate(solved), there))
        else:
            tried.append((_lack(solved), there))
    if fitting:
        return max(fitting, key=lambda found: found[0])[1]
    if not tried:
        raise refused[0]
    return min(tried, key=lambda found: found[0])[1]


def _tried(opened: Opened, shop: Workshop, prepared: Prepared, request: Request) -> Solved:
    """Without the baselines, which a plan shows and the search does not need."""
    assert request.ipus is not None
    return attempt(
        prepared,
        workload(prepared, request, request.ipus, opened.target),
        shop.kind,
        request.planner,
        demands=request.demands,
        state_open=request.optimizer_state_offchip is None,
        compare=False,
    )


def _settled(rates: Sequence[float]) -> bool:
    """Whether the last ones were no faster than the best before them."""
    return len(rates) > PATIENCE and max(rates[-PATIENCE:]) <= max(rates[:-PATIENCE])


def _rate(solved: Solved) -> float:
    """Samples per second of all replicas."""
    found = throughput(solved)
    return 0.0 if found is None else found.samples_per_second


def _lack(solved: Solved) -> int:
    return 0 if solved.evaluation is None else lacking_bytes(solved.costing, solved.evaluation)


def _counts(prepared: Prepared, request: Request, pod: int) -> Sequence[int]:
    """IPUs per replica to try, smallest first."""
    rule = prepared.rule
    fixed = None if rule is None else rule.ipus
    if fixed is not None and rule is not None:
        if request.wanted_ipus not in (None, fixed):
            raise UsageError(f"{rule.optimum_class} always uses {fixed} IPUs, {request.wanted_ipus} were asked for.")
        return _within(fixed, pod, rule.optimum_class)
    if request.wanted_ipus is not None:
        return _within(request.wanted_ipus, pod, "what was asked for")
    powers = [1 << exponent for exponent in range(pod.bit_length())]
    named = [ipus for ipus in powers if request.demands.least_ipus <= ipus <= pod]
    if not named:
        raise PodTooSmallError(f"An IPU beyond {pod - 1} is pinned, and the pod has {pod}.")
    return [ipus for ipus in named if ipus <= len(prepared.graph.units)] or named[:1]


def _within(ipus: int, pod: int, whose: str) -> Sequence[int]:
    if ipus > pod:
        raise PodTooSmallError(f"{whose} needs {ipus} IPUs, and the pod has {pod}.")
    return [ipus]
