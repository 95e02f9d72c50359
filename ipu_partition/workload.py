"""What the model is asked to do: the numbers a plan depends on besides the model and the machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    TRAINING = "training"
    INFERENCE = "inference"


class Target(StrEnum):
    """Whose rules the plan obeys."""

    OPTIMUM = "optimum"
    """The class optimum-graphcore pipelines: `layers_per_ipu` says exactly what the plan says."""
    POPTORCH = "poptorch"
    """Free placement of blocks; `parallelize.py` is the output."""
    TORCH = "torch"
    """Devices of PyTorch, one stage on each; an engine runs the plan document itself."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Widths of one number format choice. Names follow Graphcore: multiply.accumulate bits."""

    name: str
    float_bytes: int
    """Bytes of a weight, an activation, a gradient and its accumulator."""
    half_partials: bool
    """Matmul partials in half precision (`enable_half_partials`)."""


PRECISIONS = {
    p.name: p for p in (Precision("16.16", 2, True), Precision("16.32", 2, False), Precision("32.32", 4, False))
}


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What an optimizer keeps of every parameter, beside the weight and its gradient accumulator."""

    name: str
    moments: int
    """0, 1 (first order) or 2 (first and second order)."""


OPTIMIZERS = {
    o.name: o for o in (Optimizer("adamw", 2), Optimizer("lamb", 2), Optimizer("sgd", 0), Optimizer("sgd-momentum", 1))
}

DTYPE_BYTES = {"fp16": 2, "fp32": 4}


@dataclass(frozen=True, slots=True)
class OptimizerDtypes:
    """Bytes of an element of what training keeps. There is no fp32 master copy of a weight."""

    accumulator_bytes: int
    first_moment_bytes: int
    second_moment_bytes: int

    def state_bytes(self, optimizer: Optimizer) -> int:
        """Optimizer state of one element."""
        return sum((self.first_moment_bytes, self.second_moment_bytes)[: optimizer.moments])


HALF_DTYPES = OptimizerDtypes(2, 2, 4)
"""Source: optimum/graphcore/trainer.py (0.7.1), lines 902-907."""
FULL_DTYPES = OptimizerDtypes(4, 4, 4)


def default_dtypes(precision: Precision) -> OptimizerDtypes:
    """What optimum-graphcore's trainer sets: all single where the weights are."""
    return FULL_DTYPES if precision.float_bytes == 4 else HALF_DTYPES


@dataclass(frozen=True, slots=True)
class Serialisation:
    """In how many pieces a large table is worked on, one after the other."""

    embedding: int = 1
    """Pieces of the input embedding (`embedding_serialization_factor`)."""
    projection: int = 1
    """Pieces of the output projection (`projection_serialization_factor`)."""
    embedding_splits: tuple[int, ...] = ()
    """Pieces on each IPU (`serialized_embedding_splits_per_ipu`); empty: all where the table is."""
    projection_splits: tuple[int, ...] = ()
    """As `embedding_splits` (`serialized_projection_splits_per_ipu`)."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One mode of running the model on one replica of `ipus` IPUs."""

    mode: Mode
    ipus: int
    micro_batch_size: int = 1
    replicas: int = 1
    gradient_accumulation: int | None = None
    """Micro-batches per weight update and replica; None: the smallest power of two >= 8 times the pipeline's need."""
    optimizer: Optimizer = OPTIMIZERS["adamw"]
    precision: Precision = PRECISIONS["16.16"]
    dtypes: OptimizerDtypes = HALF_DTYPES
    optimizer_state_offchip: bool = False
    replicated_tensor_sharding: bool = False
    recompute_checkpoint_every_layer: bool = True
    matmul_proportion: float | tuple[float, ...] = 0.2
    """Available-memory proportion: one for all IPUs, or one for each."""
    serialisation: Serialisation = Serialisation()
    outlined: bool = True
    """Whether equal layers on an IPU share their code, as PopART does unless it is told otherwise."""
    target: Target = Target.OPTIMUM

    @property
    def state_bytes(self) -> int:
        """Optimizer state of one element of a parameter."""
        return self.dtypes.state_bytes(self.optimizer)

    @property
    def proportions(self) -> tuple[float, ...]:
        """One for each IPU."""
        given = self.matmul_proportion
        return given if isinstance(given, tuple) else (given,) * self.ipus

    @property
    def checkpointed(self) -> bool:
        """Whether outputs of layers are kept as recompute checkpoints. On one IPU nothing is pipelined, and PopTorch
        recomputes nothing. Source: graphcore/poptorch:popart_compiler/source/Compiler.cpp, `initSession`."""
        return self.mode is Mode.TRAINING and self.ipus > 1 and self.recompute_checkpoint_every_layer

    @property
    def pipelined(self) -> bool:
        """optimum-graphcore trains pipelined and infers sharded; all others infer pipelined too."""
        return self.mode is Mode.TRAINING or self.target is not Target.OPTIMUM
