"""The plan: the versioned document that users keep. It holds what was asked, what was decided and what is expected."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from .document import Count, Document, Flag, Number, Positive, canonical_json, describe, parse_object, read_object
from .errors import UsageError
from .plan_parts import (
    Adapter,
    Applied,
    Baseline,
    Block,
    Checkpoint,
    Finding,
    Fitting,
    Ipu,
    Lever,
    Memory,
    ModeName,
    ModePlan,
    Predicted,
    PreferName,
    Shortfall,
    SolutionInfo,
    Stage,
    WorkloadInfo,
)

if TYPE_CHECKING:
    import torch

    from .explanation import Explanation
    from .ipu_config import IPUConfig

__all__ = [
    "Adapter",
    "Applied",
    "AuditInfo",
    "Baseline",
    "Block",
    "Checkpoint",
    "Finding",
    "Fitting",
    "Ipu",
    "Lever",
    "MachineInfo",
    "Memory",
    "ModePlan",
    "ModelInfo",
    "OverrideInfo",
    "PartitionPlan",
    "Predicted",
    "Shortfall",
    "SolutionInfo",
    "Stage",
    "WorkloadInfo",
]

SCHEMA_VERSION: Final = 1
PLAN_NAME = "ipu_partition_plan.json"
_WHAT = "a plan written by ipu-partition"


class ModelInfo(Document):
    """Which model was traced, and from what."""

    name: str
    source: str
    architecture: str
    task: str
    hub_id: str | None = None
    revision: str | None = None
    model_type: str | None = None
    parameters: Count
    transformers_version: str | None = None
    """The version that was traced; None for a model that is not from transformers."""
    fingerprint: str
    shapes: dict[str, int | float | list[int] | dict[str, str]]
    """Sizes the plan is made for; `example_inputs` gives type and shape of tensors the user gave."""


class MachineInfo(Document):
    name: str
    tiles_per_ipu: Positive
    bytes_per_tile: Positive
    capacity_bytes: Positive


class OverrideInfo(Document):
    """What the user decided instead of the planner, in every mode."""

    layers: list[Annotated[int, Field(ge=-1, strict=True)]] | None = None
    """Layers on each IPU, -1 where the planner chose; None: it chose everywhere, or a file was checked."""
    pins: dict[str, Count] = Field(default_factory=dict)
    """Module: IPU"""
    prefer: PreferName = "time"
    planner: str = "chain"
    """With its options."""


class AuditInfo(Document):
    """What the cost of the model is made of, in numbers of ops."""

    counted: dict[str, Count] = Field(default_factory=dict)
    ignored: dict[str, tuple[Count, str]] = Field(default_factory=dict)
    """op: (times, reason)"""
    unknown: dict[str, tuple[Count, Number]] = Field(default_factory=dict)
    """op: (times, share of all activation traffic)"""
    bounded: dict[str, Count] = Field(default_factory=dict)
    """Ops whose shape depends on tensor values, costed at the most it can be."""


@dataclass(frozen=True, slots=True)
class Background:
    """What a plan comes from, as long as the process lives: no part of what it says."""

    explain: Callable[[], Explanation] | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Background], tuple[()]]:
        return Background, ()


class PartitionPlan(Document):
    schema_version: Literal[1] = SCHEMA_VERSION
    model: ModelInfo
    machine: MachineInfo
    target: Literal["optimum", "poptorch"]
    overrides: OverrideInfo = OverrideInfo()
    expressible: Flag
    """`layers_per_ipu` says exactly what the plan says."""
    optimum_class: str | None
    fits: Flag
    warnings: list[str]
    checked: str | None = None
    """Where the configuration comes from that was predicted; None: the planner chose."""
    findings: list[Finding] = Field(default_factory=list)
    """What is to be said of that configuration."""
    training: ModePlan | None
    inference: ModePlan | None
    audit: AuditInfo
    _background: Background = PrivateAttr(default_factory=Background)

    @model_validator(mode="after")
    def _coherent(self) -> PartitionPlan:
        modes = self.modes()
        if not modes and self.sound:
            raise ValueError("neither training nor inference is planned")
        if self.fits != (bool(modes) and all(plan.fits for plan in modes.values())):
            raise ValueError(f"fits is {self.fits}, the modes say otherwise")
        wrong = [name for name, plan in modes.items() if plan.workload.mode != name]
        if wrong:
            raise ValueError(f"the workload under {wrong[0]} is for {modes[wrong[0]].workload.mode}")
        if self.expressible and self.optimum_class is None:
            raise ValueError("expressible is true and there is no optimum_class")
        for name, plan in modes.items():
            self._check_overrides(name, plan)
        return self

    def _check_overrides(self, name: ModeName, plan: ModePlan) -> None:
        asked, ipus = self.overrides, plan.workload.ipus
        if asked.layers is not None and len(asked.layers) != ipus:
            raise ValueError(f"overrides name the layers of {len(asked.layers)} IPUs, {name} has {ipus}")
        if strangers := sorted(module for module, ipu in asked.pins.items() if ipu >= ipus):
            raise ValueError(f"overrides pin {strangers[0]!r} to an IPU beyond {ipus - 1} in {name}")
        if plan.solution.prefer != asked.prefer:
            raise ValueError(f"overrides put {asked.prefer} first, {name} puts {plan.solution.prefer} first")

    @property
    def sound(self) -> bool:
        """Whether nothing fatal was found in the configuration that was checked."""
        return not any(finding.fatal for finding in self.findings)

    def modes(self) -> dict[ModeName, ModePlan]:
        """The modes that were planned, training first."""
        found: dict[ModeName, ModePlan | None] = {"training": self.training, "inference": self.inference}
        return {name: plan for name, plan in found.items() if plan is not None}

    def mode(self, name: ModeName) -> ModePlan:
        """The plan for one mode; UsageError where it was not planned."""
        modes = self.modes()
        if name not in modes:
            there = ", ".join(modes) or "findings"
            raise UsageError(f"This plan has no {name} part, only {there}; plan the model for {name} too.")
        return modes[name]

    def blocks(self, mode: ModeName) -> list[Block]:
        """The blocks of one mode in execution order; UsageError where it was not planned."""
        return self.mode(mode).blocks

    def explain(self) -> Explanation:
        """Why the plan cuts where it does. UsageError for a plan that was not made in this process."""
        if self._background.explain is None:
            raise UsageError(
                "Only a plan that partition() made in this process can be explained: a file holds the answer, not what "
                "it was found in. Try ipu_partition.explain(...), or `ipu-partition explain`, with the same options."
            )
        return self._background.explain()

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    def fingerprint(self) -> str:
        """16 hex digits that depend on all the plan says except the seconds the planner took."""
        data = self.to_dict()
        for name in self.modes():
            del data[name]["solution"]["seconds"]
        return hashlib.sha256(canonical_json(data).encode("ascii")).hexdigest()[:16]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: str = "the plan") -> PartitionPlan:
        """UsageError where `data` is not a plan this version reads."""
        version = data.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise UsageError(
                f"{origin} has schema_version {version}, this ipu-partition reads up to {SCHEMA_VERSION}; upgrade it."
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise UsageError(f"{origin} is not {_WHAT}: {describe(error)}. Make the plan again.") from error

    @classmethod
    def from_json(cls, text: str | bytes) -> PartitionPlan:
        """UsageError where `text` is not a plan this version reads."""
        return cls.from_dict(parse_object(text, "the text", _WHAT))

    @classmethod
    def load(cls, path: str | Path) -> PartitionPlan:
        """Read a plan from its file or from the folder it was saved in; UsageError where that fails."""
        file = Path(path) / PLAN_NAME if Path(path).is_dir() else Path(path)
        return cls.from_dict(read_object(file, _WHAT), str(file))

    def save(self, directory: str | Path) -> tuple[Path, ...]:
        """Write ipu_config.json, ipu_partition_plan.json and parallelize.py, all or none; return their paths."""
        from .emit.files import write_all
        from .emit.python_source import MODULE_NAME, python_source
        from .ipu_config import CONFIG_NAME

        config = self.ipu_config().to_json()
        return write_all(directory, {CONFIG_NAME: config, PLAN_NAME: self.to_json(), MODULE_NAME: python_source(self)})

    def ipu_config(self) -> IPUConfig:
        """The plan as optimum-graphcore reads it."""
        from .ipu_config import IPUConfig

        return IPUConfig.from_plan(self)

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Begin the plan's blocks on `model` for the mode it is in; needs poptorch (else UsageError)."""
        from .emit.poptorch_live import apply

        return apply(self, model)
