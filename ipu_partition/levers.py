"""What would make a plan fit: each lever is planned again before it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from planners import Planner

from .blocks import blocks_of
from .demands import Demands
from .errors import UsageError
from .machine import Machine, peak_bytes, schedule
from .plan_parts import Lever
from .request import MAX_IPUS, Request, planner_named
from .solve import Solved, attempt
from .workload import Mode, Workload

PROPORTIONS = (0.1, 0.05)
"""Graphcore advises against less than 0.05. Source: graphcore/examples:vision/unet_medical/tensorflow2/README.md."""


SECONDS = 2.0
"""Whether a lever helps must be known soon, for all of them."""


def levers(solved: Solved, request: Request, machine: Machine) -> list[Lever]:
    """Single changes of the workload that save memory on the fullest IPU, those that make it fit first. The user's
    demands and planner stay."""
    before, state_open = peak_bytes(solved.costing, solved.evaluation), request.optimizer_state_offchip is None
    planner, demands = _hurried(request.planner), request.demands
    found = []
    for name, description, work in _changes(solved, demands):
        try:
            after = attempt(
                solved.prepared, work, machine, planner, demands=demands, state_open=state_open, compare=False
            )
        except UsageError:  # the demands do not allow it
            continue
        saved = before - peak_bytes(after.costing, after.evaluation)
        if _accumulates_enough(after) and (saved > 0 or after.fits):
            found.append(Lever(name=name, description=description, bytes_saved=saved, fits=after.fits))
    return sorted(found, key=lambda lever: (not lever.fits, -lever.bytes_saved, lever.name))


def _hurried(spec: str) -> Planner:
    """The user's planner, with at most :data:`SECONDS` for an answer if it takes a limit."""
    planner = planner_named(spec)
    limit = getattr(planner, "time_limit", SECONDS)
    return replace(planner, time_limit=SECONDS) if limit > SECONDS else planner  # type: ignore[type-var]


def _accumulates_enough(solved: Solved) -> bool:
    """Whether the accumulation that the user insists on is enough for the pipeline."""
    given = solved.workload.gradient_accumulation
    stages = schedule.forward_stages([block.ipu for block in blocks_of(solved)])
    return given is None or given >= schedule.least_accumulation(stages)


def _changes(solved: Solved, demands: Demands) -> Iterator[tuple[str, str, Workload]]:
    work = solved.workload
    if work.mode is Mode.TRAINING:
        yield from _training_changes(work)
    for proportion in PROPORTIONS:
        if proportion < max(work.proportions):
            yield (
                f"matmul_proportion={proportion}",
                f"let matrix products use {proportion:.0%} of a tile for temporaries (slower)",
                replace(work, matmul_proportion=proportion),
            )
    if not demands.layers:
        yield from _more_ipus(solved)


def _training_changes(work: Workload) -> Iterator[tuple[str, str, Workload]]:
    if not work.optimizer_state_offchip and work.state_bytes:
        yield (
            "optimizer_state_offchip",
            "keep the optimizer state in host memory (one transfer per weight update)",
            replace(work, optimizer_state_offchip=True),
        )
    if work.replicas > 1 and not work.replicated_tensor_sharding:
        yield (
            "replicated_tensor_sharding",
            "share the optimizer state among the replicas",
            replace(work, replicated_tensor_sharding=True),
        )
    every = work.recompute_checkpoint_every_layer
    yield (
        f"recompute_checkpoint_every_layer={not every}",
        "keep no output of single layers, recompute whole stages" if every else "keep the output of every layer",
        replace(work, recompute_checkpoint_every_layer=not every),
    )


def _more_ipus(solved: Solved) -> Iterator[tuple[str, str, Workload]]:
    work, rule = solved.workload, solved.prepared.rule
    ipus = 1 << work.ipus.bit_length()
    while ipus * work.replicas <= MAX_IPUS and ipus <= len(solved.prepared.graph.units):
        if rule is None or rule.ipus is None:
            yield f"ipus={ipus}", f"use {ipus} IPUs per replica", replace(work, ipus=ipus)
        ipus *= 2
