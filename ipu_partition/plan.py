"""The plan: the versioned document that users keep. It holds what was asked, what was decided and what is expected."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, PrivateAttr, ValidationError, model_validator

from .document import (
    Count,
    Document,
    Flag,
    Number,
    Positive,
    canonical_json,
    describe,
    digest,
    parse_object,
    read_object,
)
from .errors import UsageError
from .migrations import FINGERPRINT, FINGERPRINTED, FIRST_SEALED, SCHEMA_VERSION, migrated, version_of
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
from .verified_parts import Verified

if TYPE_CHECKING:
    import torch

    from .explanation import Explanation
    from .hub import Pushed
    from .ipu_config import IPUConfig
    from .verify import VerifiedPlan

__all__ = [
    "Adapter",
    "Applied",
    "AuditInfo",
    "Baseline",
    "Basis",
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
    "Verified",
    "WorkloadInfo",
]

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
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields of the configuration that the user set."""
    parameters: Count
    transformers_version: str | None = None
    """The version that was traced; None for a model that is not from transformers."""
    fingerprint: str
    """`structure_of` the module that was traced, by which `apply` tells it from others."""
    shapes: dict[str, int | float | list[int] | dict[str, str]]
    """Sizes the plan is made for; `example_inputs` gives type and shape of tensors the user gave."""


class DeviceInfo(Document):
    """One device of a machine file, as it was planned with."""

    kind: Literal["cuda", "cpu"]
    memory_bytes: Positive
    reserved_bytes: Count = 0
    flops_per_s: dict[Literal["float32", "float16"], Number]
    """By format."""
    bytes_per_s: Number
    op_overhead_us: Number
    link_bytes_per_s: Number | None
    link_latency_us: Number


class MachineInfo(Document):
    """A kind of IPU, or the devices of a machine file."""

    name: str
    tiles_per_ipu: Positive | None
    """None for other devices, as `bytes_per_tile`."""
    bytes_per_tile: Positive | None
    capacity_bytes: Positive
    """Of one IPU; of other devices, of the smallest."""
    devices: list[DeviceInfo] | None = None
    """Those in use, in order; None for IPUs."""

    @model_validator(mode="after")
    def _coherent(self) -> MachineInfo:
        tiles = (self.tiles_per_ipu, self.bytes_per_tile)
        if (self.devices is None) != (None not in tiles) or (self.devices is not None and tiles != (None, None)):
            raise ValueError("a machine has tiles or devices")
        if self.devices is not None and self.capacity_bytes != min((d.memory_bytes for d in self.devices), default=0):
            raise ValueError("capacity_bytes is not the memory of the smallest device")
        return self


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


def shapes_of(shapes: Mapping[str, Any]) -> str:
    """The fingerprint of the sizes a plan is made for."""
    return digest(canonical_json(shapes))


class Basis(Document):
    """What the numbers of a plan rest on, as fingerprints. Where one is no longer ours, the plan is stale."""

    model: str
    """Names and shapes of the parameters; `ModelInfo.fingerprint`."""
    shapes: str
    machine: str
    """The numbers of the machine."""
    rules: str
    """The rules of cost."""


@dataclass(frozen=True, slots=True)
class Background:
    """What a plan comes from, as long as the process lives: no part of what it says."""

    explain: Callable[[], Explanation] | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[Background], tuple[()]]:
        return Background, ()


