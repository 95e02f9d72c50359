"""The fields of an `ipu_config.json`, each checked alone, and the defaults that follow other fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..document import Count, Document, Flag, Positive, Proportion

CONFIG_NAME = "ipu_config.json"
WILDCARD = -1
MODES = ("", "inference_")
_NO_CHOICE = ("model_type", "transformers_version", "optimum_version")
"""The original writes its own, whatever was given."""

Layers = Annotated[list[Annotated[int, Field(ge=WILDCARD, strict=True)]], Field(min_length=1, strict=True)]
Splits = Annotated[list[Count], Field(strict=True)]
Proportions = Proportion | Annotated[list[Proportion], Field(strict=True)]
Text = Annotated[str, Field(strict=True)]
Keywords = Annotated[dict[Text, Any], Field(strict=True)]


class Fields(Document):
    """All fields of the original's `to_dict()`. A missing `inference_*` field follows the training one, as there."""

    replication_factor: Positive = 1
    inference_replication_factor: Positive = 1
    gradient_accumulation_steps: Positive = 1
    layers_per_ipu: Layers = Field([WILDCARD])
    inference_layers_per_ipu: Layers = Field([WILDCARD])
    ipus_per_replica: Positive = 1
    inference_ipus_per_replica: Positive = 1
    optimizer_state_offchip: Flag = False
    replicated_tensor_sharding: Flag = False
    matmul_proportion: Proportions = 0.2
    inference_matmul_proportion: Proportions = 0.2
    enable_half_partials: Flag = True
    embedding_serialization_factor: Positive | None = None
    inference_embedding_serialization_factor: Positive | None = None
    serialized_embedding_splits_per_ipu: Splits | None = None
    inference_serialized_embedding_splits_per_ipu: Splits | None = None
    projection_serialization_factor: Positive | None = None
    inference_projection_serialization_factor: Positive | None = None
    serialized_projection_splits_per_ipu: Splits | None = None
    inference_serialized_projection_splits_per_ipu: Splits | None = None
    recompute_checkpoint_every_layer: Flag = False
    device_iterations: Positive = 1
    inference_device_iterations: Positive = 1
    output_mode: Literal["all", "sum", "final", "default"] = "final"
    seed: Annotated[int, Field(strict=True)] | None = None
    auto_loss_scaling: Flag = False
    executable_cache_dir: Text = ""
    explicit_ir_inference: Flag = False
    parallelize_kwargs: Keywords = Field(default_factory=dict)
    inference_parallelize_kwargs: Keywords = Field(default_factory=dict)
    execute_encoder_on_cpu_for_generation: Flag = False
    model_type: Text = ""
    transformers_version: Text | None = "4.29.2"
    optimum_version: Text | None = "1.6.1"

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        return filled(data) if isinstance(data, Mapping) else data


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the defaults that depend on other fields, as the original's `__init__` derives them."""
    out = {name: value for name, value in data.items() if value is not None or name not in _NULL_IS_MISSING}
    for name in _NO_CHOICE:
        if isinstance(out.get(name), str | None):
            out.pop(name, None)
    layers = out.setdefault("layers_per_ipu", [WILDCARD])
    out["inference_layers_per_ipu"] = out.get("inference_layers_per_ipu") or layers
    _fill_ipus(out)
    _fill_proportions(out)
    for mode in MODES:
        for layer in ("embedding", "projection"):
            if not out.get(f"{mode}serialized_{layer}_splits_per_ipu"):
                out.setdefault(f"{mode}{layer}_serialization_factor", 1)
    return out


_NULL_IS_MISSING = {"inference_layers_per_ipu", "inference_matmul_proportion"} | {
    f"{mode}{name}"
    for mode in MODES
    for name in (
        "ipus_per_replica",
        "parallelize_kwargs",
        "embedding_serialization_factor",
        "projection_serialization_factor",
    )
}
"""Fields that may be null in the file and are then as if they were not there."""


def _fill_ipus(out: dict[str, Any]) -> None:
    layers, inference_layers = out["layers_per_ipu"], out["inference_layers_per_ipu"]
    if not (isinstance(layers, list) and isinstance(inference_layers, list)):
        return
    ipus = out["ipus_per_replica"] = out.get("ipus_per_replica") or len(layers)
    from_layers = ipus == len(layers) or inference_layers != [WILDCARD]
    fallback = len(inference_layers) if from_layers else ipus
    out["inference_ipus_per_replica"] = out.get("inference_ipus_per_replica") or fallback


def _fill_proportions(out: dict[str, Any]) -> None:
    for name in ("matmul_proportion", "inference_matmul_proportion"):
        if name in out:
            out[name] = _as_floats(out[name])
    training = out.setdefault("matmul_proportion", 0.2)
    wrong_length = isinstance(training, list) and len(training) != out.get("inference_ipus_per_replica")
    out["inference_matmul_proportion"] = out.get("inference_matmul_proportion") or (0.2 if wrong_length else training)


def _as_floats(value: Any) -> Any:
    """A JSON 1 is a proportion of 1.0; the original loads it as an int and fails on it later."""
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    return float(value) if type(value) is int else value
