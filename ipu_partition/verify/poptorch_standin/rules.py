"""The rules of the PopART compiler about blocks, checked on a recording."""

from __future__ import annotations

from typing import NamedTuple

from .errors import Error
from .options import Options
from .placement import NO_ACTIVE_BLOCK, Recording

MAX_IPUS = 64
"""More is an error. Source: graphcore/poptorch:popart_compiler/source/CompilerImpl.cpp `createDevice`."""


class Violation(NamedTuple):
    """A rule of the compiler that the placement breaks."""

    rule: str
    text: str


def violations(record: Recording, options: Options, training: bool) -> list[Violation]:
    """The rules broken if the recorded pass were compiled with `options`, in a fixed order.

    Raises Error for options whose strategy gives blocks other stages than the recording has.
    """
    given, recorded = getattr(options.strategy, "numbering", None), record.numbers.strategy.numbering
    if given != recorded:
        raise Error(f"recorded with stages by {recorded!r}, the options say {given!r}: give recording() the options.")
    found = _no_active_block(record) + _serialized(record) + _power_of_two(record, options)
    if not options.pipelined:
        return found
    if len(set(record.ipus()) - {NO_ACTIVE_BLOCK}) > 1:
        found += _one_ipu_per_stage(record) + _stage_order(record) + _missing_stage(record) + _weights(record)
    return found + _iterations(record, options, training)


def _no_active_block(record: Recording) -> list[Violation]:
    lost = [op for op in record.ops if op.ipu == NO_ACTIVE_BLOCK]
    text = "No active Block, all the ops must belong to a Block: {op.name} in {op.module!r}"
    return [Violation("no-active-block", text.format(op=op)) for op in lost[:1]]


def _serialized(record: Recording) -> list[Violation]:
    """Source: graphcore/popart:willow/src/op/matmul.cpp."""
    wrong = [m for m in record.serialized if m.factor > 1 and m.size % m.factor]
    text = "factor {m.factor} does not divide {m.size} ({m.mode}) of the matmul in {m.module!r}"
    return [Violation("serialized-matmul", text.format(m=m)) for m in wrong]


def _one_ipu_per_stage(record: Recording) -> list[Violation]:
    ipus: dict[int, set[int]] = {}
    for op in record.ops:
        if op.ipu != NO_ACTIVE_BLOCK:
            ipus.setdefault(op.stage, set()).add(op.ipu)
    text = "Ops have the same pipeline stage {}, but different virtual graph ids {}"
    return [Violation("one-ipu-per-stage", text.format(s, sorted(i))) for s, i in sorted(ipus.items()) if len(i) > 1]


def _stage_order(record: Recording) -> list[Violation]:
    late = [op for op in record.ops if op.latest_input_stage > op.stage]
    text = "{op.name} in {op.module!r} (stage {op.stage}) reads what stage {op.latest_input_stage} makes"
    return [Violation("stage-order", text.format(op=op)) for op in late[:1]]


def _missing_stage(record: Recording) -> list[Violation]:
    """A run of stages on one IPU is merged into one; a merged stage without an op is a hole."""
    busy = {op.stage for op in record.ops}
    holes = [stages for _, stages in record.merged() if not busy.intersection(stages)]
    text = "The set of pipeline stages has holes: stage {} is missing, no op is in it"
    return [Violation("missing-stage", text.format(stages[0])) for stages in holes]


def _weights(record: Recording) -> list[Violation]:
    text = "Can not copy variable tensor {} between virtual graphs when pipelining: read on IPUs {}"
    homes = {name: set(ipus) - {NO_ACTIVE_BLOCK} for name, ipus in record.parameter_ipus().items()}
    shared = {name: sorted(ipus) for name, ipus in homes.items() if len(ipus) > 1}
    return [Violation("weight-on-two-ipus", text.format(name, ipus)) for name, ipus in shared.items()]


def _power_of_two(record: Recording, options: Options) -> list[Violation]:
    used = set(record.ipus()) - {NO_ACTIVE_BLOCK}
    needed = max(len(used), max(used, default=0) + 1) * options.replication_factor
    rounded = options.get("autoRoundNumIPUs", False) and not options.offline
    reserved = 1 << (needed - 1).bit_length() if rounded else needed
    if reserved > MAX_IPUS:
        return [Violation("power-of-two", f"{reserved} IPUs are more than {MAX_IPUS}")]
    if reserved & (reserved - 1) and not options.offline:
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
