"""What would make a plan fit: each lever is planned again before it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .machine import Machine, device_terms
from .plan_parts import Lever
from .request import MAX_IPUS
from .solve import Solved, solve_for
from .workload import Mode, Workload

PROPORTIONS = (0.1, 0.05)
"""Graphcore advises against less than 0.05. Source: graphcore/examples:vision/unet_medical/tensorflow2/README.md."""


def levers(solved: Solved, machine: Machine, planner: str) -> list[Lever]:
    """Single changes of the workload that save memory on the fullest IPU, those that make it fit first."""
    before = peak_bytes(solved)
    found = []
    for name, description, work in _changes(solved):
        after = solve_for(solved.prepared, work, machine, planner, compare=False)
        saved = before - peak_bytes(after)
        if after.evaluation is not None and (saved > 0 or after.fits):
            found.append(Lever(name=name, description=description, bytes_saved=saved, fits=after.fits))
    return sorted(found, key=lambda lever: (not lever.fits, -lever.bytes_saved, lever.name))


def peak_bytes(solved: Solved) -> int:
    """Bytes of the fullest IPU, all terms counted; 0 where nothing was placed."""
    evaluation = solved.evaluation
    if evaluation is None:
        return 0
    return max(sum(device_terms(solved.costing, evaluation, i).values()) for i in range(len(evaluation.devices)))


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
