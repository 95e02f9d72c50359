"""What is asked of the model: by the options, and by one side of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from ..errors import UsageError
from ..families import FamilyRule
from ..handwritten import Handwritten, Side
from ..request import Request
from ..workload import Serialisation

if TYPE_CHECKING:
    import torch

PLANNER = "uniform"
"""It places layers where they are demanded and never searches, so that nothing is called optimal."""
POPLIBS_PROPORTION = 0.6
"""Of IPUs that the configuration does not name. Source: graphcore/poplibs, `availableMemoryProportion`."""


class CheckOptions(TypedDict, total=False):
    """The keywords of :func:`ipu_partition.check`: those of `partition` that no configuration file says, and what
    IPUTrainer's command line overrides."""

    mode: str
    task: str | None
    config: Mapping[str, object] | None
    revision: str | None
    trust_remote_code: bool
    example_inputs: Mapping[str, torch.Tensor] | None
    sequence_length: int | None
    target_length: int | None
    image_size: int | None
    audio_seconds: float | None
    micro_batch_size: int
    replicas: int | None
    gradient_accumulation: int | None
    optimizer: str
    accum_type: str | None
    first_order_momentum_accum_type: str | None
    second_order_momentum_accum_type: str | None
    precision: str | None
    outlining: bool
    machine: str
    pod: str | None


def checked_options(options: Mapping[str, object]) -> None:
    """UsageError for an option that does not exist, or is the file's to say."""
    known = sorted(CheckOptions.__annotations__)
    if unknown := sorted(set(options) - set(known)):
        said = " The configuration says it." if unknown[0] in Request.__dataclass_fields__ else ""
        raise UsageError(f"Unknown option {unknown[0]!r}.{said} Expected one of {', '.join(known)}.")


def base_request(hand: Handwritten, options: CheckOptions) -> Request:
    """What both modes are asked, from the options and from the fields that have no `inference_` twin."""
    fields = hand.fields
    given: dict[str, Any] = {name: value for name, value in options.items() if name not in ("pod", "replicas")}
    if given.get("precision") is None:
        given["precision"] = "16.16" if fields.enable_half_partials else "16.32"
    if given.get("gradient_accumulation") is None:
        given["gradient_accumulation"] = fields.gradient_accumulation_steps
    if options.get("replicas") is not None:
        given["replicas"] = options["replicas"]
    return Request(
        **given,
        optimizer_state_offchip=fields.optimizer_state_offchip,
        replicated_tensor_sharding=fields.replicated_tensor_sharding,
        recompute_checkpoint_every_layer=fields.recompute_checkpoint_every_layer,
        planner=PLANNER,
        idle=True,
    )


def mode_request(
    base: Request, one: Side, rule: FamilyRule, layers: tuple[int, ...] | None, cut: Serialisation
) -> Request:
    """What one side asks for; `layers` None: wherever the planner puts them."""
    ipus = rule.ipus or one.ipus
    return replace(
        base,
        ipus=ipus,
        layers=layers,
        replicas=one.replicas,
        matmul_proportion=_proportions(one, ipus),
        embedding_serialization_factor=1 if cut.embedding_splits else cut.embedding,
        projection_serialization_factor=1 if cut.projection_splits else cut.projection,
        serialized_embedding_splits_per_ipu=cut.embedding_splits or None,
        serialized_projection_splits_per_ipu=cut.projection_splits or None,
    )


def _proportions(one: Side, ipus: int) -> float | tuple[float, ...]:
    """Of the IPUs that the class uses; to_options names those of the configuration alone."""
    if ipus == one.ipus:
        return one.proportions
    named = one.proportions if isinstance(one.proportions, tuple) else (one.proportions,) * one.ipus
    return (*named, *(POPLIBS_PROPORTION,) * ipus)[:ipus]
