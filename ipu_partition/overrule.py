"""What the user decides, as constraints on the units of one model; contradictions are refused with both sides named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .demands import WILDCARD, Demands, check_pins, pin_option
from .errors import UsageError
from .layout import layer_units, placement
from .machine import Placement
from .modules import units_running
from .prepare import Prepared


@dataclass(frozen=True, slots=True)
class Overruled:
    """A placement that obeys the user, and the family's class where the plan does."""

    placement: Placement
    decided: Mapping[int, str]
    """Pinned unit -> who decides its IPU, in words."""


def overrule(prepared: Prepared, demands: Demands, ipus: int) -> Overruled:
    """UsageError where the demands contradict the model, its class or each other; subtler conflicts are left to the
    planner."""
    base = placement(prepared.layout, prepared.graph, ipus)
    check_pins(demands, ipus)
    homes = {unit: (ipu, _rule(prepared, unit, ipu)) for unit, ipu in base.pins}
    for module, ipu in demands.pins:
        for unit in sorted(units_running(prepared, module)):
            before, decided = homes.setdefault(unit, (ipu, pin_option(module, ipu)))
            if before != ipu:
                raise UsageError(_two_homes(prepared, unit, module, pin_option(module, ipu), decided))
    pins = tuple(sorted((unit, ipu) for unit, (ipu, _) in homes.items()))
    pinned = replace(base, pins=pins, allow_empty=demands.idle)
    if demands.layers:
        counts = layers_asked(prepared, demands)
        pinned = replace(pinned, layers=counts, sequential=layer_units(prepared.layout, prepared.graph))
    return Overruled(pinned, {unit: decided for unit, (_, decided) in homes.items()})


def check(prepared: Prepared, demands: Demands) -> None:
    """UsageError where the demands name modules or numbers of layers that the model does not have."""
    if demands.layers:
        layers_asked(prepared, demands)
    idle_pins(prepared, demands)


def layers_asked(prepared: Prepared, demands: Demands) -> tuple[int | None, ...]:
    """Layers on each IPU, None where the planner chooses. UsageError where the model's layers do not add up to them."""
    count = len(layer_units(prepared.layout, prepared.graph))
    if not count:
        raise UsageError(
            f"{demands.layers_option} means the layers that layers_per_ipu counts in a class of optimum-graphcore, and "
            f"{prepared.name} has none of them. Try --pin MODULE=IPU to place its modules."
        )
    asked = tuple(None if n == WILDCARD else n for n in demands.layers)
    known = sum(n for n in asked if n is not None)
    if known > count or (known < count and None not in asked):
        raise UsageError(
            f"{demands.layers_option} adds up to {known}, but {prepared.name} has {count} layers "
            f"({prepared.mode.value}). Put -1 where the planner shall choose the number."
        )
    return asked


def idle_pins(prepared: Prepared, demands: Demands) -> list[str]:
    """Pins of modules that do nothing in this mode, such as dropout in inference. UsageError for an unknown module."""
    return [pin_option(module, ipu) for module, ipu in demands.pins if not units_running(prepared, module)]


def _rule(prepared: Prepared, unit: int, ipu: int) -> str:
    """Only a class's rule pins units of itself; a free layout binds none."""
    name = prepared.rule.optimum_class if prepared.rule else prepared.name
    return f"{name} begins {prepared.graph.units[unit].name!r} on IPU {ipu}"


def _two_homes(prepared: Prepared, unit: int, module: str, pin: str, other: str) -> str:
    name = prepared.graph.units[unit].name
    if other.startswith("--pin"):
        return f"{other} and {pin} contradict each other: both place the unit that begins at {name!r}. Leave one out."
    where = "" if module == name else f", where {module!r} runs"
    return (
        f"{pin} contradicts the rule that {other}{where}. Leave it out, or try --target poptorch, which places blocks "
        "freely."
    )
