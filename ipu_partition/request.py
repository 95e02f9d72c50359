"""What the user asked for, checked once: every option of the command line and every keyword of `partition`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from planners import Planner, parse

from .basis import machine_numbers
from .demands import Demands, check_pins, demands, ipus_listed, ipus_named
from .errors import UsageError
from .workload import (
    DTYPE_BYTES,
    OPTIMIZERS,
    PRECISIONS,
    Mode,
    Optimizer,
    OptimizerDtypes,
    Precision,
    Serialisation,
    Target,
    default_dtypes,
)

if TYPE_CHECKING:
    import torch

MODES = {
    "training": (Mode.TRAINING,),
    "inference": (Mode.INFERENCE,),
    "both": (Mode.TRAINING, Mode.INFERENCE),
}
ORDERS = ("program", "best")
"""In which units run: as the program calls them, or as is fastest."""
MAX_IPUS = 64
"""IPUs one process can hold. Source: graphcore/poptorch:popart_compiler/source/CompilerImpl.cpp."""


MACHINE_FILES = (".toml", ".json")


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
    accum_type: str | None
    first_order_momentum_accum_type: str | None
    second_order_momentum_accum_type: str | None
    precision: str
    matmul_proportion: float | Sequence[float]
    embedding_serialization_factor: int
    projection_serialization_factor: int
    serialized_embedding_splits_per_ipu: Sequence[int] | None
    serialized_projection_splits_per_ipu: Sequence[int] | None
    outlining: bool
    machine: str
    target: str | None
    layers: Sequence[int] | None
    pins: Mapping[str, int] | None
    prefer: str
    planner: str
    order: str
    fit: bool
    levers: bool


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
    accum_type: str | None = None
    """fp16 or fp32, of the gradient accumulators; None: what optimum-graphcore's trainer sets. So for the two below."""
    first_order_momentum_accum_type: str | None = None
    second_order_momentum_accum_type: str | None = None
    precision: str = ""
    """'': 16.16, or 32.32 with a machine file."""
    matmul_proportion: float | Sequence[float] = 0.2
    """One for all IPUs, or one for each."""
    embedding_serialization_factor: int = 1
    projection_serialization_factor: int = 1
    serialized_embedding_splits_per_ipu: Sequence[int] | None = None
    serialized_projection_splits_per_ipu: Sequence[int] | None = None
    outlining: bool = True
    """Whether equal layers on an IPU share their code."""
    machine: str = "mk2"
    """A kind of IPU, or a machine file that describes other devices."""
    target: str | None = None
    layers: Sequence[int] | None = None
    """Layers on each IPU, -1 where the planner chooses."""
    pins: Mapping[str, int] | None = None
    """Module -> IPU, counted from 0."""
    prefer: str = "time"
    planner: str = ""
    """'': chain, or inline with a machine file."""
    order: str = ORDERS[0]
    """One of :data:`ORDERS`; with a machine file only, IPUs run their blocks in program order."""
    fit: bool = False
    """Whether a plan that does not fit is changed until it does, in the cheapest way."""
    levers: bool = False
    """Whether a plan says what each change would save although it fits."""
    idle: bool = False
    """Whether an IPU may be left without work; not for users, who ask for fewer IPUs instead."""

    def __post_init__(self) -> None:
        for name in ("ipus", "gradient_accumulation"):
            _positive(name, getattr(self, name), optional=True)
        for name in _COUNTS:
            _positive(name, getattr(self, name))
        for name, kinds in _KINDS.items():
            _kind(name, getattr(self, name), kinds)
        for name, (ipus, devices) in _DEFAULTS.items():
            if getattr(self, name) == "":
                object.__setattr__(self, name, devices if self.machine_file else ipus)
        _choice("mode", self.mode, MODES)
        _choice("optimizer", self.optimizer, OPTIMIZERS)
        _choice("precision", self.precision, PRECISIONS)
        _choice("order", self.order, dict.fromkeys(ORDERS))
        for name in _DTYPES:
            if getattr(self, name) is not None:
                _choice(name, getattr(self, name), DTYPE_BYTES)
        if self.target is not None:
            _choice("target", self.target, {t.value: t for t in Target})
        _proportions(self.matmul_proportion)
        for name in _SPLITS:
            _splits(name, getattr(self, name))
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
    def machine_file(self) -> bool:
        """Whether `machine` names a file and no kind of IPU."""
        written = self.machine.lower().endswith(MACHINE_FILES) or os.path.isfile(self.machine)
        return written and machine_numbers(self.machine) is None

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
    def dtypes(self) -> OptimizerDtypes:
        default = astuple(default_dtypes(self.precision_kind))
        given = (getattr(self, name) for name in _DTYPES)
        return OptimizerDtypes(*(d if g is None else DTYPE_BYTES[g] for d, g in zip(default, given, strict=True)))

    @property
    def serialisation(self) -> Serialisation:
        """UsageError where both the number of pieces and the pieces on each IPU are given."""
        for layer in ("embedding", "projection"):
            splits, factor = f"serialized_{layer}_splits_per_ipu", f"{layer}_serialization_factor"
            if getattr(self, splits) and getattr(self, factor) != 1:
                raise UsageError(f"{factor} and {splits} are both given. Keep one.")
        embedding, projection = (tuple(getattr(self, name) or ()) for name in _SPLITS)
        return Serialisation(
            embedding=sum(embedding) or self.embedding_serialization_factor,
            projection=sum(projection) or self.projection_serialization_factor,
            embedding_splits=embedding,
            projection_splits=projection,
        )

    def proportions(self, ipus: int) -> float | tuple[float, ...]:
        """UsageError where there is one for each IPU, and not `ipus` of them."""
        given = self.matmul_proportion
        if isinstance(given, int | float):
            return float(given)
        if len(given) != ipus:
            raise UsageError(f"matmul_proportion has {len(given)} values for {ipus} IPUs; give one for each, or one.")
        return float(given[0]) if len({*given}) == 1 else tuple(map(float, given))

    @property
    def demands(self) -> Demands:
        return demands(self.layers, self.pins, self.prefer, self.idle)

    @property
    def wanted_ipus(self) -> int | None:
        """IPUs per replica, where the user says how many."""
        lists = {"matmul_proportion": self.matmul_proportion, **{name: getattr(self, name) for name in _SPLITS}}
        return ipus_named(self.demands, self.ipus) or ipus_listed(lists)

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
    "outlining": (bool,),
    "fit": (bool,),
    "levers": (bool,),
}
_DEFAULTS = {"precision": ("16.16", "32.32"), "planner": ("chain", "inline")}
"""On IPUs, and on the devices of a machine file."""
_COUNTS = ("micro_batch_size", "replicas", "embedding_serialization_factor", "projection_serialization_factor")
_DTYPES = ("accum_type", "first_order_momentum_accum_type", "second_order_momentum_accum_type")
_SPLITS = ("serialized_embedding_splits_per_ipu", "serialized_projection_splits_per_ipu")


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


def _proportions(value: object) -> None:
    """One number, or a list of them for all IPUs."""
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    for one in value if listed else [value]:  # type: ignore[attr-defined]
        if isinstance(one, bool) or not isinstance(one, int | float):
            raise UsageError(f"matmul_proportion is {value!r}, expected int or float, or one for each IPU.")
        if not 0.0 < float(one) <= 1.0:
            raise UsageError(f"matmul_proportion is {one}, expected a number above 0 and up to 1.")
    if listed and not value:
        raise UsageError("matmul_proportion is an empty list, expected a number, or one for each IPU.")


def _splits(name: str, value: object) -> None:
    """Pieces on each IPU: neighbouring IPUs, at least one piece."""
    if value is None:
        return
    counts = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if not counts or any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in counts):
        raise UsageError(f"{name} is {value!r}, expected a number of pieces for each IPU such as (4, 4, 0, 0).")
    busy = [ipu for ipu, count in enumerate(counts) if count]
    if not busy or busy[-1] - busy[0] + 1 != len(busy):
        raise UsageError(f"{name} is {counts}, expected at least one piece and no zero between pieces.")


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
