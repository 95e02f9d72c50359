"""The parts of a plan that describe one mode of running the model. Bytes are on the device, times in microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .document import Count, Document, Flag, Number, Positive, Proportion

ModeName = Literal["training", "inference"]
PreferName = Literal["time", "memory"]
ScheduleName = Literal["pipelined-training", "pipelined-inference", "sharded-inference", "1f1b-training"]
TRAINING_SCHEDULES = frozenset({"pipelined-training", "1f1b-training"})
SHARDED = "sharded-inference"
_PROVED_GAP = 1e-9
"""Rounding of a bound that equals the value."""


class WorkloadInfo(Document):
    """What the model is asked to do, every default filled in."""

    mode: ModeName
    ipus: Positive
    micro_batch_size: Positive
    replicas: Positive
    gradient_accumulation: Positive | None
    """Micro-batches per weight update and replica; None in inference."""
    optimizer: str
    precision: str
    optimizer_state_offchip: Flag
    replicated_tensor_sharding: Flag
    recompute_checkpoint_every_layer: Flag
    accumulator_bytes: Positive = 2
    """Of one element of a gradient accumulator."""
    optimizer_state_bytes: Count = 6
    """Of one element of a parameter."""
    matmul_proportion: Proportion | list[Proportion]
    embedding_serialization_factor: Positive = 1
    projection_serialization_factor: Positive = 1
    serialized_embedding_splits_per_ipu: list[Count] | None = None
    serialized_projection_splits_per_ipu: list[Count] | None = None
    outlining: Flag = True
    """Whether equal layers on an IPU share their code."""
    schedule: ScheduleName

    @model_validator(mode="after")
    def _coherent(self) -> WorkloadInfo:
        if isinstance(self.matmul_proportion, list) and len(self.matmul_proportion) != self.ipus:
            raise ValueError(f"matmul_proportion has {len(self.matmul_proportion)} values for {self.ipus} IPUs")
        if (self.mode == "training") != (self.schedule in TRAINING_SCHEDULES):
            raise ValueError(f"schedule {self.schedule} does not belong to {self.mode}")
        return self

    @property
    def matmul_proportions(self) -> list[float]:
        """One proportion for every IPU."""
        value = self.matmul_proportion
        return list(value) if isinstance(value, list) else [value] * self.ipus


class Stage(Document):
    """Neighbouring units on one IPU."""

    index: Count
    ipu: Count
    units: list[Count]
    """In the order in which they run. A unit is numbered by its place in the order of the program, which is that of all
    stages one after the other, unless the model was planned in a better order."""
    modules: list[str]


class Block(Document):
    """A `poptorch.BeginBlock`: everything from the call of `module` to the next block is on `ipu`."""

    module: str
    ipu: Count
    user_id: Annotated[str, Field(min_length=1)]
    alternatives: list[str] = Field(default_factory=list)
    """Other paths of the same module in other transformers versions."""
    parameters: Count | None = None
    """Elements of all parameters in the module, by which it is known again; None: not known, as in version 1."""
    rows: list[Count] = Field(default_factory=list)
    """Lengths of the lists that its path goes through, outermost first."""


class Checkpoint(Document):
    """A module whose output is kept for the backward pass, where the rest of a stage is recomputed."""

    module: str
    alternatives: list[str] = Field(default_factory=list)


AdapterKind = Literal["weight-as-activation", "set-attribute", "serialised-linear", "static-function", "embeds-first"]
_ADAPTER_FIELDS: Mapping[str, frozenset[str]] = {
    "weight-as-activation": frozenset({"method"}),
    "set-attribute": frozenset({"name", "value"}),
    "serialised-linear": frozenset({"value"}),
    "static-function": frozenset({"class_name", "method", "name", "value"}),
    "embeds-first": frozenset({"name", "value"}),
}
STATIC_FUNCTIONS = frozenset({"causal-mask", "dropout", "masked-softmax", "no-finite-check"})


class Adapter(Document):
    """What `parallelize.py` changes in the plain model beside its blocks, so that the plan can hold; undone with them.

    `weight-as-activation`: 0.0 is added to the weight that `method` of `module` returns, so that the weight is read on
    one IPU and its value is copied to the others.
    `set-attribute`: `value` is set wherever a module in `module`, or the configuration it holds, has the number `name`.
    `serialised-linear`: the linear layer `module` makes its product in `value` pieces (`poptorch.serializedMatMul`).
    `static-function`: in `method` of the modules of class `class_name` in `module`, the global `name` stands for the
    function `value` of parallelize.py, which can be compiled.
    `embeds-first`: tokens are embedded before `module` runs, those of the encoder by its module `name` and those of the
    decoder by its module `value`, as the optimum class does.
    """

    kind: AdapterKind
    module: str
    """Path; '' is the whole model."""
    alternatives: list[str] = Field(default_factory=list)
    class_name: str | None = None
    method: str | None = None
    name: str | None = None
    value: Flag | Annotated[int, Field(strict=True)] | Annotated[float, Field(strict=True)] | str | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Adapter:
        wanted = _ADAPTER_FIELDS[self.kind]
        if set(self.values()) != wanted:
            raise ValueError(f"an adapter {self.kind} has the fields {sorted(wanted)}, found {sorted(self.values())}")
        if self.kind == "set-attribute" and isinstance(self.value, str):
            raise ValueError(f"set-attribute sets a number or a switch, found {self.value!r}")
        if self.kind == "embeds-first" and not isinstance(self.value, str):
            raise ValueError(f"embeds-first names two modules, found {self.value!r}")
        if self.kind == "serialised-linear" and (type(self.value) is not int or self.value < 1):
            raise ValueError(f"serialised-linear has a number of pieces from 1, found {self.value!r}")
        if self.kind == "static-function" and self.value not in STATIC_FUNCTIONS:
            raise ValueError(f"static-function knows {sorted(STATIC_FUNCTIONS)}, found {self.value!r}")
        return self

    def values(self) -> dict[str, bool | int | float | str]:
        """What the kind needs, by name."""
        given = {"class_name": self.class_name, "method": self.method, "name": self.name, "value": self.value}
        return {name: value for name, value in given.items() if value is not None}


class Memory(Document):
    """The bytes of one IPU, by what they are for."""

    total_bytes: Count
    """The terms add up to it."""
    capacity_bytes: Positive
    terms: dict[str, Count]
    gaps_bytes: Count = 0
    """Unused bytes between variables."""

    @model_validator(mode="after")
    def _adds_up(self) -> Memory:
        if sum(self.terms.values()) != self.total_bytes:
            raise ValueError(f"the terms add up to {sum(self.terms.values())}, total_bytes is {self.total_bytes}")
        return self

    @property
    def needed_bytes(self) -> int:
        """What the capacity must hold: the total and its gaps."""
        return self.total_bytes + self.gaps_bytes

    @property
    def fits(self) -> bool:
        return self.needed_bytes <= self.capacity_bytes


class Ipu(Document):
    ipu: Count
    memory: Memory
    cycle_us: Number
    """Time the IPU is busy with one micro-batch."""


class Predicted(Document):
    """`cycle_us` where the stages are pipelined, `latency_us` where they are not; the other is None."""

    cycle_us: Number | None
    latency_us: Number | None
    samples_per_second: Number
    update_us: Number | None
    """Time of one weight update with its accumulation; None in inference."""


class SolutionInfo(Document):
    """What was found and what was proved about it.

    A bound and the gap are those of the criterion that `prefer` puts first; None where nothing is proved.
    """

    planner: str
    prefer: PreferName = "time"
    objective_us: Number | None
    """Cycle time, or latency where sharded."""
    lower_bound_us: Number | None
    """None where memory comes first."""
    peak_bytes: Count | None = None
    """Of the fullest IPU."""
    lower_bound_bytes: Count | None = None
    """Of `peak_bytes`; None where time comes first."""
    gap: Number | None
    """How much of the first criterion might be saved, 0 to 1."""
    refined: Flag | None = None
    """Whether the other criteria are proved too, among the cuts that are best in the first; None where unproved."""
    proved: Flag | None = None
    """Whether it is proved that nothing fits; None where something does."""
    seconds: Number
    """Whole seconds the planner took, so that the same request gives the same document."""

    @model_validator(mode="after")
    def _coherent(self) -> SolutionInfo:
        other = self.lower_bound_bytes if self.prefer == "time" else self.lower_bound_us
        if other is not None:
            raise ValueError(f"{self.prefer} comes first and the lower bound is of the other criterion")
        return self


class Baseline(Document):
    """What another way to cut the model would give, without the user's demands on layers and modules."""

    name: str
    layers_per_ipu: list[Count] | None
    cycle_us: Number | None
    """Latency where sharded; None where it is no plan."""
    peak_bytes: Count
    """0 where it is no plan."""
    fits: Flag
    violations: list[str] = Field(default_factory=list)
    """Why it is no plan at all: it breaks the rules of the model or of its class."""


