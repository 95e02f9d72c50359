"""Graphs in the public form of device-placement workloads, and answers to them. ``planners/README.md`` describes both.

Source of the form: Tarnawski et al., arXiv:2006.16423, and the files of msr-fiddle/dnn-partitioning. Times and prices
are milliseconds there; they are held here as exact microseconds. Sizes are bytes; where any is no integer, all are held
in the part of a byte that makes them whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import inf, lcm, nan
from typing import Any

from ..checks import MOST, ProblemError, brief
from ..json_text import items, mapping, unique_keys
from ..problem import Device, SharedGroup
from ..validation import MOST_DEVICES, MOST_ITEMS, MOST_UNITS
from .problem import GraphProblem, Kind, Node, PricedTensor
from .validation import validate_graph

PER_DOCUMENT = 1000
"""Microseconds of the unit of the document."""
ACCELERATOR, PROCESSOR = "acc", "cpu"
KINDS = (Kind(ACCELERATOR), Kind(PROCESSOR, pays=False, bounded=False))
MOST_BYTES = 10**30
LEAST_EXPONENT = -290
MOST_DIGITS = 400
SAME_PRICE = Fraction(1, 10**9)
"""Relative difference below which the prices of one tensor are one."""


@dataclass(frozen=True, slots=True)
class GraphDocument:
    """A graph, and what it is called in the file."""

    problem: GraphProblem
    ids: tuple[str, ...]
    """Of the nodes, in order."""
    parts: int = 1
    """Of a byte that count as one in the problem."""

    def device_name(self, device: int) -> str:
        """``acc0``, ``acc1``, ... and ``cpu0``, ..."""
        kind = self.problem.kind_of[device]
        return f"{KINDS[kind].name}{self.problem.kind_of[:device].count(kind)}"


def graph_from_dict(found: object) -> GraphDocument:
    """What :func:`read_exactly` gives. ProblemError where it is no such document; it names the node or edge that is at
    fault."""
    document = mapping("the graph", found)
    nodes, edges = _listed(document, "nodes", MOST_UNITS), _listed(document, "edges", MOST_ITEMS)
    ids = _ids(nodes)
    owners = [f"node {brief(node_id)}" for node_id in ids]
    sizes = [_number(owner, "size", node, MOST_BYTES) for owner, node in zip(owners, nodes, strict=True)]
    room = _number("the graph", "maxSizePerFPGA", document, MOST_BYTES)
    whole = lcm(*(size.denominator for size in sizes))
    accelerators, processors = (_count(document, name) for name in ("maxFPGAs", "maxCPUs"))
    if not 1 <= accelerators + processors <= MOST_DEVICES:
        total = accelerators + processors
        raise ProblemError(f"the graph has {total} devices (maxFPGAs and maxCPUs), expected 1 to {MOST_DEVICES}")
    problem = GraphProblem(
        nodes=tuple(_node(*part) for part in zip(owners, ids, nodes, (int(s * whole) for s in sizes), strict=True)),
        kinds=KINDS,
        devices=(Device(int(room * whole)),) * accelerators + (Device(0),) * processors,
        kind_of=(0,) * accelerators + (1,) * processors,
        tensors=_tensors(ids, edges),
        groups=_colours(owners, nodes),
    )
    validate_graph(problem)
    return GraphDocument(problem, tuple(ids), whole)


def read_exactly(text: str) -> Any:
    """JSON with ``Decimal`` for floats; numbers that it does not know are left for who can say where they are.
    ProblemError where it is none."""
    try:
        return json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=float, object_pairs_hook=unique_keys
        )
    except ProblemError as error:
        raise ProblemError(f"the graph is not JSON: {error}") from None
    except ValueError as error:
        raise ProblemError(f"the graph is not JSON: {error}") from error
    except RecursionError:
        raise ProblemError("the graph is nested too deep, expected lists of objects of numbers") from None


def _decimal(text: str) -> Decimal | float:
    """No number where its exponent is too large or too small even for that."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return float(text) or nan