class PartitionPlan(Document):
    schema_version: Literal[3] = SCHEMA_VERSION
    basis: Basis | None = None
    """None: not known, as in documents before version 2."""
    model: ModelInfo
    machine: MachineInfo
    target: Literal["optimum", "poptorch", "torch"]
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
    verified: Verified | None = None
    """What was proved by running it, which its fingerprint does not depend on; None: nothing yet."""
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
            self._check_devices(name, plan)
        if self.basis is not None and self.basis.model != self.model.fingerprint:
            raise ValueError("basis and model name different models")
        if self.basis is not None and self.basis.shapes != shapes_of(self.model.shapes):
            raise ValueError("basis and model name different shapes")
        strangers = sorted(set(self.verified.modes() if self.verified else ()) - set(modes))
        if strangers:
            raise ValueError(f"{strangers[0]} is verified and not planned")
        return self

    def _check_overrides(self, name: ModeName, plan: ModePlan) -> None:
        asked, ipus = self.overrides, plan.workload.ipus
        if asked.layers is not None and len(asked.layers) != ipus:
            raise ValueError(f"overrides name the layers of {len(asked.layers)} IPUs, {name} has {ipus}")
        if strangers := sorted(module for module, ipu in asked.pins.items() if ipu >= ipus):
            raise ValueError(f"overrides pin {strangers[0]!r} to an IPU beyond {ipus - 1} in {name}")
        if plan.solution.prefer != asked.prefer:
            raise ValueError(f"overrides put {asked.prefer} first, {name} puts {plan.solution.prefer} first")

    def _check_devices(self, name: ModeName, plan: ModePlan) -> None:
        """A plan for other devices than IPUs has one stage on each, in order, and nothing that only IPUs have."""
        devices = self.machine.devices
        if (self.target == "torch") != (devices is not None):
            raise ValueError(f"target is {self.target} and the machine has {'no ' if devices is None else ''}devices")
        if (plan.workload.schedule == "1f1b-training") != (self.target == "torch" and name == "training"):
            raise ValueError(f"schedule {plan.workload.schedule} does not belong to target {self.target}")
        if devices is None:
            return
        if len(devices) != plan.workload.ipus or [s.ipu for s in plan.stages] != list(range(len(devices))):
            raise ValueError(f"{name} has not one stage on each of {len(devices)} devices, in order")
        if self.expressible or plan.blocks or plan.adapters or plan.checkpoints or not plan.pipelined:
            raise ValueError(f"{name} has what only IPUs have")

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
        """Why the plan cuts where it does. UsageError for a plan that was not made in this process, or not for IPUs."""
        self.only_for_ipus("explain")
        if self._background.explain is None:
            raise UsageError(
                "Only a plan that partition() made in this process can be explained: a file holds the answer, not what "
                "it was found in. Try ipu_partition.explain(...), or `ipu-partition explain`, with the same options."
            )
        return self._background.explain()

    @property
    def stale(self) -> str | None:
        """Why the numbers are no longer those this version would give; None where they are."""
        from .basis import cost_rules, machine_numbers

        if self.basis is None:
            return "it does not say which rules of cost it was made with"
        if self.basis.rules != cost_rules():
            return f"it was made with other rules of cost ({self.basis.rules}) than these ({cost_rules()})"
        if machine_numbers(self.machine.name) not in (None, self.basis.machine):
            return f"it was made with other numbers of the machine {self.machine.name!r} than these"
        return None

    def only_for_ipus(self, what: str) -> None:
        """UsageError where `what` is asked of a plan for other devices."""
        if self.target == "torch":
            raise UsageError(
                f"{what} is about IPUs, and this plan is for the devices of {self.machine.name!r} (target torch). Plan "
                "for a kind of IPU such as mk2, or run this plan with `ipu-partition run`."
            )

    def to_dict(self) -> dict[str, Any]:
        return {**self.model_dump(mode="json"), FINGERPRINT: self.fingerprint()}

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    def fingerprint(self) -> str:
        """16 hex digits that depend on all the plan says except the seconds the planner took and what was verified."""
        data = self.model_dump(mode="json", exclude={"verified"}) | {"schema_version": FINGERPRINTED}
        for name in self.modes():
            del data[name]["solution"]["seconds"]
        if self.machine.devices is None:  # as in documents before there were any
            del data["machine"]["devices"]
        return digest(canonical_json(data))

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of what :meth:`to_dict` gives."""
        schema = super().json_schema()
        seal = {
            "description": "Of all else but the seconds and `verified`.",
            "pattern": "^[0-9a-f]{16}$",
            "type": "string",
        }
        schema["properties"][FINGERPRINT] = seal
        schema["required"].append(FINGERPRINT)
        return schema

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: str = "the plan", *, stale: bool = False) -> PartitionPlan:
        """UsageError where `data` is no plan, was edited after it was written, or, unless `stale` is true, was made
        with other rules of cost than these."""
        if not isinstance(data, Mapping):
            raise UsageError(f"{origin} is a {type(data).__name__}, expected the contents of {_WHAT}.")
        sealed = version_of(data, origin) >= FIRST_SEALED
        values = migrated(data, origin)
        seal = values.pop(FINGERPRINT, None)
        try:
            plan = cls.model_validate(values)
        except ValidationError as error:
            raise UsageError(f"{origin} is not {_WHAT}: {describe(error)}. Make the plan again.") from error
        if sealed and seal != plan.fingerprint():
            raise UsageError(
                f"{origin} was edited: its fingerprint is {ascii(seal)[:60]}, its content has {plan.fingerprint()!r}. "
                "Make the plan again; what you want otherwise is an option of ipu-partition."
            )
        plan._check_proofs(origin)
        if not stale and (reason := plan.stale):
            raise UsageError(
                f"{origin} is stale: {reason}. Make the plan again; `ipu-partition show` still displays it."
            )
        return plan

    def _check_proofs(self, origin: str) -> None:
        proofs = self.verified
        if proofs is not None and proofs.seal != proofs.seal_for(self.fingerprint()):
            raise UsageError(
                f"{origin} was edited: what it says was verified does not bear the seal of this plan. "
                "Make the plan again, or set `verified` to null and run `ipu-partition verify`."
            )

    @classmethod
    def from_json(cls, text: str | bytes, *, stale: bool = False) -> PartitionPlan:
        """As :meth:`from_dict`; UsageError where `text` is no JSON."""
        if not isinstance(text, str | bytes):
            raise UsageError(f"The text is a {type(text).__name__}, expected {_WHAT}.")
        return cls.from_dict(parse_object(text, "the text", _WHAT), stale=stale)

    @classmethod
    def load(cls, path: str | Path, *, stale: bool = False) -> PartitionPlan:
        """Read a plan from its file or from the folder it was saved in; UsageError as for :meth:`from_dict`."""
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise UsageError(f"{ascii(path)[:60]} names nothing; expected {_WHAT}: a file, or a folder that holds it.")
        file = Path(path) / PLAN_NAME if Path(path).is_dir() else Path(path)
        return cls.from_dict(read_object(file, _WHAT), str(file), stale=stale)

    def save(self, directory: str | Path) -> tuple[Path, ...]:
        """Write ipu_config.json, ipu_partition_plan.json and parallelize.py, all or none; return their paths.

        Of a plan for other devices than IPUs, the second alone.
        """
        from .emit.files import write_all
        from .emit.python_source import MODULE_NAME, python_source
        from .ipu_config import CONFIG_NAME

        if self.target == "torch":
            return write_all(directory, {PLAN_NAME: self.to_json()})
        config = self.ipu_config().to_json()
        return write_all(directory, {CONFIG_NAME: config, PLAN_NAME: self.to_json(), MODULE_NAME: python_source(self)})

    def save_pretrained(self, directory: str | Path, *, repo: str | None = None) -> tuple[Path, ...]:
        """Write a folder as repositories of configurations on the Hub are: ipu_config.json, the plan, a model card,
        and parallelize.py where the first cannot say the cut. `repo` is the repository that the card names.

        All or none are written; their paths are returned. A README.md that is there stays and is not among them.
        """
        from .hub import save

        self.only_for_ipus("save_pretrained")
        return save(self, directory, repo=repo).written

    @classmethod
    def from_pretrained(
        cls, source: str | os.PathLike[str], revision: str | None = None, *, stale: bool = False
    ) -> PartitionPlan:
        """Read the plan in a file, a folder, or a repository on the Hub, there at `revision`.

        UsageError where there is none, or as for :meth:`from_dict`.
        """
        from .hub import located

        return cls.load(located(source, PLAN_NAME, revision, _WHAT), stale=stale)

    def push_to_hub(
        self,
        repo: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        create_pr: bool = False,
        dry_run: bool = False,
        force: bool = False,
        token: str | None = None,
    ) -> Pushed:
        """Push what :meth:`save_pretrained` writes to the repository `repo` ("owner/name"), in one commit.

        It is made where it is missing. A README.md that is there stays. A dry run touches no network. UsageError where
        the plan does not fit, cannot run or is stale (unless `force`), and for whatever the Hub objects to.
        """
        from .hub import Ask, push

        self.only_for_ipus("push_to_hub")
        message = {} if commit_message is None else {"message": commit_message}
        ask = Ask(repo, private, revision, create_pr=create_pr, token=token, **message)
        return push(self, ask, dry_run=dry_run, force=force)

    def verify(
        self,
        model: object = None,
        *,
        modes: Sequence[str] | None = None,
        size: str = "auto",
        progress: Callable[[str], None] | None = None,
        example_inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor] | None = None,
        loss: Callable[..., Any] | None = None,
        trust_remote_code: bool = False,
    ) -> VerifiedPlan:
        """Prove the plan by running it on the CPU; see :func:`ipu_partition.verify.verify`. This plan stays as it is:
        the one with the proofs is `plan` of what is returned."""
        from .verify import verify

        return verify(
            self,
            model,
            modes=modes,
            size=size,
            progress=progress,
            example_inputs=example_inputs,
            loss=loss,
            trust_remote_code=trust_remote_code,
        )

    def ipu_config(self) -> IPUConfig:
        """The plan as optimum-graphcore reads it. UsageError for a plan for other devices than IPUs."""
        from .ipu_config import IPUConfig

        self.only_for_ipus("ipu_config.json")
        return IPUConfig.from_plan(self)

    def apply(self, model: torch.nn.Module) -> torch.nn.Module:
        """Begin the plan's blocks on `model` for the mode it is in; needs poptorch (else UsageError).

        UsageError, and `model` as it was, where it is not the model of the plan or has blocks already.
        """
        from .emit.poptorch_live import apply

        self.only_for_ipus("apply")
        return apply(self, model)

    def remove(self, model: torch.nn.Module) -> torch.nn.Module:
        """Undo :meth:`apply`, of this plan or another, and nothing else; UsageError where `model` is not cut."""
        from .emit.poptorch_live import remove

        return remove(model)
