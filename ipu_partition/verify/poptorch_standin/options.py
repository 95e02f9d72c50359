"""Options, as graphcore/poptorch:python/options.py takes them: typed setters, nothing compiled."""

# ruff: noqa: N802 (the names are those of poptorch)
from __future__ import annotations

import enum
from typing import Any

import torch

from .errors import Error
from .strategies import PipelinedExecution, ShardedExecution, Strategy


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


class TensorLocationSettings:
    """Where a kind of tensor is kept."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def _set(self, name: str, value: Any, kind: type) -> TensorLocationSettings:
        if type(value) is not kind:
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
_POPART_KINDS = {
    "accumulateOuterFragmentSettings.excludedVirtualGraphs": list,
    "accumulateOuterFragmentSettings.schedule": int,
    "autoRecomputation": int,
    "disableGradAccumulationTensorStreams": bool,
    "enableExplicitIR": bool,
    "engineOptions": dict,
    "outlineThreshold": float,
    "saveInitializersToFile": str,
    "scheduleNonWeightUpdateGradientConsumersEarly": bool,
    "subgraphCopyingStrategy": int,
}
"""Some of PopART's options; others are taken if they have one of these types.
Source: graphcore/poptorch:poptorch/source/SessionOptionsParser.cpp."""


class _Group:
    """Setters of one group of options; each keeps its argument, and only the setters PopTorch has exist."""

    def __init__(self, **setters: Any) -> None:
        self._setters = setters
        self._frozen = False
        self.values: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        setters = self.__dict__.get("_setters", {})
        if name not in setters:
            raise AttributeError(f"poptorch options have no {name!r}")

        def setter(*args: Any, **kwargs: Any) -> Any:
            value = args[0] if len(args) == 1 and not kwargs else (args, kwargs)
            return self._keep(name, _checked(name, value, setters[name]))

        return setter

    def _keep(self, name: str, value: Any) -> Any:
        self._check_open()
        self.values[name] = value
        return self

    def _check_open(self) -> None:
        if self._frozen:
            raise Error("Can't modify frozen Options")

    def get(self, name: str, default: Any) -> Any:
        return self.values.get(name, default)


def _checked(name: str, value: Any, kind: type | None) -> Any:
    """`OptionsDict.set` compares Python types: True is no int and 1 is no float."""
    if kind is not None and type(value) is not kind:
        raise Error(f"{name} expects {kind.__name__}, got {value!r}")
    if kind is int and name in _POSITIVE and value < 1:
        raise Error(f"{name} must be greater than 0, got {value}")
    return value


class _TrainingOptions(_Group):
    @property
    def gradient_accumulation(self) -> int:
        return int(self.get("gradientAccumulation", 1))


class _PopartOptions(_Group):
    def set(self, name: str, value: Any) -> _PopartOptions:
        kind = _POPART_KINDS.get(name, type(value))
        if type(value) is not kind or kind not in (bool, int, float, str, list, dict):
            raise Error(f"Unknown {type(value).__name__} option {name!r} for value {value!r}")
        self._keep(name, value)
        return self

    def setPatterns(self, patterns: dict[str, bool], level: int = 2) -> _PopartOptions:
        self._keep("patterns", _checked("setPatterns", patterns, dict))
        return self


class Options(_Group):
    """`poptorch.Options`: keeps what it is told in `values`, by setter name."""

    def __init__(self) -> None:
        super().__init__(
            **dict.fromkeys(("deviceIterations", "replicationFactor", "randomSeed"), int),
            **dict.fromkeys(("autoRoundNumIPUs", "logCycleCount", "showCompilationProgressBar"), bool),
            **dict.fromkeys(("enableExecutableCaching", "modelName", "logDir"), str),
            **dict.fromkeys(("outputMode", "connectionType", "syncPattern", "useIpuId", "enableProfiling")),
        )
        self.Training = _TrainingOptions(
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
        self.strategy: Strategy = PipelinedExecution()
        self.offline = False

    def setExecutionStrategy(self, strategy: Strategy) -> Options:
        self._check_open()
        assert isinstance(strategy, Strategy), "expected an instance of an execution strategy"
        self.strategy = strategy
        return self

    def setAvailableMemoryProportion(self, proportions: dict[str, float]) -> Options:
        """Keys are "IPU0", "IPU1" ...; the values are not looked at."""
        for key in proportions:
            if not (isinstance(key, str) and key.startswith("IPU") and key[3:].isdigit()):
                raise Error(f'expected keys such as "IPU0", got {key!r}')
        self._keep("setAvailableMemoryProportion", {int(key[3:]): value for key, value in proportions.items()})
        return self

    def useOfflineIpuTarget(self, ipu_version: int = 2) -> Options:
        self._check_open()
        self.offline = True
        return self

    def freeze(self) -> None:
        """From now on nothing can be set; what making a model with the options does."""
        for group in (self, self.Training, self.Precision, self.TensorLocations, self._Popart):
            group._frozen = True

    @property
    def pipelined(self) -> bool:
        return isinstance(self.strategy, PipelinedExecution) and not isinstance(self.strategy, ShardedExecution)

    @property
    def replication_factor(self) -> int:
        return int(self.get("replicationFactor", 1))

    @property
    def device_iterations(self) -> int:
        return int(self.get("deviceIterations", 1))

    @property
    def gradient_accumulation(self) -> int:
        return self.Training.gradient_accumulation
