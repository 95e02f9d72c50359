"""What restricts and shapes the placement of units, decided outside the machine room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..cost.graph import CostGraph
from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Placement:
    """Constraints and annotations of one problem. The default restricts nothing."""

    pins: tuple[tuple[int, int], ...] = ()
    """(unit, IPU) pairs."""
    forbidden_cuts: frozenset[int] = frozenset()
    """Index `i`: units `i` and `i + 1` stay on one IPU."""
    sequential: frozenset[int] = frozenset()
    """Units whose IPUs never decrease in unit order."""
    layers: tuple[int | None, ...] = ()
    """How many of the `sequential` units each IPU holds, None where any number does; empty: None for all."""
    activation_parameters: Mapping[str, int] = field(default_factory=dict)
    """Parameter -> unit that turns it into an activation: held there only, copied to its other readers."""
    checkpoints: frozenset[int] = frozenset()
    """Units with a recompute checkpoint on their output."""
    serialised: Mapping[str, int] = field(default_factory=dict)
    """Parameter -> number of pieces it is worked on in (embedding serialisation)."""
    allow_empty: bool = False
    """True: an IPU may hold no unit."""
    together: tuple[tuple[int, int], ...] = ()
    """Pairs of units that share an IPU, whichever it is."""
    ipus: int | None = None
    """Number of IPUs; None: the workload's."""
    copied: bool = False
    """True: a weight that several IPUs need is on each of them, also in a pipeline."""
    homes: tuple[int, ...] = ()
    """IPU of each unit, whose available-memory proportion it gets; empty: it takes the memory of the least that any IPU
    has, and the time of the greatest."""


ANYWHERE = Placement()


def check(placement: Placement, graph: CostGraph, ipus: int) -> None:
    """UsageError where `placement` names a unit or parameter that is not there, counts the layers of more or fewer than
    `ipus` IPUs, asks for no pieces, or needs a parameter before the unit that turns it into an activation."""
    units = len(graph.units)
    named = {u for u, _ in placement.pins} | placement.checkpoints | placement.sequential
    named |= {*placement.activation_parameters.values()} | {c + 1 for c in placement.forbidden_cuts}
    named |= {u for pair in placement.together for u in pair}
    if strangers := sorted(u for u in named if not 0 <= u < units):
        raise UsageError(f"the placement names units {strangers}, but the model has {units}: 0 to {units - 1}.")
    if len(placement.layers) not in (0, ipus):
        raise UsageError(f"the placement counts the layers of {len(placement.layers)} IPUs, but there are {ipus}.")
    for name in (*placement.activation_parameters, *placement.serialised):
        if name not in graph.parameters:
            raise UsageError(f"the placement names a parameter {name!r}, which the model does not have.")
    for name, parts in placement.serialised.items():
        if parts < 1:
            raise UsageError(f"parameter {name!r} is to be worked on in {parts} pieces, expected at least 1.")
    for name, maker in placement.activation_parameters.items():
        if early := [i for i in graph.readers(name) if i < maker]:
            raise UsageError(f"unit {maker} is to make {name!r} an activation, but units {early} read it before.")
