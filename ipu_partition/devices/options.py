"""Which options make sense with a machine file; the rest are about IPUs and are refused."""

from __future__ import annotations

from ..errors import UsageError
from ..request import Request
from ..workload import Target

IPU_OPTIONS = (
    "replicas",
    "optimizer_state_offchip",
    "replicated_tensor_sharding",
    "recompute_checkpoint_every_layer",
    "accum_type",
    "first_order_momentum_accum_type",
    "second_order_momentum_accum_type",
    "matmul_proportion",
    "embedding_serialization_factor",
    "projection_serialization_factor",
    "serialized_embedding_splits_per_ipu",
    "serialized_projection_splits_per_ipu",
    "outlining",
    "layers",
    "pins",
    "fit",
    "levers",
)


def check_options(request: Request) -> None:
    """UsageError for an option that means nothing on the devices of a machine file."""
    plain = Request()
    for name in IPU_OPTIONS:
        if getattr(request, name) != getattr(plain, name):
            raise UsageError(
                f"{name} is {getattr(request, name)!r}, but it is about IPUs, and --machine {request.machine} "
                "describes other devices. Leave it out, or plan for a kind of IPU such as mk2."
            )
    if request.target not in (None, Target.TORCH.value):
        raise UsageError(
            f"Target {request.target} is about IPUs, and --machine {request.machine} describes other devices. Leave "
            "--target out, or plan for a kind of IPU such as mk2."
        )


def ipus_only(request: Request, what: str) -> None:
    """UsageError where a machine file is given to `what`, which is about IPUs."""
    if request.machine_file:
        raise UsageError(
            f"{what} is about IPUs, and --machine {request.machine} describes other devices. Name a kind of IPU such "
            "as mk2; `ipu-partition --model NAME --machine FILE` plans for the devices of a file."
        )
