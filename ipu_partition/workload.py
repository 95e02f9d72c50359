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
    """State kept per parameter element, in bytes, beside the weight and its gradient accumulator.

    Half-precision runs keep what optimum-graphcore's trainer sets (first moment fp16, second moment fp32, no
    fp32 master copy); `full_state_bytes` is for 32.32. Source: optimum/graphcore/trainer.py (0.7.1), lines 902-907.
    """

    name: str
    half_state_bytes: int
    full_state_bytes: int

    def state_bytes(self, precision: Precision) -> int:
        return self.full_state_bytes if precision.float_bytes == 4 else self.half_state_bytes


OPTIMIZERS = {o.name: o for o in (Optimizer("adamw", 6, 8), Optimizer("lamb", 6, 8), Optimizer("sgd", 0, 0))}


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
    optimizer_state_offchip: bool = False
    replicated_tensor_sharding: bool = False
    recompute_checkpoint_every_layer: bool = True
    matmul_proportion: float = 0.2
    target: Target = Target.OPTIMUM

    @property
    def checkpointed(self) -> bool:
        """Whether outputs of layers are kept as recompute checkpoints. On one IPU nothing is pipelined, and PopTorch
        recomputes nothing. Source: graphcore/poptorch:popart_compiler/source/Compiler.cpp, `initSession`."""
        return self.mode is Mode.TRAINING and self.ipus > 1 and self.recompute_checkpoint_every_layer

    @property
    def pipelined(self) -> bool:
        """optimum-graphcore trains pipelined and infers sharded; PopTorch on request infers pipelined too."""
        return self.mode is Mode.TRAINING or self.target is Target.POPTORCH