def _integer(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:  # more digits than Python reads
        return inf


def _listed(document: Mapping[str, Any], name: str, most: int) -> list[Any]:
    found = items(f"the graph: {name}", _given("the graph", name, document))
    if len(found) > most:
        raise ProblemError(f"the graph has {len(found)} {name}, expected at most {most}")
    return found


def _given(owner: str, name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise ProblemError(f"{owner} lacks {name!r}")
    return values[name]


def _ids(nodes: list[Any]) -> list[str]:
    if not nodes:
        raise ProblemError("the graph has no nodes, expected 1 or more")
    found: dict[str, int] = {}
    for index, node in enumerate(nodes):
        name = _id(f"the {index + 1}. node", "id", mapping(f"the {index + 1}. node", node))
        if found.setdefault(name, index) != index:
            raise ProblemError(
                f"node {brief(name)} is there twice, as the {found[name] + 1}. and the {index + 1}. node"
            )
    return list(found)


def _id(owner: str, name: str, values: Mapping[str, Any]) -> str:
    value = _given(owner, name, values)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or len(str(value)) > 200:
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected an integer or a short string")
    return str(value)


def _number(owner: str, name: str, values: Mapping[str, Any], most: int = int(MOST)) -> Fraction:
    """Exactly what is written."""
    value = _given(owner, name, values)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected a number")
    if not 0 <= value <= most:
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected a finite number from 0 to {most:.0e}")
    exact = Decimal(value)
    if exact and (exact.adjusted() < LEAST_EXPONENT or len(exact.as_tuple().digits) > MOST_DIGITS):
        raise ProblemError(f"{owner}: {name} has more digits than are counted, expected at most {MOST_DIGITS}")
    return Fraction(exact)


def _count(document: Mapping[str, Any], name: str) -> int:
    found = _number("the graph", name, document)
    if found.denominator != 1:
        raise ProblemError(f"the graph: {name} is {float(found)}, expected an integer")
    return int(found)


def _truth(owner: str, name: str, values: Mapping[str, Any], default: bool) -> bool:
    """Files have 0 and 1, or false and true."""
    value = values.get(name, default)
    if not isinstance(value, (bool, int)) or value not in (0, 1):
        raise ProblemError(f"{owner}: {name} is {brief(value)}, expected true or false")
    return bool(value)


def _node(owner: str, name: str, values: Mapping[str, Any], size: int) -> Node:
    supported = _truth(owner, "supportedOnFpga", values, True)
    accelerator = _time(owner, "fpgaLatency", values) if supported or values.get("fpgaLatency") is not None else None
    times = (accelerator if supported else None, _time(owner, "cpuLatency", values))
    return Node(name, times, size, _truth(owner, "isBackwardNode", values, False))


def _time(owner: str, name: str, values: Mapping[str, Any]) -> Fraction:
    return _number(owner, name, values, int(MOST) // PER_DOCUMENT) * PER_DOCUMENT


def _tensors(ids: list[str], edges: list[Any]) -> tuple[PricedTensor, ...]:
    index = {name: i for i, name in enumerate(ids)}
    readers: dict[int, set[int]] = {}
    prices: dict[int, Fraction] = {}
    written: dict[int, object] = {}
    for number, edge in enumerate(edges):
        values = mapping(f"the {number + 1}. edge", edge)
        source, reader = (_end(number, name, values, index) for name in ("sourceId", "destId"))
        if source == reader:
            raise ProblemError(f"node {brief(ids[source])} needs its own result; expected a graph without cycles")
        readers.setdefault(source, set()).add(reader)
        cost = values.get("cost")
        if source in written and type(cost) is type(written[source]) and cost == written[source]:
            continue
        written[source] = cost
        price = _time(f"the edge from node {brief(ids[source])} to node {brief(ids[reader])}", "cost", values)
        first = prices.setdefault(source, price)
        if abs(price - first) > SAME_PRICE * max(price, first):
            costs = f"{float(first / PER_DOCUMENT)} and {float(price / PER_DOCUMENT)}"
            raise ProblemError(
                f"node {brief(ids[source])} has edges of cost {costs}, expected one cost: it has one output"
            )
    return tuple(PricedTensor(node, tuple(sorted(readers[node])), prices[node]) for node in sorted(readers))


def _end(number: int, name: str, values: Mapping[str, Any], index: Mapping[str, int]) -> int:
    given = values.get(name)
    node = index.get(str(given)) if type(given) in (int, str) else None
    if node is not None:
        return node
    owner = f"the {number + 1}. edge"
    found = _id(owner, name, values)
    raise ProblemError(f"{owner}: {name} is {brief(values[name])}, but there is no node {brief(found)}")


def _colours(owners: list[str], nodes: list[Any]) -> tuple[SharedGroup, ...]:
    found: dict[str, list[int]] = {}
    for index, (owner, node) in enumerate(zip(owners, nodes, strict=True)):
        if node.get("colorClass") is not None:
            found.setdefault(_id(owner, "colorClass", node), []).append(index)
    together = ((name, members) for name, members in sorted(found.items()) if len(members) > 1)
    return tuple(SharedGroup(f"colour {name}", tuple(members), 0, True) for name, members in together)