class Shortfall(Document):
    """By how much the nearest cut does not fit: `bytes` on IPU `ipu`, whose memory is made of `terms`."""

    ipu: Count | None
    bytes: Positive
    terms: dict[str, Count]


OptionValue = bool | int | float | str | list[int] | list[float] | None


class Lever(Document):
    """Something that would save memory; `fits`: with it the plan fits."""

    name: str
    """As options of the command line; of a configuration that was checked, as keys of its file."""
    description: str
    options: dict[str, OptionValue] = Field(default_factory=dict)
    """The same as keywords of `partition`."""
    bytes_saved: Annotated[int, Field(strict=True)]
    """On the fullest IPU, with the cut as it is or as it is planned anew, whichever saves more: with room to spare a
    planner may use it to be faster."""
    samples_per_second: Number | None = None
    """Predicted, of all replicas together; where it does not fit, of the fastest cut if memory had no limit."""
    time_lost: float | None = None
    """Share of the samples per second without it, which are of the fastest cut where that does not fit; negative where
    it gains some, None where samples are of another size."""
    fits: Flag


class Applied(Document):
    """An option that was changed to make the plan fit."""

    name: str
    """As an option of the command line."""
    description: str
    options: dict[str, OptionValue]
    """The same as a keyword of `partition`."""


