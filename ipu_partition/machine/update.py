"""Predicted microseconds of a weight update, once per accumulated batch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..cost.graph import ParameterCost
from ..workload import Mode, Workload
from .constants import MemoryModel, TimeModel
from .kinds import Machine
from .parameters import offchip_state_bytes


def update_us(
    parameters: Iterable[ParameterCost],
    workload: Workload,
    machine: Machine,
    memory: MemoryModel,
    time: TimeModel,
) -> float:
    """Off-chip state in and out, and the sum of gradients over replicas; 0.0 in inference.

    State: twice its bytes on one replica over the host link, which the IPUs of a machine share evenly. Gradients: as
    accumulated, the parameters being spread evenly over the IPUs; they pass the links of each IPU once for every
    doubling of the replicas. The arithmetic of the optimizer reads and writes on-chip memory once and is left out.
    """
    if workload.mode is Mode.INFERENCE:
        return 0.0
    trained = [p for p in parameters if p.trainable]
    state = sum(offchip_state_bytes(p, workload, memory) for p in trained)
    gradients = sum(p.elements for p in trained) * workload.dtypes.accumulator_bytes
    host = time.offchip_share * machine.host_bytes_per_s / machine.ipus_per_machine * workload.ipus
    links = time.collective_share * machine.link_bytes_per_s
    return (2 * state / host + math.log2(workload.replicas) * gradients / workload.ipus / links) * 1e6
