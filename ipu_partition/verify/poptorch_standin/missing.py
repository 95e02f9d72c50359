"""What only the Poplar SDK can do: present, so that imports work, and refused when called."""

from __future__ import annotations

import enum
import types
from typing import Any

from .errors import Error
from .executor import PoplarExecutor


def _refused(name: str) -> Any:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> None:
        raise Error(f"poptorch.{name} needs the Poplar SDK; the stand-in places ops and compiles nothing.")

    return type(name, (), {"__init__": refuse})


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    return module


DataLoader = _refused("DataLoader")
custom_op = _refused("custom_op")
cond = _refused("cond")
dynamic_slice = _refused("dynamic_slice")
dynamic_update = _refused("dynamic_update")
_OPTIMIZERS = ("Optimizer", "SGD", "Adam", "AdamW", "RMSprop", "LAMB")
optim = _module("poptorch.optim", **{name: _refused(name) for name in _OPTIMIZERS})


class AccumulateOuterFragmentSchedule(enum.IntEnum):
    """`popart.AccumulateOuterFragmentSchedule`; optimum-graphcore passes its number on."""

    Scheduler = 0
    Serial = 1
    OverlapCycleOptimized = 2
    OverlapMemoryOptimized = 3


class SubgraphCopyingStrategy(enum.IntEnum):
    """`popart.SubgraphCopyingStrategy`."""

    OnEnterAndExit = 0
    JustInTime = 1


def companions() -> dict[str, types.ModuleType]:
    """The other modules of the SDK that optimum-graphcore imports, by name."""
    wrap = {name: _refused(name) for name in ("rewrapModelIfNecessary", "unwrapModelIfNecessary")}
    popart = {c.__name__: c for c in (AccumulateOuterFragmentSchedule, SubgraphCopyingStrategy)}
    return {
        "popart": _module("popart", **popart),
        "poptorch._impl": _module("poptorch._impl", **wrap),
        "poptorch._poplar_executor": _module("poptorch._poplar_executor", PoplarExecutor=PoplarExecutor),
        "poptorch.optim": optim,
    }
