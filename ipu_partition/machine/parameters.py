"""What a parameter keeps in memory: weight, gradient accumulator, optimizer state, and what its update needs."""

from __future__ import annotations

from dataclasses import dataclass

from ..cost.graph import ParameterCost
from ..workload import Mode, Workload
from .constants import MemoryModel


@dataclass(frozen=True, slots=True)
class ParameterBytes:
    """Bytes of one parameter on the IPU that holds it."""

    weights: int
    gradient_accumulators: int
    optimizer_state: int
    gradient: int
    """The dense gradient that one micro-batch makes, before it is accumulated."""
    update: int
    """Temporaries while it is updated."""

    @property
    def resident(self) -> dict[str, int]:
        """The always-live terms."""
        return {
            "weights": self.weights,
            "gradient_accumulators": self.gradient_accumulators,
            "optimizer_state": self.optimizer_state,
        }


def parameter_bytes(parameter: ParameterCost, workload: Workload, model: MemoryModel, parts: int = 1) -> ParameterBytes:
    """Memory of `parameter`, a table being worked on in `parts` equal pieces (embedding serialisation).

    Weight: its bytes. Accumulator: one element each, where gradients are accumulated at all.
    State: `Workload.state_bytes` per element, divided by the replicas with replicated tensor sharding, 0 off chip.
    Update: one update term per element, plus the state streamed in where it lives off chip.
    Frozen parameters and inference: the weight alone.
    Source: optimum/graphcore/trainer.py (0.7.1); graphcore/popart:docs/popart/tensor_locations.rst.
    """
    if workload.mode is Mode.INFERENCE or not parameter.trainable:
        return ParameterBytes(parameter.bytes, 0, 0, 0, 0)
    width = workload.precision.float_bytes
    shard = shard_elements(parameter.elements, workload, model)
    state = shard * workload.state_bytes
    streamed = state if workload.optimizer_state_offchip else 0
    return ParameterBytes(
        weights=parameter.bytes,
        gradient_accumulators=parameter.elements * workload.dtypes.accumulator_bytes if accumulates(workload) else 0,
        optimizer_state=state - streamed,
        gradient=-(-parameter.elements * width // parts),
        update=-(-(shard * width + streamed) // parts),
    )


def offchip_state_bytes(parameter: ParameterCost, workload: Workload, model: MemoryModel) -> int:
    """Optimizer state of `parameter` that one replica keeps off chip and streams at every update."""
    if workload.mode is Mode.INFERENCE or not parameter.trainable or not workload.optimizer_state_offchip:
        return 0
    return shard_elements(parameter.elements, workload, model) * workload.state_bytes


def accumulates(workload: Workload) -> bool:
    """Whether gradients of several micro-batches are summed before an update."""
    return workload.mode is Mode.TRAINING and workload.gradient_accumulation != 1


def shard_elements(elements: int, workload: Workload, model: MemoryModel) -> int:
    """Elements one replica keeps of a sharded tensor: the ceiling of elements over replicas; small tensors whole."""
    sharded = workload.replicated_tensor_sharding and elements >= model.sharded_min_elements
    return -(-elements // workload.replicas) if sharded else elements
