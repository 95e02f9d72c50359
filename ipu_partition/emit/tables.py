"""A plan as the plain data that the emitted code works on: strings, numbers, tuples, lists and dicts alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..plan import ModelInfo
    from ..plan_parts import Adapter, Block, Checkpoint, ModePlan


def table(mode: ModePlan) -> dict[str, Any]:
    """Blocks in execution order, recomputation checkpoints, adapters, the sizes by which the model is told from others,
    and the numbers of poptorch.Options."""
    training = mode.workload.mode == "training"
    return {
        "blocks": [(_paths(block), block.user_id, block.ipu) for block in mode.blocks],
        "checkpoints": [_paths(checkpoint) for checkpoint in mode.checkpoints if training],
        "adapters": [(adapter.kind, _paths(adapter), adapter.values()) for adapter in mode.adapters],
        "sizes": {b.module: (b.parameters, tuple(b.rows)) for b in mode.blocks if b.rows or b.parameters is not None},
        "options": _options(mode),
    }


def traced_with(model: ModelInfo) -> str:
    """Where the names of the modules come from, for error messages."""
    version = model.transformers_version
    return f"transformers {version}" if version else "a model that is not from transformers"


def _paths(placed: Block | Checkpoint | Adapter) -> tuple[str, ...]:
    return tuple(dict.fromkeys((placed.module, *placed.alternatives)))


def _options(mode: ModePlan) -> dict[str, Any]:
    from ..workload import PRECISIONS

    work = mode.workload
    precision = PRECISIONS.get(work.precision)
    training = work.mode == "training"
    return {
        "pipelined": mode.pipelined,
        "gradient_accumulation": max(work.gradient_accumulation or 1, mode.minimum_accumulation) if training else None,
        "device_iterations": mode.device_iterations,
        "replication_factor": work.replicas,
        "memory_proportions": work.matmul_proportions,
        "half_partials": precision is not None and precision.half_partials,
        "optimizer_state_offchip": work.optimizer_state_offchip,
        "replicated_tensor_sharding": work.replicated_tensor_sharding and work.replicas > 1,
    }
