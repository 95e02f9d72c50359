"""What a process does with a job: trace the model once for each mode, plan it for every pod, and never raise."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import SAID, PartitionError, TraceError, UsageError, one_line
from ..machine import machine
from ..models import Shapes, described_shapes
from ..plan_parts import Lever, ModePlan
from ..threads import one_thread
from .job import Job, Outcome, Place, blank, failure
from .options import request_for
from .pods import PodTooSmallError, plan_pod
from .rated import on_machine
from .summary import DOES_NOT_FIT, FITS, Kind, ModeResult

if TYPE_CHECKING:
    from ..api import Opened
    from ..plan import PartitionPlan
    from ..planned import Planned, Workshop
    from ..request import Request
    from ..workload import Mode

_ALONE = threading.Lock()
"""Tracing is not safe in two threads at once."""
_LONGEST = 500


def work(job: Job) -> list[Outcome]:
    """An outcome for each place of the job, in their order; whatever goes wrong is one of them."""
    with _ALONE, redirect_stdout(sys.stderr):
        try:
            with one_thread():
                return list(_planned(job))
        except (Exception, SystemExit) as error:  # also what the code of others raises
            return [_failed(job, place, error) for place in job.places]


def _planned(job: Job) -> Iterator[Outcome]:
    from ..api import open_model, workshop

    request = request_for(job.defaults, {"machine": job.machines[0], **job.entry.options})
    opened = open_model(job.entry.model, dict.fromkeys(request.modes, request))
    request = _applying(opened, request, job.lenient)
    opened = replace(opened, request=request)
    shop = workshop(opened)
    for mode in opened.modes:  # a model that cannot be traced is one failure, not one for each number of IPUs
        shop.prepared(request, mode)
    for place in job.places:
        try:
            yield _on_pod(job, place, opened, shop, request)
        except PodTooSmallError as error:
            result = blank(job, place).model_copy(update={"status": DOES_NOT_FIT, "reason": one_line(str(error), SAID)})
            yield Outcome(result)
        except (Exception, SystemExit) as error:
            yield _failed(job, place, error)


def _applying(opened: Opened, request: Request, lenient: tuple[str, ...]) -> Request:
    """Without the shapes for all models that this one does not have."""
    if not lenient:
        return request
    there = described_shapes(opened.spec, Shapes(micro_batch_size=request.micro_batch_size))
    left_out: dict[str, Any] = {name: None for name in lenient if name not in there}
    return replace(request, **left_out)


def _on_pod(job: Job, place: Place, opened: Opened, shop: Workshop, request: Request) -> Outcome:
    planned = plan_pod(opened, shop, request, place.pod)
    plans = [_document(opened, planned, {mode: one.plan for mode, one in planned.items()})]
    for name in job.machines[1:]:
        kind = machine(name)
        there = replace(opened, kind=kind, request=replace(request, machine=name))
        plans.append(_document(there, planned, {mode: on_machine(one, kind) for mode, one in planned.items()}))
    plan = plans[0]
    texts = _texts(plan, plans[1:]) if plan.fits else None
    result = blank(job, place).model_copy(
        update={
            "status": FITS if plan.fits else DOES_NOT_FIT,
            "files": sorted(texts or ()),
            "plan": plan.fingerprint() if plan.fits else None,
            "architecture": plan.model.architecture,
            "task": plan.model.task,
            "parameters": plan.model.parameters,
            "notes": list(opened.notes),
            **{name: _mode(name, plans) for name in plan.modes()},
        }
    )
    return Outcome(result, texts)


def _document(opened: Opened, planned: Mapping[Mode, Planned], plans: Mapping[Mode, ModePlan]) -> PartitionPlan:
    from ..api import document

    return document(opened, [one.solved.prepared for one in planned.values()], plans)


def _texts(plan: PartitionPlan, others: list[PartitionPlan]) -> Mapping[str, str]:
    from ..hub import texts

    return texts(plan, repo=None, others=others)


def _mode(name: str, plans: list[PartitionPlan]) -> ModeResult:
    plan = plans[0].modes()[name]  # type: ignore[index]
    rates = {other.machine.name: other.modes()[name].predicted for other in plans}  # type: ignore[index]
    lever = _first_lever(plan)
    return ModeResult(
        ipus=plan.workload.ipus,
        replicas=plan.workload.replicas,
        gradient_accumulation=plan.workload.gradient_accumulation,
        layers_per_ipu=plan.layers_per_ipu,
        proof=plan.status,
        fits=plan.fits,
        fullest=round(max((i.memory.needed_bytes / i.memory.capacity_bytes for i in plan.ipus), default=0.0), 6),
        lacks_bytes=0 if plan.shortfall is None else plan.shortfall.bytes,
        lever=None if lever is None else lever.name,
        lever_fits=lever is not None and lever.fits,
        applied=[change.name for change in plan.applied],
        samples_per_second={kind: None if rate is None else rate.samples_per_second for kind, rate in rates.items()},
    )


def _first_lever(plan: ModePlan) -> Lever | None:
    """Of those that stay within the pod: it has no IPUs left, and fewer replicas would leave some idle."""
    if plan.fits:
        return None
    return next((lever for lever in plan.levers if lever.options.keys().isdisjoint(("ipus", "replicas"))), None)


def _failed(job: Job, place: Place, error: BaseException) -> Outcome:
    kind: Kind = "internal"
    if isinstance(error, TraceError):
        kind = "trace"
    elif isinstance(error, UsageError):
        kind = "usage"
    text = str(error) if isinstance(error, PartitionError) else f"{type(error).__name__}: {error}"
    return failure(job, place, kind, one_line(text, _LONGEST))
