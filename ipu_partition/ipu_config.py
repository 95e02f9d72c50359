"""`ipu_config.json`, the file optimum-graphcore reads: its fields, their defaults and the rules between them.

Source: huggingface/optimum-graphcore:optimum/graphcore/ipu_configuration.py (0.7.1). Stricter than the original where
that lets nonsense through: `true` is no number, a proportion is a float from 0 to 1, unknown keys are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from .document import Count, Document, Flag, Positive, Proportion, canonical_json, describe, read_object
from .errors import UsageError

if TYPE_CHECKING:
    from .plan import PartitionPlan

CONFIG_NAME = "ipu_config.json"
_WHAT = "an ipu_config.json of optimum-graphcore 0.7"
WILDCARD = -1
MODES = ("", "inference_")

Layers = Annotated[list[Annotated[int, Field(ge=WILDCARD, strict=True)]], Field(min_length=1)]
Splits = list[Count]


class Fields(Document):
    """All fields of the original's `to_dict()`, each checked alone. A missing `inference_*` field follows the training
    one, as there."""

    replication_factor: Positive = 1
    inference_replication_factor: Positive = 1
    gradient_accumulation_steps: Positive = 1
    layers_per_ipu: Layers = Field([WILDCARD])
    inference_layers_per_ipu: Layers = Field([WILDCARD])
    ipus_per_replica: Positive = 1
    inference_ipus_per_replica: Positive = 1
    optimizer_state_offchip: Flag = False
    replicated_tensor_sharding: Flag = False
    matmul_proportion: Proportion | list[Proportion] = 0.2
    inference_matmul_proportion: Proportion | list[Proportion] = 0.2
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
    executable_cache_dir: str = ""
    explicit_ir_inference: Flag = False
    parallelize_kwargs: dict[str, Any] = Field(default_factory=dict)
    inference_parallelize_kwargs: dict[str, Any] = Field(default_factory=dict)
    execute_encoder_on_cpu_for_generation: Flag = False
    model_type: str = ""
    transformers_version: str | None = "4.29.2"
    optimum_version: str | None = "1.6.1"

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        return filled(data) if isinstance(data, Mapping) else data


class IPUConfig(Fields):
    """A configuration that optimum-graphcore accepts."""

    @model_validator(mode="after")
    def _coherent(self) -> IPUConfig:
        problems = [text for mode in MODES for _, text in mode_problems(self, mode)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    def save_pretrained(self, directory: str | Path) -> Path:
        """Write `ipu_config.json` into `directory`; UsageError where that fails."""
        from .emit.files import write_all

        return write_all(directory, {CONFIG_NAME: self.to_json()})[0]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: str = "the configuration") -> IPUConfig:
        """UsageError where `data` is not a configuration optimum-graphcore accepts."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UsageError(f"{origin} is not {_WHAT}: {describe(error)}.") from error

    @classmethod
    def from_pretrained(cls, path: str | Path) -> IPUConfig:
        """Read a file, or `ipu_config.json` in a folder; UsageError where that fails."""
        file = Path(path) / CONFIG_NAME if Path(path).is_dir() else Path(path)
        return cls.from_dict(read_object(file, _WHAT), str(file))

    @classmethod
    def from_plan(cls, plan: PartitionPlan) -> IPUConfig:
        """What optimum-graphcore needs to run `plan`.

        Training and inference keys are both written. Where only one mode was planned, the other side repeats its
        split, IPUs, replicas and proportions, and optimum loads it; `gradient_accumulation_steps` is then the least
        that training on that split needs. Where `layers_per_ipu` cannot say the plan (or the class ignores it) it
        stays `[-1]` beside the number of IPUs.
        """
        from .emit.config_values import config_values

        return cls.from_dict(config_values(plan))


def filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with the defaults that depend on other fields, as the original's `__init__` derives them."""
    out = {name: value for name, value in data.items() if value is not None or name not in _NULL_IS_MISSING}
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


def mode_problems(config: Fields, mode: str) -> list[tuple[str, str]]:
    """(field, what is wrong) where fields of one mode contradict each other; `mode` is the prefix of its fields."""
    ipus = getattr(config, f"{mode}ipus_per_replica")
    layers = getattr(config, f"{mode}layers_per_ipu")
    proportion = getattr(config, f"{mode}matmul_proportion")
    found = []
    if isinstance(proportion, list) and len(proportion) != ipus:
        found.append(_length(f"{mode}matmul_proportion", proportion, mode, ipus))
    if WILDCARD not in layers and len(layers) != ipus:
        found.append(_length(f"{mode}layers_per_ipu", layers, mode, ipus))
    for layer in ("embedding", "projection"):
        found += _split_problems(config, mode, layer, ipus)
    return found


def _length(name: str, values: list[Any], mode: str, ipus: int) -> tuple[str, str]:
    return name, f"{name} has {len(values)} values, {mode}ipus_per_replica is {ipus}"


def _split_problems(config: Fields, mode: str, layer: str, ipus: int) -> list[tuple[str, str]]:
    name, factor = f"{mode}serialized_{layer}_splits_per_ipu", f"{mode}{layer}_serialization_factor"
    splits = getattr(config, name)
    if splits is None:
        return []
    found = []
    if getattr(config, factor) is not None:
        found.append((name, f"{name} and {factor} are both given; keep one"))
    if len(splits) != ipus:
        found.append(_length(name, splits, mode, ipus))
    busy = [index for index, count in enumerate(splits) if count]
    if not busy or busy[-1] - busy[0] + 1 != len(busy):
        found.append((name, f"{name} is {splits}, expected at least one split and no zero between splits"))
    return found