class Fitting(Document):
    """What came of trying to make a plan fit."""

    lacked_bytes: Positive
    """On the fullest IPU, as it was asked for."""
    plans_tried: Positive
    time_lost: float | None
    """Share of the samples per second of the fastest cut as it was asked for, had memory no limit; None where nothing
    fits or samples are of another size."""
    nearest: list[str] = Field(default_factory=list)
    """Where nothing fits: the options that come nearest."""
    nearest_lacks_bytes: Count = 0


class Finding(Document):
    """Something a user should know about the configuration file that was checked."""

    mode: ModeName | None
    """None: it concerns both."""
    field: str
    """Its key in the file."""
    text: str
    fatal: Flag
    """What the file says cannot run, whether or not memory suffices."""


class ModePlan(Document):
    """The cut for training or for inference."""

    workload: WorkloadInfo
    status: Literal["optimal", "feasible", "infeasible"]
    fits: Flag
    layers_per_ipu: list[Count] | None
    stages: list[Stage]
    blocks: list[Block]
    checkpoints: list[Checkpoint]
    adapters: list[Adapter]
    ipus: list[Ipu]
    predicted: Predicted | None
    solution: SolutionInfo
    baselines: list[Baseline]
    minimum_accumulation: Positive
    """Micro-batches in flight that PopART insists on: gradient accumulation in training, device iterations in
    pipelined inference, 1 where nothing is pipelined."""
    shortfall: Shortfall | None
    levers: list[Lever]
    applied: list[Applied] = Field(default_factory=list)
    """What was changed of the request to make it fit, because that was asked for."""
    fitting: Fitting | None = None
    """None where the plan fits as it was asked for, or was not to be made to fit."""
    warnings: list[str]

    @model_validator(mode="after")
    def _coherent(self) -> ModePlan:
        problems = [*self._fit_problems(), *self._shape_problems(), *self._number_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _fit_problems(self) -> list[str]:
        found = []
        if self.fits != (self.status != "infeasible"):
            found.append(f"fits is {self.fits} and status is {self.status}")
        if self.fits and not self.ipus:
            found.append("a plan that fits gives the memory of every IPU")
        if self.fits and not all(ipu.memory.fits for ipu in self.ipus):
            found.append("fits is true and an IPU needs more than its capacity")
        if self.fits and self.shortfall is not None:
            found.append("fits is true and there is a shortfall")
        return found

    def _shape_problems(self) -> list[str]:
        count, found = self.workload.ipus, []
        if self.layers_per_ipu is not None and len(self.layers_per_ipu) != count:
            found.append(f"layers_per_ipu has {len(self.layers_per_ipu)} values for {count} IPUs")
        if self.ipus and [ipu.ipu for ipu in self.ipus] != list(range(count)):
            found.append(f"ipus are not 0..{count - 1} in order")
        if any(ipu >= count for ipu in (*(s.ipu for s in self.stages), *(b.ipu for b in self.blocks))):
            found.append(f"a stage or block is on an IPU beyond {count - 1}")
        if [stage.index for stage in self.stages] != list(range(len(self.stages))):
            found.append("stage indices are not 0, 1, 2 ...")
        return found

    def _number_problems(self) -> list[str]:
        found = []
        given, least = self.workload.gradient_accumulation, self.minimum_accumulation
        if self.fits and self.workload.mode == "training" and (given or 0) < least:
            found.append(f"gradient_accumulation is {given}, the pipeline needs at least {least}")
        if self.status == "optimal" and (self.solution.gap is None or self.solution.gap > _PROVED_GAP):
            found.append(f"status is optimal and the gap is {self.solution.gap}")
        if self.status != "optimal" and self.solution.refined is not None:
            found.append(f"status is {self.status} and the solution says what else is proved")
        if self.fits and self.solution.proved is not None:
            found.append("fits is true and the solution says whether it is proved that nothing does")
        fullest = max((ipu.memory.total_bytes for ipu in self.ipus), default=None)
        if self.solution.peak_bytes not in (None, fullest):
            found.append(f"the solution's peak_bytes is {self.solution.peak_bytes}, the fullest IPU has {fullest}")
        if self.fits and self.predicted is None:
            found.append("a plan that fits has predicted times")
        if self.predicted is not None:
            cycle, latency = self.predicted.cycle_us, self.predicted.latency_us
            sharded = self.workload.schedule == SHARDED
            if (cycle is None) != sharded or (latency is None) == sharded:
                found.append("predicted has cycle_us where stages are pipelined and latency_us where they are not")
        return found

    @property
    def pipelined(self) -> bool:
        return self.workload.schedule != SHARDED

    @property
    def order(self) -> tuple[int, ...] | None:
        """The units as they run, where that is another order than the program's; None where it is that."""
        listed = tuple(unit for stage in self.stages for unit in stage.units)
        ordered = tuple(range(len(listed)))
        return listed if listed != ordered and tuple(sorted(listed)) == ordered else None

    @property
    def device_iterations(self) -> int:
        """Pipelined inference needs one micro-batch for every stage in flight; everything else needs one."""
        return self.minimum_accumulation if self.workload.schedule == "pipelined-inference" else 1

    @property
    def pipeline_length(self) -> int:
        """1 + the number of times the IPU changes along the blocks, counted from IPU 0.

        Source: graphcore/poptorch:popart_compiler/source/CompilerImpl.cpp `numPipelineStages`.
        """
        return 1 + sum(a != b for a, b in pairwise([0, *(block.ipu for block in self.blocks)]))
