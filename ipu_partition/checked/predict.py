"""One side of a configuration, predicted for one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..api import Opened
from ..assemble import mode_plan
from ..blocks import blocks_of
from ..errors import UsageError
from ..families import FamilyRule
from ..handwritten import Side, counted, pieces
from ..host.tables import LAYERS, factor_name, splits_name
from ..layout import layer_units
from ..levers import SHAPES, Trials, levers, option
from ..machine import schedule
from ..plan_parts import Finding, Lever, ModePlan
from ..prepare import Prepared, prepare
from ..request import Request
from ..solve import Solved, solve_for, workload
from ..workload import Mode
from .ask import mode_request


@dataclass(frozen=True, slots=True)
class CheckedMode:
    """One side of a file for one model."""

    prepared: Prepared
    request: Request | None
    """The workload that the side asks for, layers included where they are the model's. None: it contradicts itself."""
    findings: tuple[Finding, ...]
    plan: ModePlan | None
    """None: the side makes no sense for the model."""


def predicted(opened: Opened, rule: FamilyRule, base: Request, sides: Mapping[Mode, Side], mode: Mode) -> CheckedMode:
    """Raises :class:`UsageError` and :class:`TraceError` where the model itself cannot be planned in `mode`."""
    one = sides[mode]
    prepared = prepare(opened.spec, base, mode, opened.target, opened.progress)
    if not one.predictable:
        return CheckedMode(prepared, None, one.findings, None)
    cut = pieces(one, sides[Mode.TRAINING], rule, prepared.graph)
    found = [*one.findings, *cut.findings]
    layers = len(layer_units(prepared.layout, prepared.graph))
    placed = counted(one, layers, rule.ipus, rule.optimum_class)
    request = mode_request(base, one, rule, placed.layers, cut.serialisation)
    found += placed.findings
    if not placed.predictable:
        return CheckedMode(prepared, request, tuple(found), None)
    opened.progress(f"predicting {opened.spec.architecture} ({mode.value})")
    try:
        solved, placing = _placed(opened, prepared, request)
    except UsageError as error:
        found.append(one.finding(_field(one, str(error)), f"Not predicted: {error}", fatal=True))
        return CheckedMode(prepared, request, tuple(found), None)
    found += [*_accumulation(one, request, solved), *_idle(one, solved)]
    suggested = [] if solved.fits else _levers(opened, solved, placing)
    return CheckedMode(prepared, request, tuple(found), mode_plan(solved, suggested, solved.prepared.warnings))


def _placed(opened: Opened, prepared: Prepared, request: Request) -> tuple[Solved, Request]:
    """With the request that gave it: where layers return to an IPU, which no plan of ours does for nothing, each is
    pinned to where the file puts it."""
    try:
        return solved_as_asked(opened, prepared, request), request
    except UsageError:
        homes = [ipu for ipu, count in enumerate(request.layers or ()) for _ in range(count)]
        if not homes:
            raise
        pinned = replace(request, pins=dict(zip(prepared.layout.layers, homes, strict=True)))
        try:
            return solved_as_asked(opened, prepared, pinned), pinned
        except UsageError:
            pass
        raise


def _field(one: Side, text: str) -> str:
    """The key that an error is about."""
    named = [name for layer in LAYERS for name in (factor_name(layer), splits_name(layer))]
    found = next((name for name in named if name in text), None)
    return one.field(found or "layers_per_ipu")


def solved_as_asked(opened: Opened, prepared: Prepared, request: Request) -> Solved:
    """The answer of the request's planner for its number of IPUs; where the pipeline needs more accumulation than is
    asked for, with what it needs. UsageError where nothing obeys."""
    ipus, given = request.ipus or 1, request.gradient_accumulation
    work = workload(prepared, request, ipus, opened.target)
    solved = solve_for(prepared, work, opened.ipu, request.planner, demands=request.demands, compare=False)
    need = _needed(solved)
    if prepared.mode is Mode.INFERENCE or given is None or given >= need:
        return solved
    return solved_as_asked(opened, prepared, replace(request, gradient_accumulation=need))


def _levers(opened: Opened, solved: Solved, request: Request) -> list[Lever]:
    """What would make it fit with the same layers."""
    mode = solved.prepared.mode
    opened.progress(f"trying what saves memory ({mode.value})")
    shared = replace(request, gradient_accumulation=solved.workload.gradient_accumulation)

    def traced(changed: Request) -> Prepared:
        return prepare(opened.spec, changed, mode, opened.target, opened.progress)

    found = levers(Trials(shared, solved, opened.ipu, traced))
    return [lever.model_copy(update={"name": _as_written(lever, mode)}) for lever in found]


IN_THE_FILE = {"ipus": "ipus_per_replica", "replicas": "replication_factor"}
"""Keywords of `partition` whose key in the file has another name."""
NO_TWIN = frozenset({"optimizer_state_offchip", "replicated_tensor_sharding", "recompute_checkpoint_every_layer"})
"""Keys of the file that have no `inference_` twin."""


def _as_written(lever: Lever, mode: Mode) -> str:
    """Keys of the file and their values; what no file says, as an option."""
    return ", ".join(
        option(name, value) if name in SHAPES else f"{_key(name, mode)}: {json.dumps(value)}"
        for name, value in lever.options.items()
    )


def _key(name: str, mode: Mode) -> str:
    key = IN_THE_FILE.get(name, name)
    return key if mode is Mode.TRAINING or name in NO_TWIN else f"inference_{key}"


def _needed(solved: Solved) -> int:
    """Micro-batches per update that the pipeline needs in training."""
    return schedule.least_accumulation(schedule.forward_stages([block.ipu for block in blocks_of(solved)]))


def _accumulation(one: Side, request: Request, solved: Solved) -> list[Finding]:
    given, used = request.gradient_accumulation, solved.workload.gradient_accumulation
    if used in (None, given):
        return []
    name = "gradient_accumulation_steps"
    if given == 1:
        text = f"{name} is 1, the default. This pipeline needs at least {used}: give it to the trainer or in the file."
    else:
        text = f"{name} is {given}, and this pipeline needs at least {used}; PopART refuses less."
    return [one.finding(name, f"{text} Predicted with {used}.", fatal=given != 1)]


def _idle(one: Side, solved: Solved) -> list[Finding]:
    """IPUs that were asked for and do nothing."""
    idle = sorted({*range(solved.workload.ipus)} - {*(solved.assignment or ())})
    if not idle:
        return []
    field = one.field("layers_per_ipu")
    plural, verb = ("s", "have") if len(idle) > 1 else ("", "has")
    return [one.finding(field, f"IPU{plural} {', '.join(map(str, idle))} {verb} no work.")]
