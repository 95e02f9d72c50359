"""What a configuration says about one mode, and what is wrong with that before any model is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..ipu_config import WILDCARD, mode_problems
from ..plan_parts import Finding, ModeName
from ..request import MAX_IPUS
from ..workload import Mode
from .read import Handwritten


@dataclass(frozen=True, slots=True)
class Side:
    """The fields of one mode."""

    mode: Mode
    layers: tuple[int, ...]
    """As in the file, wildcards included."""
    ipus: int
    replicas: int
    proportions: float | tuple[float, ...]
    embedding_factor: int
    projection_factor: int
    embedding_splits: tuple[int, ...]
    projection_splits: tuple[int, ...]
    given: frozenset[str]
    """Fields that are in the file."""
    findings: tuple[Finding, ...]
    predictable: bool
    """Whether the fields mean anything together."""

    def field(self, name: str) -> str:
        """The key in the file that says `name` in this mode: inference may take over what training says."""
        own = self.own(name)
        return own if own in self.given or name not in self.given else name

    def own(self, name: str) -> str:
        """The key of this mode, where the other mode's means nothing to it."""
        return _prefix(self.mode) + name

    def finding(self, field: str, text: str, *, fatal: bool = False) -> Finding:
        return Finding(mode=_name(self.mode), field=field, text=text, fatal=fatal)


def side(hand: Handwritten, mode: Mode, replicas: int | None = None) -> Side:
    """`replicas`: instead of the file's."""
    start = _prefix(mode)
    proportions = _value(hand, start, "matmul_proportion")
    copies = replicas or _value(hand, start, "replication_factor")
    layers, ipus = tuple(_value(hand, start, "layers_per_ipu")), _value(hand, start, "ipus_per_replica")
    fatal = [*mode_problems(hand.fields, start), *_impossible(start, layers, ipus, copies)]
    advice = [*_reserved(start, ipus, copies), *_unused(hand, mode, ipus, copies)]
    said = [(field, text, True) for field, text in fatal] + [(field, text, False) for field, text in advice]
    return Side(
        mode=mode,
        layers=layers,
        ipus=ipus,
        replicas=copies,
        proportions=tuple(proportions) if isinstance(proportions, list) else proportions,
        embedding_factor=_value(hand, start, "embedding_serialization_factor") or 1,
        projection_factor=_value(hand, start, "projection_serialization_factor") or 1,
        embedding_splits=tuple(_value(hand, start, "serialized_embedding_splits_per_ipu") or ()),
        projection_splits=tuple(_value(hand, start, "serialized_projection_splits_per_ipu") or ()),
        given=hand.given,
        findings=tuple(
            Finding(mode=_name(mode), field=field, text=f"{text}.", fatal=fatal) for field, text, fatal in said
        ),
        predictable=not fatal,
    )


def _prefix(mode: Mode) -> str:
    return "" if mode is Mode.TRAINING else "inference_"


def _name(mode: Mode) -> ModeName:
    return "training" if mode is Mode.TRAINING else "inference"


def _value(hand: Handwritten, start: str, name: str) -> Any:
    return getattr(hand.fields, start + name)


Said = Iterator[tuple[str, str]]


def _impossible(start: str, layers: tuple[int, ...], ipus: int, replicas: int) -> Said:
    """More IPUs than there are, or wildcards for another number of them."""
    if ipus * replicas > MAX_IPUS:
        field = f"{start}replication_factor" if ipus <= MAX_IPUS else f"{start}ipus_per_replica"
        yield field, f"{ipus} IPUs x {replicas} replicas are {ipus * replicas}, one process can hold {MAX_IPUS}"
    if ipus > 1 and WILDCARD in layers and layers != (WILDCARD,) and len(layers) != ipus:
        yield (
            f"{start}layers_per_ipu",
            f"{start}layers_per_ipu has {len(layers)} values with wildcards, {start}ipus_per_replica is {ipus}: "
            "parallelize() refuses that",
        )


def _reserved(start: str, ipus: int, replicas: int) -> Said:
    """PopTorch rounds up to a power of two. Source: graphcore/poptorch:popart_compiler/source/CompilerImpl.cpp."""
    used = ipus * replicas
    reserved = 1 << (used - 1).bit_length()
    if reserved != used and used <= MAX_IPUS:
        field = f"{start}ipus_per_replica" if ipus & (ipus - 1) else f"{start}replication_factor"
        yield (
            field,
            f"{ipus} IPUs x {replicas} replicas are {used}, no power of two: the host reserves {reserved} and leaves "
            f"{reserved - used} of them idle",
        )


def _unused(hand: Handwritten, mode: Mode, ipus: int, replicas: int) -> Said:
    """What does less than its author may think."""
    fields = hand.fields
    extras = f"{_prefix(mode)}parallelize_kwargs"
    if getattr(fields, extras):
        yield extras, f"{extras} is not looked at: what parallelize() does without it is predicted"
    if mode is Mode.TRAINING:
        if fields.replicated_tensor_sharding and replicas == 1:
            yield "replicated_tensor_sharding", "replicated_tensor_sharding does nothing with one replica"
        return
    if ipus == 1 < fields.ipus_per_replica and fields.inference_layers_per_ipu == [WILDCARD]:
        yield (
            "inference_ipus_per_replica",
            f"training uses {fields.ipus_per_replica} IPUs and inference one, because inference_layers_per_ipu is "
            f"[-1] and inference_ipus_per_replica is {fields.inference_ipus_per_replica} or missing",
        )
    training = fields.matmul_proportion
    missing = "inference_matmul_proportion" not in hand.given
    if missing and isinstance(training, list) and len(training) != ipus:
        yield (
            "inference_matmul_proportion",
            f"inference_matmul_proportion is missing and matmul_proportion has {len(training)} values for {ipus} IPUs: "
            f"inference uses the default, {fields.inference_matmul_proportion}",
        )
