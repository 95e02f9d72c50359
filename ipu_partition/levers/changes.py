"""The changes of a request that may save memory, in ladders: each rung saves more than the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..request import MAX_IPUS, Request
from ..solve import Solved
from ..workload import Mode
from .names import option
from .pieces import factors, spreads
from .shapes import shorter, smaller_batch
from .trials import Trials

PROPORTIONS = (0.1, 0.05)
"""Graphcore advises against less than 0.05. Source: graphcore/examples:vision/unet_medical/tensorflow2/README.md."""

Options = Mapping[str, object]
"""Keywords of `partition` and their new values."""


@dataclass(frozen=True, slots=True)
class Change:
    options: Options
    description: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """Changes of which one at a time is made."""

    name: str
    rungs: tuple[Change, ...]
    """Ascending in what they save, as far as that is known."""
    reshapes: bool = False
    """What is computed changes: the model must be traced again."""


def ladders(solved: Solved, request: Request) -> tuple[Ladder, ...]:
    """All that can be changed about how `solved` runs, those without a rung left out."""
    found = (
        *(_training(solved, request) if solved.workload.mode is Mode.TRAINING else ()),
        *_serialisation(solved, request),
        _proportion(solved),
        _replicas(solved),
        _ipus(solved, request),
        Ladder("micro_batch_size", _rungs(smaller_batch(solved, request), "work on fewer samples at a time"), True),
        Ladder("length", _rungs(shorter(solved, request), "work on shorter inputs"), True),
    )
    return tuple(ladder for ladder in found if ladder.rungs)


def described(trials: Trials) -> dict[str, str]:
    """What each option that may change does, by the option as it is written."""
    changes = [rung for ladder in ladders(trials.solved, trials.request) for rung in ladder.rungs]
    return {option(name, value): rung.description for rung in changes for name, value in rung.options.items()}


def _rungs(options: Iterator[Options], description: str) -> tuple[Change, ...]:
    return tuple(Change(change, description) for change in options)


def _one(name: str, value: object, description: str) -> Ladder:
    return Ladder(name, (Change({name: value}, description),))


def _training(solved: Solved, request: Request) -> Iterator[Ladder]:
    work = solved.workload
    if not work.optimizer_state_offchip and work.state_bytes:
        text = "keep the optimizer state in host memory (one transfer per weight update)"
        yield _one("optimizer_state_offchip", True, text)
    if work.replicas > 1 and not work.replicated_tensor_sharding and work.state_bytes:
        yield _one("replicated_tensor_sharding", True, "share the optimizer state among the replicas")
    if _looks_at_the_flag(solved):
        every = work.recompute_checkpoint_every_layer
        text = "keep no output of single layers, recompute whole stages" if every else "keep the output of every layer"
        yield _one("recompute_checkpoint_every_layer", not every, text)


def _looks_at_the_flag(solved: Solved) -> bool:
    """Whether `recompute_checkpoint_every_layer` changes anything."""
    if solved.workload.ipus == 1 or not solved.prepared.layout.checkpoints:
        return False
    rule = solved.prepared.rule
    return rule is None or rule.checkpoints.kind not in ("always", "ignored")


def _serialisation(solved: Solved, request: Request) -> Iterator[Ladder]:
    for name, found in factors(solved.prepared, request):
        layer = name.partition("_")[0]
        text = f"work on the {layer} in pieces, one after the other"
        yield Ladder(name, tuple(Change({name: number}, text) for number in found))
    for name, ways in spreads(solved.prepared, request, solved.workload.ipus):
        text = f"spread the {name.split('_')[1]} over several IPUs"
        yield Ladder(name, tuple(Change(_changed(request, way), text) for way in ways))


def _changed(request: Request, options: Options) -> Options:
    return {name: value for name, value in options.items() if getattr(request, name) != value}


def _proportion(solved: Solved) -> Ladder:
    now, name = solved.workload.proportions, "matmul_proportion"
    listed = isinstance(solved.workload.matmul_proportion, tuple)
    rungs = []
    for least in (p for p in PROPORTIONS if p < max(now)):
        value: object = tuple(min(least, p) for p in now) if listed else least
        text = f"let matrix products use {least:.0%} of a tile for temporaries"
        rungs.append(Change({name: value}, text))
    return Ladder(name, tuple(rungs))


def _replicas(solved: Solved) -> Ladder:
    count, rungs = solved.workload.replicas // 2, []
    while count:
        text = "run fewer copies of the pipeline" if count > 1 else "run one copy of the pipeline"
        rungs.append(Change({"replicas": count}, text))
        count //= 2
    return Ladder("replicas", tuple(rungs))


def _ipus(solved: Solved, request: Request) -> Ladder:
    work, prepared, rungs = solved.workload, solved.prepared, []
    fixed = prepared.rule is not None and prepared.rule.ipus is not None
    listed = request.demands.layers or isinstance(work.matmul_proportion, tuple) or _splits(request)
    ipus = 1 << work.ipus.bit_length()
    while not (fixed or listed) and ipus * work.replicas <= MAX_IPUS and ipus <= len(prepared.graph.units):
        rungs.append(Change({"ipus": ipus}, f"use {ipus} IPUs per replica"))
        ipus *= 2
    return Ladder("ipus", tuple(rungs))


def _splits(request: Request) -> bool:
    return bool(request.serialized_embedding_splits_per_ipu or request.serialized_projection_splits_per_ipu)
