"""What the user asked for, checked once: every option of the command line and every keyword of `partition`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from planners import Planner, parse

from .demands import Demands, check_pins, demands, ipus_named
from .errors import UsageError
from .workload import OPTIMIZERS, PRECISIONS, Mode, Optimizer, Precision, Target

if TYPE_CHECKING:
    import torch

MODES = {
    "training": (Mode.TRAINING,),
    "inference": (Mode.INFERENCE,),
    "both": (Mode.TRAINING, Mode.INFERENCE),
}
MAX_IPUS = 64
"""IPUs one process can hold. Source: graphcore/poptorch:popart_compiler/source/CompilerImpl.cpp."""


class Options(TypedDict, total=False):
    """The keywords of :func:`ipu_partition.partition`, all optional; see :class:`Request` for the defaults."""

    mode: str
    task: str | None
    config: Mapping[str, object] | None
    revision: str | None
    trust_remote_code: bool
    example_inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor] | None
    loss: Callable[[Any], Any] | None
    sequence_length: int | None
    target_length: int | None
    image_size: int | None
    audio_seconds: float | None
    micro_batch_size: int
    replicas: int
    gradient_accumulation: int | None
    optimizer: str
    optimizer_state_offchip: bool | None
    replicated_tensor_sharding: bool
    recompute_checkpoint_every_layer: bool
    precision: str
    matmul_proportion: float
    machine: str
    target: str | None
    layers: Sequence[int] | None
    pins: Mapping[str, int] | None
    prefer: str
    planner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of a plan. Field names are the keywords of :func:`ipu_partition.partition`."""

    ipus: int | None = None
    mode: str = "both"
    task: str | None = None
    config: Mapping[str, object] | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    example_inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor] | None = None
    loss: Callable[[Any], Any] | None = None
    sequence_length: int | None = None
    target_length: int | None = None
    image_size: int | None = None
    audio_seconds: float | None = None
    micro_batch_size: int = 1
    replicas: int = 1
    gradient_accumulation: int | None = None
    optimizer: str = "adamw"
    optimizer_state_offchip: bool | None = None
    """None: on chip where that fits, else in host memory."""
    replicated_tensor_sharding: bool = False
    recompute_checkpoint_every_layer: bool = True
    precision: str = "16.16"
    matmul_proportion: float = 0.2
    machine: str = "mk2"
    target: str | None = None
    layers: Sequence[int] | None = None
    """Layers on each IPU, -1 where the planner chooses."""
    pins: Mapping[str, int] | None = None
    """Module -> IPU, counted from 0."""
    prefer: str = "time"
    planner: str = "chain"

    def __post_init__(self) -> None:
        for name in ("ipus", "gradient_accumulation"):
            _positive(name, getattr(self, name), optional=True)
        for name in ("micro_batch_size", "replicas"):
            _positive(name, getattr(self, name))
        for name, kinds in _KINDS.items():
            _kind(name, getattr(self, name), kinds)
        _choice("mode", self.mode, MODES)
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        _choice("precision", self.precision, PRECISIONS)
        if self.target is not None:
            _choice("target", self.target, {t.value: t for t in Target})
        if not 0.0 < float(self.matmul_proportion) <= 1.0:
            raise UsageError(f"matmul_proportion is {self.matmul_proportion}, expected a number above 0 and up to 1.")
        planner_named(self.planner)
        self._check_ipus()

    def _check_ipus(self) -> None:
        ipus = self.wanted_ipus or 1
        wanted = ipus * self.replicas
        if wanted > MAX_IPUS:
            raise UsageError(
                f"{ipus} IPUs x {self.replicas} replicas = {wanted} IPUs were asked for, but one process can "
                f"hold at most {MAX_IPUS}. Ask for fewer IPUs or replicas."
            )
        check_pins(self.demands, self.wanted_ipus or 1 << (MAX_IPUS // self.replicas).bit_length() - 1)

    @property
    def modes(self) -> tuple[Mode, ...]:
        return MODES[self.mode]

    @property
    def optimizer_kind(self) -> Optimizer:
        return OPTIMIZERS[self.optimizer]

    @property
    def precision_kind(self) -> Precision:
        return PRECISIONS[self.precision]

    @property
    def demands(self) -> Demands:
        return demands(self.layers, self.pins, self.prefer)

    @property
    def wanted_ipus(self) -> int | None:
        """IPUs per replica, where the user says how many."""
        return ipus_named(self.demands, self.ipus)

    def ipu_counts(self) -> tuple[int, ...]:
        """The counts to try, smallest first: the one asked for, or all legal ones that hold every IPU that is named and
        that the replicas leave room for."""
        if self.wanted_ipus is not None:
            return (self.wanted_ipus,)
        counts = (1 << exponent for exponent in range(MAX_IPUS.bit_length()))
        return tuple(n for n in counts if n * self.replicas <= MAX_IPUS and n >= self.demands.least_ipus)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "config": (Mapping, type(None)),
    "machine": (str,),
    "planner": (str,),
    "trust_remote_code": (bool,),
    "optimizer_state_offchip": (bool, type(None)),
    "replicated_tensor_sharding": (bool,),
    "recompute_checkpoint_every_layer": (bool,),
    "matmul_proportion": (int, float),
}


def _kind(name: str, value: object, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, kinds):
        raise UsageError(
            f"{name} is {value!r}, expected {' or '.join('None' if k is type(None) else k.__name__ for k in kinds)}."
        )


def _positive(name: str, value: int | None, optional: bool = False) -> None:
    if not (optional and value is None) and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{name} is {value!r}, expected a whole number of at least 1.")


def _choice(name: str, value: object, known: Mapping[str, object]) -> None:
    if not isinstance(value, str) or value not in known:
        raise UsageError(f"{name} is {value!r}, expected one of {', '.join(known)}.")


def planner_named(spec: str) -> Planner:
    """Raises :class:`UsageError` for a planner or an option that does not exist, or lacks what it imports."""
    try:
        return parse(spec)
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(f"{error}.") from error


def model_argument(model: object) -> object:
    """Refuse what can be no model at all, before anything heavy is imported."""
    if model is None or model == "":
        raise UsageError(
            "No model was named. Give a catalogue name (see `ipu-partition models`), a Hub id or a folder."
        )
    return os.fspath(model) if isinstance(model, os.PathLike) else model
