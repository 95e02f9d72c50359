"""A stand-in for the module `poptorch`: the same names and the same rules about blocks, in pure Python on the CPU.

It compiles nothing. `install()` puts it where `import poptorch` finds it, so that generated code and
optimum-graphcore 0.7.1 run as written; `recording()` tells where every op of a forward pass would be placed, and
`violations()` which of the compiler's rules the placement breaks. Runs on Python 3.8 and torch 2.0, like
PopTorch 3.3 itself, and imports nothing but torch: put the folder above this package on `sys.path` to use it there.
"""

from __future__ import annotations

import sys

from .blocks import BeginBlock, Block, BlockFunction, LegacyBeginBlockFn, removeBlocks
from .errors import Error
from .executor import PoplarExecutor, inferenceModel, trainingModel
from .missing import (
    DataLoader,
    companions,
    cond,
    custom_op,
    dynamic_slice,
    dynamic_update,
    optim,
)
from .ops import (
    Attribute,
    SerializedMatMul,
    identity_loss,
    ipuHardwareIsAvailable,
    ipuHardwareVersion,
    isRunningOnIpu,
    recomputationCheckpoint,
    serializedMatMul,
    setLogLevel,
)
from .options import (
    ConnectionType,
    DataLoaderMode,
    MatMulSerializationMode,
    Options,
    OutputMode,
    ReductionType,
    TensorLocationSettings,
)
from .placement import NO_ACTIVE_BLOCK, Begin, Call, Op, Recording, recording
from .rules import MAX_IPUS, Violation, violations
from .strategies import (
    AutoStage,
    ParallelPhasedExecution,
    PipelinedExecution,
    SerialPhasedExecution,
    ShardedExecution,
    Stage,
)

__version__ = "3.3.0+standin"

__all__ = [
    "MAX_IPUS",
    "NO_ACTIVE_BLOCK",
    "Attribute",
    "AutoStage",
    "Begin",
    "BeginBlock",
    "Block",
    "BlockFunction",
    "Call",
    "ConnectionType",
    "DataLoader",
    "DataLoaderMode",
    "Error",
    "LegacyBeginBlockFn",
    "MatMulSerializationMode",
    "Op",
    "Options",
    "OutputMode",
    "ParallelPhasedExecution",
    "PipelinedExecution",
    "PoplarExecutor",
    "Recording",
    "ReductionType",
    "SerialPhasedExecution",
    "SerializedMatMul",
    "ShardedExecution",
    "Stage",
    "TensorLocationSettings",
    "Violation",
    "cond",
    "custom_op",
    "dynamic_slice",
    "dynamic_update",
    "identity_loss",
    "inferenceModel",
    "install",
    "ipuHardwareIsAvailable",
    "ipuHardwareVersion",
    "isRunningOnIpu",
    "optim",
    "recomputationCheckpoint",
    "recording",
    "removeBlocks",
    "serializedMatMul",
    "setLogLevel",
    "trainingModel",
    "uninstall",
    "violations",
]


def install() -> None:
    """Make `import poptorch` (and `popart`) find the stand-in; Error where the real one is already imported."""
    here = sys.modules[__name__]
    if sys.modules.get("poptorch", here) is not here:
        raise Error("another poptorch is already imported; use the stand-in in a process of its own.")
    sys.modules["poptorch"] = here
    sys.modules.update(companions())


def uninstall() -> None:
    """Undo `install()`."""
    if sys.modules.get("poptorch") is sys.modules[__name__]:
        for name in ("poptorch", *companions()):
            sys.modules.pop(name, None)
