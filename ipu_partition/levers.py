"""What would make a plan fit: each lever is planned again before it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .blocks import blocks_of
from .machine import Machine, peak_bytes, schedule
from .plan_parts import Lever
from .request import MAX_IPUS, Request
from .solve import Solved, attempt
from .workload import Mode, Workload

PROPORTIONS = (0.1, 0.05)
"""Graphcore advises against less than 0.05. Source: graphcore/examples:vision/unet_medical/tensorflow2/README.md."""


PLANNER = "chain{time_limit=2}"
"""Whether a lever helps must be known soon, for all of them."""


def levers(solved: Solved, request: Request, machine: Machine) -> list[Lever]:
    """Single changes of the workload that save memory on the fullest IPU, those that make it fit first."""
    before, state_open = peak_bytes(solved.costing, solved.evaluation), request.optimizer_state_offchip is None
    found = []
    for name, description, work in _changes(solved):
        after = attempt(solved.prepared, work, machine, PLANNER, state_open=state_open, compare=False)
        saved = before - peak_bytes(after.costing, after.evaluation)
        if after.evaluation is not None and _accumulates_enough(after) and (saved > 0 or after.fits):
            found.append(Lever(name=name, description=description, bytes_saved=saved, fits=after.fits))
    return sorted(found, key=lambda lever: (not lever.fits, -lever.bytes_saved, lever.name))


def _accumulates_enough(solved: Solved) -> bool:
    """Whether the accumulation that the user insists on is enough for the pipeline."""
    given = solved.workload.gradient_accumulation
    stages = schedule.forward_stages([block.ipu for block in blocks_of(solved)])
    return given is None or given >= schedule.least_accumulation(stages)


def _changes(solved: Solved) -> Iterator[tuple[str, str, Workload]]:
    work = solved.workload
    if work.mode is Mode.TRAINING:
        yield from _training_changes(work)
    for proportion in PROPORTIONS:
        if proportion < work.matmul_proportion:
            yield (
                f"matmul_proportion={proportion}",
                f"let matrix products use {proportion:.0%} of a tile for temporaries (slower)",
                replace(work, matmul_proportion=proportion),
            )
    yield from _more_ipus(solved)


def _training_changes(work: Workload) -> Iterator[tuple[str, str, Workload]]:
    if not work.optimizer_state_offchip and work.optimizer.state_bytes(work.precision):
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
