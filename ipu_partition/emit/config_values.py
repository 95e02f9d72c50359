"""The fields of an `ipu_config.json` that a plan decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ..plan import PartitionPlan
    from ..plan_parts import ModePlan, WorkloadInfo


def config_values(plan: PartitionPlan) -> dict[str, Any]:
    """Keywords of IPUConfig; both modes filled, see `IPUConfig.from_plan`. UsageError where neither is planned."""
    modes = plan.modes()
    if not modes:
        raise UsageError("This document holds findings and no plan; there is nothing to write.")
    training = modes.get("training") or modes["inference"]
    inference = modes.get("inference") or training
    return {
        **_split(training, "", plan.expressible),
        **_split(inference, "inference_", plan.expressible),
        **_training(training, plan.expressible),
        "inference_device_iterations": inference.device_iterations,
    }


def _split(mode: ModePlan, prefix: str, expressible: bool) -> dict[str, Any]:
    work = mode.workload
    return {
        f"{prefix}layers_per_ipu": _layers(mode, expressible) or [-1],
        f"{prefix}ipus_per_replica": work.ipus,
        f"{prefix}matmul_proportion": work.matmul_proportion,
        f"{prefix}replication_factor": work.replicas,
        **_pieces(work, prefix, "embedding"),
        **_pieces(work, prefix, "projection"),
    }


def _layers(mode: ModePlan, expressible: bool) -> list[int] | None:
    """None where the file cannot say them."""
    return mode.layers_per_ipu if expressible else None


def _pieces(work: WorkloadInfo, prefix: str, layer: str) -> dict[str, Any]:
    """The factor, or the pieces on each IPU; IPUConfig refuses both."""
    splits = getattr(work, f"serialized_{layer}_splits_per_ipu")
    if splits is not None:
        return {f"{prefix}serialized_{layer}_splits_per_ipu": splits}
    return {f"{prefix}{layer}_serialization_factor": getattr(work, f"{layer}_serialization_factor")}


def _training(mode: ModePlan, expressible: bool) -> dict[str, Any]:
    from ..workload import PRECISIONS

    work = mode.workload
    precision = PRECISIONS.get(work.precision)
    return {
        "enable_half_partials": precision is None or precision.half_partials,
        "gradient_accumulation_steps": _accumulation(mode, expressible),
        "optimizer_state_offchip": work.optimizer_state_offchip,
        "recompute_checkpoint_every_layer": work.recompute_checkpoint_every_layer,
        "replicated_tensor_sharding": work.replicated_tensor_sharding,
    }


def _accumulation(mode: ModePlan, expressible: bool) -> int:
    """At least 2 F - 1, F = the pipeline length; that of even shares where the file says no more, which may have layers
    on IPUs that the plan leaves idle. Source: graphcore/poptorch:popart_compiler/source/Compiler.cpp `initSession`."""
    even = 1 if _layers(mode, expressible) else mode.workload.ipus
    least = 2 * max(mode.pipeline_length, even) - 1
    return max(least, mode.minimum_accumulation, mode.workload.gradient_accumulation or 1)
