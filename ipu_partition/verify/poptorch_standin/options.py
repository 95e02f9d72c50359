"""Options, as graphcore/poptorch:python/options.py takes them: typed setters, nothing compiled."""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

import enum
from typing import Any

import torch

from .errors import Error


class AutoStage(enum.IntEnum):
    SameAsIpu = 0
    AutoIncrement = 1


class ReductionType(enum.IntEnum):
    Sum = 0
    Mean = 1
    NoReduction = 2


class OutputMode(enum.IntEnum):
    Final = 0
    EveryN = 1
    All = 2
    Sum = 3
    Default = 4


class MatMulSerializationMode(enum.Enum):
    InputChannels = "input_channels"
    ReducingDim = "reducing_dim"
    OutputChannels = "output_channels"
    Disabled = "none"


class ConnectionType(enum.IntEnum):
    Always = 0
    OnDemand = 1
    Never = 2


class DataLoaderMode(enum.IntEnum):
    Sync = 0
    Async = 1
    AsyncRebatched = 2


class PipelinedExecution:
    """The stages of one replica run at the same time. Only automatic stages are modelled here."""

    def __init__(self, auto_stage: AutoStage = AutoStage.SameAsIpu) -> None:
        if not isinstance(auto_stage, AutoStage):
            raise Error("the stand-in knows automatic stages only, expected poptorch.AutoStage.")
        self.auto_stage = auto_stage


class ShardedExecution(PipelinedExecution):
    """One IPU at a time."""


class TensorLocationSettings:
    """Where a kind of tensor is kept."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def _set(self, name: str, value: Any, kind: type) -> TensorLocationSettings:
        if not isinstance(value, kind):
            raise Error(f"{name} expects {kind.__name__}, got {value!r}")
        self.settings[name] = value
        return self

    def useOnChipStorage(self, use: bool = True) -> TensorLocationSettings:
        return self._set("useOnChipStorage", use, bool)

    def useReplicatedTensorSharding(self, use: bool = True) -> TensorLocationSettings:
        return self._set("useReplicatedTensorSharding", use, bool)

    def minElementsForOffChip(self, elements: int) -> TensorLocationSettings:
        return self._set("minElementsForOffChip", elements, int)

    def minElementsForReplicatedTensorSharding(self, elements: int) -> TensorLocationSettings:
        return self._set("minElementsForReplicatedTensorSharding", elements, int)


_POSITIVE = ("gradientAccumulation", "deviceIterations", "replicationFactor")


class _Group:
    """Setters of one group of options; each keeps its argument, and only the setters PopTorch has exist."""

    def __init__(self, **setters: Any) -> None:
        self._setters = setters
        self.values: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        setters = self.__dict__.get("_setters", {})
        if name not in setters:
            raise AttributeError(f"poptorch options have no {name!r}")

        def setter(*args: Any, **kwargs: Any) -> _Group:
            self.values[name] = _checked(name, args[0] if len(args) == 1 and not kwargs else (args, kwargs), setters)
            return self

        return setter

    def get(self, name: str, default: Any) -> Any:
        return self.values.get(name, default)


def _checked(name: str, value: Any, setters: dict[str, Any]) -> Any:
    """`OptionsDict.set` compares Python types: True is no int and 1 is no float."""
    kind = setters[name]
    if kind is not None and type(value) is not kind:
        raise Error(f"{name} expects {kind.__name__}, got {value!r}")
    if kind is int and name in _POSITIVE and value < 1:
        raise Error(f"{name} must be greater than 0, got {value}")
    return value


class _PopartOptions(_Group):
    def set(self, name: str, value: Any) -> _PopartOptions:
        self.values[name] = value
        return self

    def setPatterns(self, patterns: dict[str, bool], level: int = 2) -> _PopartOptions:
        return self.set("patterns", patterns)


class Options(_Group):
    """`poptorch.Options`: keeps what it is told in `values`, by setter name."""

    def __init__(self) -> None:
        super().__init__(
            **dict.fromkeys(("deviceIterations", "replicationFactor", "randomSeed"), int),
            **dict.fromkeys(("autoRoundNumIPUs", "logCycleCount", "showCompilationProgressBar"), bool),
            **dict.fromkeys(("enableExecutableCaching", "modelName", "logDir"), str),
            **dict.fromkeys(("outputMode", "connectionType", "syncPattern", "useIpuId", "enableProfiling")),
        )
        self.Training = _Group(
            gradientAccumulation=int,
            accumulationAndReplicationReductionType=ReductionType,
            setAutomaticLossScaling=bool,
            setMeanAccumulationAndReplicationReductionStrategy=None,
        )
        self.Precision = _Group(
            enableStochasticRounding=bool,
            enableFloatingPointExceptions=bool,
            runningStatisticsAlwaysFloat=bool,
            setPartialsType=torch.dtype,
        )
        locations = ("Activation", "Weight", "Optimizer", "Accumulator")
        self.TensorLocations = _Group(**{f"set{n}Location": TensorLocationSettings for n in locations})
        self._Popart = self._popart = _PopartOptions()
        self.strategy = PipelinedExecution()
        self.offline = False

    def setExecutionStrategy(self, strategy: PipelinedExecution) -> Options:
        assert isinstance(strategy, PipelinedExecution), "expected an instance of an execution strategy"
        self.strategy = strategy
        return self

    def setAvailableMemoryProportion(self, proportions: dict[str, float]) -> Options:
        for key in proportions:
            if not (key.startswith("IPU") and key[3:].isdigit()):
                raise Error(f'expected keys such as "IPU0", got {key!r}')
        self.values["setAvailableMemoryProportion"] = {int(key[3:]): value for key, value in proportions.items()}
        return self

    def useOfflineIpuTarget(self, ipu_version: int = 2) -> Options:
        self.offline = True
        return self

    @property
    def pipelined(self) -> bool:
        return not isinstance(self.strategy, ShardedExecution)

    @property
    def replication_factor(self) -> int:
        return int(self.get("replicationFactor", 1))

    @property
    def device_iterations(self) -> int:
        return int(self.get("deviceIterations", 1))

    @property
    def gradient_accumulation(self) -> int:
        return int(self.Training.get("gradientAccumulation", 1))
