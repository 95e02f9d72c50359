"""Predicted microseconds of a weight update, once per accumulated batch."""

from __future__ import annotations

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

    State: twice its bytes on one replica over the host link, which the IPUs of a machine share evenly. Gradients: a
    ring moves 2 (r - 1) / r of them through the links of each IPU, the parameters being spread evenly over the IPUs.
    The arithmetic of the optimizer reads and writes on-chip memory once and is left out.
    """
    if workload.mode is Mode.INFERENCE:
        return 0.0
    trained = [p for p in parameters if p.trainable]
    state = sum(offchip_state_bytes(p, workload, memory) for p in trained)
    gradients = sum(p.elements for p in trained) * workload.precision.float_bytes
    host = time.offchip_share * machine.host_bytes_per_s / machine.ipus_per_machine * workload.ipus
    ring = 2 * (workload.replicas - 1) / workload.replicas
    return (2 * state / host + ring * gradients / workload.ipus / machine.link_bytes_per_s) * 1e6
