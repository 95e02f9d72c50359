"""Where every op of a forward pass would be placed: on the block begun last, in order of execution.

Source: graphcore/poptorch:popart_compiler/source/Compiler.cpp `setActiveIpu`, CompilerImpl.cpp
`setExecutionStrategyAttributes`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from .blocks import Block
from .errors import Error
from .ops import SerializedMatMul
from .options import Options
from .strategies import AutoStage, PipelinedExecution, StageNumbers

NO_ACTIVE_BLOCK = -1


class Begin(NamedTuple):
    """One block begun."""

    user_id: str
    ipu: int
    stage: int


class Op(NamedTuple):
    """One op executed."""

    name: str
    module: str
    """Path of the innermost module whose forward runs it."""
    ipu: int
    stage: int
    parameters: tuple[str, ...]
    latest_input_stage: int
    """The last stage that made one of its inputs; -1 where no op of the forward pass did."""


class Call(NamedTuple):
    """One call of a module, placed where its forward begins (after its own block began)."""

    module: str
    ipu: int
    stage: int


def _auto_increment() -> StageNumbers:
    return StageNumbers(PipelinedExecution(AutoStage.AutoIncrement))


@dataclass
class Recording:
    """The blocks begun and the ops executed in one forward pass, on the stages that a strategy gives them.

    Ops before the first block are on IPU 0, stage 0. A repeated id gets its old stage with the IPU of the later call.
    """

    numbers: StageNumbers = field(default_factory=_auto_increment, compare=False, repr=False)

    begins: list[Begin] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    """Module path of every tensor that `recomputationCheckpoint` was given."""
    serialized: list[SerializedMatMul] = field(default_factory=list)
    auto_ids: int = 0
    ipu: int = 0
    stage: int = 0
    stack: list[str] = field(default_factory=list)
    """Paths of the modules whose forward is running, outermost first."""

    def next_auto_id(self) -> str:
        self.auto_ids += 1
        return str(self.auto_ids - 1)

    def reset_auto_ids(self) -> None:
        self.auto_ids = 0

    def begin(self, user_id: str | None, ipu_id: int | None) -> None:
        """TypeError where the IPU is no int, which only the native op looks at."""
        name = user_id if user_id else self.next_auto_id()
        self.stage, self.ipu = self.numbers.place(name, ipu_id)
        if not isinstance(self.ipu, int):
            raise TypeError(f"begin_ipu_block() expects an int for ipu_id, got {self.ipu!r}")
        self.begins.append(Begin(name, self.ipu, self.stage))

    def end(self) -> None:
        self.ipu = NO_ACTIVE_BLOCK

    @property
    def fences(self) -> int:
        """1 + the number of times the IPU changes along the blocks begun, counted from IPU 0."""
        ipu, count = 0, 1
        for begin in self.begins:
            count += begin.ipu != ipu
            ipu = begin.ipu
        return count

    @property
    def minimum_accumulation(self) -> int:
        """Least gradient accumulation of pipelined training. Source: Compiler.cpp `initSession`."""
        return 2 * self.fences - 1

    def parameter_ipus(self) -> dict[str, tuple[int, ...]]:
        """The IPUs that read each parameter, ascending."""
        found: dict[str, set[int]] = {}
        for op in self.ops:
            for name in op.parameters:
                found.setdefault(name, set()).add(op.ipu)
        return {name: tuple(sorted(ipus)) for name, ipus in sorted(found.items())}

    def merged(self) -> list[tuple[int, list[int]]]:
        """(IPU, stages) in the order of the stages, those that follow each other on one IPU together, as PopART merges
        them. A stage that nothing begins, between others that are begun, is on no IPU.

        Source: graphcore/popart:willow/src/transforms/pipeline.cpp `mergeConsecutivePipelineStages`.
        """
        ipu_of = {0: 0, **{begin.stage: begin.ipu for begin in self.begins}}
        runs: list[tuple[int, list[int]]] = []
        for stage in sorted(ipu_of):
            if runs and runs[-1][1][-1] < stage - 1:
                runs.append((NO_ACTIVE_BLOCK, [runs[-1][1][-1] + 1]))
            if runs and runs[-1][0] == ipu_of[stage]:
                runs[-1][1].append(stage)
            else:
                runs.append((ipu_of[stage], [stage]))
        return runs

    def ipus(self) -> tuple[int, ...]:
        """The IPUs that run an op, ascending."""
        return tuple(sorted({op.ipu for op in self.ops}))


class _OpRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books every op on the active IPU and stage, and remembers which stage made each tensor."""

    def __init__(self, record: Recording, model: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._record = record
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._made: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        record = self._record
        inputs = list(_tensors((args, kwargs or {})))
        names = tuple(sorted({self._names[id(t)] for t in inputs if id(t) in self._names}))
        latest = max((self._made.get(t, -1) for t in inputs), default=-1)
        module = record.stack[-1] if record.stack else ""
        record.ops.append(Op(str(func), module, record.ipu, record.stage, names, latest))
        for tensor in _tensors(output):
            if id(tensor) not in self._names:
                self._made[tensor] = record.stage
        return output


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


@contextlib.contextmanager
def recording(model: torch.nn.Module, options: Options | None = None) -> Iterator[Recording]:
    """Record the forward pass of `model` run inside: `with recording(model) as record: model(**inputs)`.

    Blocks get the stages that the strategy of `options` gives them; by default those of AutoIncrement. Raises Error
    inside another recording, and for phases.
    """
    if Block._stages_manager is not None:
        raise Error("a recording is already running; finish it first.")
    record = Recording() if options is None else Recording(StageNumbers(options.strategy))
    handles = _watch_calls(model, record)
    Block._stages_manager = record
    try:
        with _OpRecorder(record, model):
            yield record
    finally:
        Block._stages_manager = None
        for handle in handles:
            handle.remove()


def _watch_calls(model: torch.nn.Module, record: Recording) -> list[Any]:
    """Pre-hooks go after the blocks' own, so a call is booked in the block that it begins."""
    handles: list[Any] = []
    for name, module in model.named_modules():

        def enter(_: torch.nn.Module, __: Any, path: str = name) -> None:
            record.stack.append(path)
            record.calls.append(Call(path, record.ipu, record.stage))

        def leave(_: torch.nn.Module, __: Any, ___: Any) -> None:
            record.stack.pop()

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    return handles
