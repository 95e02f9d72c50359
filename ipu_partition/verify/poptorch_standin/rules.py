"""The rules of the PopART compiler about blocks, checked on a recording."""

from __future__ import annotations

from typing import NamedTuple

from .errors import Error
from .options import AutoStage, Options
from .placement import NO_ACTIVE_BLOCK, Recording

MAX_IPUS = 64
"""More is an error. Source: graphcore/poptorch:popart_compiler/source/CompilerImpl.cpp `createDevice`."""


class Violation(NamedTuple):
    """A rule of the compiler that the placement breaks."""

    rule: str
    text: str


def violations(record: Recording, options: Options, training: bool) -> list[Violation]:
    """The rules broken if the recorded pass were compiled with `options`, in a fixed order.

    Raises Error for a pipelined strategy other than `AutoStage.AutoIncrement`, which is how recordings number stages.
    """
    found = _no_active_block(record) + _power_of_two(record, options)
    if not options.pipelined:
        return found
    if options.strategy.auto_stage is not AutoStage.AutoIncrement:
        raise Error("expected PipelinedExecution(AutoStage.AutoIncrement), the only numbering recorded.")
    if len(record.ipus()) > 1:
        found += _one_ipu_per_stage(record) + _stage_order(record) + _missing_stage(record) + _weights(record)
    return found + _iterations(record, options, training)


def _no_active_block(record: Recording) -> list[Violation]:
    lost = [op for op in record.ops if op.ipu == NO_ACTIVE_BLOCK]
    text = "No active Block, all the ops must belong to a Block: {op.name} in {op.module!r}"
    return [Violation("no-active-block", text.format(op=op)) for op in lost[:1]]


def _one_ipu_per_stage(record: Recording) -> list[Violation]:
    ipus: dict[int, set[int]] = {}
    for begin in record.begins:
        ipus.setdefault(begin.stage, set()).add(begin.ipu)
    text = "Ops have the same pipeline stage {}, but different virtual graph ids {}"
    return [Violation("one-ipu-per-stage", text.format(s, sorted(i))) for s, i in sorted(ipus.items()) if len(i) > 1]


def _stage_order(record: Recording) -> list[Violation]:
    late = [op for op in record.ops if op.latest_input_stage > op.stage]
    text = "{op.name} in {op.module!r} (stage {op.stage}) reads what stage {op.latest_input_stage} makes"
    return [Violation("stage-order", text.format(op=op)) for op in late[:1]]


def _missing_stage(record: Recording) -> list[Violation]:
    """A run of stages on one IPU is merged into one; a merged stage without an op is a hole."""
    ipu_of = {0: 0, **{begin.stage: begin.ipu for begin in record.begins}}
    busy = {op.stage for op in record.ops}
    runs: list[list[int]] = []
    for stage in sorted(ipu_of):
        if runs and ipu_of[runs[-1][-1]] == ipu_of[stage]:
            runs[-1].append(stage)
        else:
            runs.append([stage])
    holes = [run for run in runs if not busy.intersection(run)]
    return [Violation("missing-stage", f"stage {r[0]} on IPU {ipu_of[r[0]]} has no ops") for r in holes]


def _weights(record: Recording) -> list[Violation]:
    text = "Can not copy variable tensor {} between virtual graphs when pipelining: read on IPUs {}"
    shared = {name: ipus for name, ipus in record.parameter_ipus().items() if len(ipus) > 1}
    return [Violation("weight-on-two-ipus", text.format(name, list(ipus))) for name, ipus in shared.items()]


def _power_of_two(record: Recording, options: Options) -> list[Violation]:
    used = set(record.ipus()) - {NO_ACTIVE_BLOCK}
    needed = max(len(used), max(used, default=0) + 1) * options.replication_factor
    reserved = 1 << (needed - 1).bit_length() if options.get("autoRoundNumIPUs", False) else needed
    if reserved > MAX_IPUS:
        return [Violation("power-of-two", f"{reserved} IPUs are more than {MAX_IPUS}")]
    if reserved & (reserved - 1):
        return [Violation("power-of-two", f"{reserved} IPUs are not a power of two")]
    return []


def _iterations(record: Recording, options: Options, training: bool) -> list[Violation]:
    if training and options.gradient_accumulation < record.minimum_accumulation:
        text = "gradient accumulation {} is less than {}"
        numbers = (options.gradient_accumulation, record.minimum_accumulation)
        return [Violation("gradient-accumulation", text.format(*numbers))]
    if not training and options.device_iterations < record.fences:
        text = "{} device iterations are less than {}"
        return [Violation("device-iterations", text.format(options.device_iterations, record.fences))]
    return []
