"""How the stages of a pipeline follow each other: least accumulation, fill and drain, samples per second.

Sources: graphcore/popart:docs/notes/transforms/pipelining.md and willow/src/transforms/pipeline.cpp;
graphcore/poptorch:popart_compiler/source/Compiler.cpp (`initSession`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..errors import UsageError
from ..workload import Mode, Workload

ACCUMULATION_PER_NEED = 8
"""The default accumulation is at least this many times the least, so that fill and drain take at most an eighth."""


def forward_stages(block_ipus: Sequence[int]) -> int:
    """1 + the number of times the IPU changes along the blocks, counted from IPU 0 (where a program begins)."""
    return 1 + sum(a != b for a, b in pairwise((0, *block_ipus)))


def least_accumulation(stages: int) -> int:
    """Micro-batches per update that pipelined training with `stages` forward stages needs: 2 stages - 1, one for
    each forward and each backward stage, the last forward and first backward being one."""
    return 2 * stages - 1


def default_accumulation(stages: int) -> int:
    """The smallest power of two at least 8 times the least."""
    return 1 << (ACCUMULATION_PER_NEED * least_accumulation(stages) - 1).bit_length()


def accumulation(workload: Workload, stages: int) -> int:
    """Micro-batches per update: the workload's, or the default. UsageError where it is below the pipeline's need."""
    given, need = workload.gradient_accumulation, least_accumulation(stages)
    if given is None:
        return default_accumulation(stages)
    if given < need:
        raise UsageError(
            f"gradient accumulation is {given}, but a pipeline of {stages} forward stages needs at least {need} "
            f"(2 x {stages} - 1); raise it to {need} or more, or use fewer IPUs."
        )
    return given


def least_device_iterations(stages: int) -> int:
    """Batches per host call that pipelined inference needs."""
    return stages


def pipeline_cycles(batches: int, stages: int, mode: Mode = Mode.TRAINING) -> int:
    """Cycles to bring `batches` micro-batches through: batches + P - 1, P being all stages, forward and backward."""
    return batches + (least_accumulation(stages) if mode is Mode.TRAINING else stages) - 1


@dataclass(frozen=True, slots=True)
class Throughput:
    """Predicted rate of all replicas together, and the time it is made of."""

    samples_per_second: float
    batches: int
    """Micro-batches of one replica in `total_us`."""
    cycles: int
    cycle_us: float
    """Of a pipeline; the latency of a sharded run."""
    update_us: float
    """Weight update after the pipeline has drained; 0.0 in inference."""

    @property
    def total_us(self) -> float:
        return self.cycles * self.cycle_us + self.update_us


def training(workload: Workload, block_ipus: Sequence[int], cycle_us: float, update_us: float) -> Throughput:
    """Micro-batches of one update in (G + P - 1) cycles plus the update, on every replica at once."""
    stages = forward_stages(block_ipus)
    batches = accumulation(workload, stages)
    cycles = pipeline_cycles(batches, stages)
    return _throughput(workload, batches, cycles, cycle_us, update_us)


def inference(workload: Workload, cycle_us: float) -> Throughput:
    """One micro-batch per cycle of a full pipeline, or per latency of a sharded run."""
    return _throughput(workload, 1, 1, cycle_us, 0.0)


def _throughput(workload: Workload, batches: int, cycles: int, cycle_us: float, update_us: float) -> Throughput:
    samples = workload.micro_batch_size * batches * workload.replicas
    total = cycles * cycle_us + update_us
    return Throughput(samples / total * 1e6 if total else 0.0, batches, cycles, cycle_us, update_us)
