"""The planning problem of a graph as plain numbers.

A graph differs from a chain (:mod:`planners.problem`) in one thing: its work has a partial order. A planner gives
every node a device, such that the devices can be put in an order in which nothing runs before what it needs. Stages
follow that order, one on each device. A chain is the graph whose order leaves no choice (:mod:`planners.graph.chain`).

Devices are those of the chain; a graph knows their ``capacity_bytes``, ``speed``, ``base_bytes`` and kind. Groups are
those of the chain too: nodes of one colour are a ``colocate`` group. Times are microseconds at ``speed`` 1.0, one for
each kind of device, exact (``Fraction``) or floats; bytes are integers of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..problem import Device, SharedGroup

Number = int | float | Fraction


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of work that cannot be parted."""

    name: str
    times_us: tuple[Number | None, ...]
    """By kind of device; ``None`` where it cannot run on that kind."""
    bytes: int = 0
    """Always on the device of the node."""
    backward: bool = False
    """Part of the backward pass: it follows the forward nodes of its ``colocate`` groups and is not ordered itself."""


@dataclass(frozen=True, slots=True)
class PricedTensor:
    """What a node makes and others read: one hyperedge, which is either within a device or paid for."""

    producer: int | None
    """``None`` for an input that comes from the host."""
    readers: tuple[int, ...]
    """Nodes, ascending, other than the producer."""
    copy_us: Number = 0
    """Paid once by each device that makes or reads it, unless that is one alone. Devices of kinds that copy for nothing
    do not pay."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What devices have in common."""

    name: str
    pays: bool = True
    """Whether copies take its devices' time."""
    bounded: bool = True
    """Whether its devices can lack memory."""


@dataclass(frozen=True, slots=True)
class GraphProblem:
    """Everything a planner is told of a graph. The objective is the largest time of a device; devices may be empty."""

    nodes: tuple[Node, ...]
    kinds: tuple[Kind, ...]
    devices: tuple[Device, ...]
    kind_of: tuple[int, ...]
    """Kind of every device."""
    tensors: tuple[PricedTensor, ...] = ()
    groups: tuple[SharedGroup, ...] = ()
    order: tuple[tuple[int, int], ...] = ()
    """Further pairs of nodes, the first of which is not on a later device than the second; as tensors say of producer
    and readers."""


def touched(tensor: PricedTensor) -> tuple[int, ...]:
    """Nodes that make or read it."""
    return tensor.readers if tensor.producer is None else (tensor.producer, *tensor.readers)
