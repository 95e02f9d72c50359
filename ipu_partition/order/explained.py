"""From a subject to what is said of its orders."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..answer import rounded_us
from ..cost.segments import Segment, contained_modules
from ..devices import TorchMachine
from ..document import Number
from ..hosted import as_hosted
from .document import ModeOrder, OrderStage
from .price import Found, Priced, priced
from .problems import Subject
from .words import in_words

POPTORCH = (
    "PopTorch begins blocks in the order in which the model calls its modules: a plan for IPUs keeps to program order, "
    "whatever it loses by it."
)
FREE = (
    "Compared are plans with one stage on each IPU that nothing but order and memory binds; the rules of a class, "
    "which the plan keeps, are left out."
)
TIED = (
    "{names} is read by several units: it is copied to each IPU that reads it, where PopTorch has one copy and lets "
    "stages return to it. The bound speaks of plans without returns."
)
WHOLE = "Tables are whole here, whatever pieces were asked for."
RELAYED = (
    "The bound counts a tensor where it is made, read, or must pass; a pipeline hands it through all stages between, "
    "which is part of the gap."
)
UNLIKE = "The devices differ: the bound lets a stage be on any of them, the plans have them in the order of the file."
INTERRUPTED = "The search was interrupted: this is what was found until then."
FINER = "No plan cuts inside the call of a module that is a unit of its own; this says what such cuts could give."


def explained(subject: Subject, *, time_limit: float, plan_us: float | None, planner: str = "auto") -> ModeOrder:
    """`plan_us`: of the plan that keeps all rules. UsageError as for :func:`.price.priced`."""
    found = priced(subject, time_limit=time_limit, planner=planner)
    bound = found.lower_bound_us
    return ModeOrder(
        devices=subject.work.ipus,
        schedule=found.schedule.value,
        fits=found.best is not None,
        units=found.units,
        pairs=found.pairs,
        plan_us=None if plan_us is None else rounded_us(plan_us),
        program_us=None if found.program is None else rounded_us(found.program.value_us),
        best_us=None if found.best is None else rounded_us(found.best.value_us),
        lower_bound_us=rounded_us(bound) if 0 < bound < math.inf else None,
        gap=_rounded(found.gap),
        loss=_rounded(found.loss),
        most_loss=_rounded(found.most_loss),
        proved=found.proved,
        program_is_best=found.kept,
        planner=found.planner,
        seconds=float(math.floor(found.seconds)),
        words=in_words(found),
        stages=[] if found.best is None else list(_stages(subject, found.best)),
        notes=list(_notes(subject, found)),
    )


def _rounded(share: float | None) -> Number | None:
    return None if share is None or math.isinf(share) else round(max(0.0, share), 6)


def _stages(subject: Subject, found: Found) -> Iterator[OrderStage]:
    origins, stages = subject.origins(found.order), found.evaluation.stages
    units = [[unit for origin in origins[stage.start : stage.stop] for unit in origin] for stage in stages]
    held = [Segment("", tuple(node for unit in run for node in subject.placed(unit))) for run in units]
    modules = contained_modules(subject.prepared.traced, held)
    for stage, run, whole in zip(stages, units, modules, strict=True):
        yield OrderStage(device=stage.device, units=run, modules=list(whole))


def _notes(subject: Subject, found: Priced) -> Iterator[str]:
    machine, prepared, work = subject.machine, subject.prepared, subject.work
    if found.interrupted:
        yield INTERRUPTED
    if subject.granularity == "op":
        yield FINER
    if isinstance(machine, TorchMachine):
        if not found.proved:
            yield RELAYED
        if not machine.alike:
            yield UNLIKE
        return
    yield POPTORCH
    yield FREE
    graph = prepared.graph
    tied = [n for n, p in sorted(graph.parameters.items()) if not p.buffer and len(graph.readers(n)) > 1]
    if tied:
        yield TIED.format(names=" and ".join(map(repr, tied[:3])) + (" and others" if len(tied) > 3 else ""))
    if as_hosted(prepared, work.serialisation, work.ipus) is not prepared:
        yield WHOLE
