"""`layers_per_ipu` of one mode for a model of known layers, wildcards expanded as optimum-graphcore does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from planners.uniform import layer_counts

from ..ipu_config import WILDCARD
from ..plan_parts import Finding
from .sides import Side


@dataclass(frozen=True, slots=True)
class Counted:
    """Layers on each IPU."""

    layers: tuple[int, ...] | None
    """None: they are not looked at, or mean nothing."""
    findings: tuple[Finding, ...]
    predictable: bool = True


def counted(side: Side, layers: int, ipus: int | None, name: str) -> Counted:
    """`layers` are counted in the class `name`, which always takes `ipus` IPUs where that is no None.

    Source: optimum/graphcore/modeling_utils.py (0.7.1), `_expand_layers_per_ipu_wildcard`, `get_layer_ipu`.
    """
    if ipus is not None or not layers:
        return Counted(None, tuple(_ignored(side, ipus, name)))
    asked = side.layers
    if side.ipus == 1:
        return Counted(None, tuple(_one_ipu(side, layers)))
    given = sum(n for n in asked if n != WILDCARD)
    if WILDCARD in asked:
        fits = given <= layers
        return Counted(tuple(layer_counts(asked, side.ipus, layers)), ()) if fits else _too_many(side, layers)
    if given == layers:
        return Counted(asked, ())
    field = side.field("layers_per_ipu")
    text = (
        f"{field} is {list(asked)}, which adds up to {given}; {name} counts {layers} layers. "
        f"An even split would be {layer_counts([WILDCARD], side.ipus, layers)}."
    )
    return Counted(None, (side.finding(field, text, fatal=True),), predictable=False)


def _too_many(side: Side, layers: int) -> Counted:
    """The original makes wildcards negative, which repeats no IPU, and takes of the rest as many as the model has."""
    wild = [ipu for ipu, count in enumerate(side.layers) if count == WILDCARD]
    left = layers - sum(count for count in side.layers if count != WILDCARD)
    counts = [left // len(wild) if count == WILDCARD else count for count in side.layers]
    counts[wild[-1]] += left % len(wild)
    homes = [ipu for ipu, count in enumerate(counts) for _ in range(min(count, layers))][:layers]
    real = tuple(homes.count(ipu) for ipu in range(side.ipus))
    field = side.field("layers_per_ipu")
    text = (
        f"{field} is {list(side.layers)}: the numbers beside wildcards exceed the model's {layers} "
        f"layers. optimum-graphcore says nothing and uses {list(real)}."
    )
    return Counted(real, (side.finding(field, text),))


def _one_ipu(side: Side, layers: int) -> list[Finding]:
    if side.layers in ((WILDCARD,), (layers,)):
        return []
    field = side.field("layers_per_ipu")
    text = f"{field} is {list(side.layers)}, and not looked at on one IPU: all {layers} layers are there."
    return [side.finding(field, text)]


def _ignored(side: Side, ipus: int | None, name: str) -> list[Finding]:
    found = []
    if _says_something(side.layers):
        field = side.field("layers_per_ipu")
        found.append(side.finding(field, f"{field} is {list(side.layers)}, and {name} does not look at it."))
    if ipus not in (None, side.ipus):
        field = side.field("ipus_per_replica")
        text = (
            f"{field} is {side.ipus}, and {name} always uses {ipus}. Give {ipus}, or IPUs "
            "have no memory proportion of their own."
        )
        found.append(side.finding(field, text))
    return found


def _says_something(layers: Sequence[int]) -> bool:
    return any(n != WILDCARD for n in layers)
