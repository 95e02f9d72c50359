"""Graphs in the public form: random ones in every spelling that files have, and a reader with nothing of ours in it."""

from __future__ import annotations

import json
from fractions import Fraction
from random import Random
from typing import Any

from planners.graph.problem import GraphProblem, Kind, Node, PricedTensor
from planners.problem import Device, SharedGroup
from tests.planners.graph.problems import acyclic, plain, training

Document = dict[str, Any]


def document(random: Random, most_nodes: int = 7) -> Document:
    """Flags as 0 and 1 or false and true, classes absent, null or alone, numbers whole or not, ids of any kind."""
    count = random.randint(1, most_nodes)
    pairs, backward, colours = training(random, count) if random.random() < 0.5 else plain(random, count)
    ids = _ids(random, count)
    flag = random.choice((int, bool))
    total = 0.0
    nodes = []
    for index in range(count):
        size = random.choice((0, 0.0, random.randint(0, 9), random.randint(0, 90) / 10, 1e-3, 2.5e1))
        total += size
        node: Document = {"id": ids[index], "supportedOnFpga": flag(random.random() < 0.9)}
        node |= {"isBackwardNode": flag(backward[index])}
        node |= {"cpuLatency": _amount(random, 20), "fpgaLatency": _amount(random, 8), "size": size}
        nodes.append({"name": f"node {index}", **node} if random.random() < 0.5 else node)
    _coloured(random, nodes, colours)
    accelerators, processors = random.choice(((1, 0), (0, 1), (1, 1), (2, 1), (3, 1), (2, 2), (4, 0), (2, 0)))
    room = random.choice((0, total, total / 2, total / max(1, accelerators), round(total / 2, 1), 1e9))
    return {
        "maxSizePerFPGA": room,
        "maxFPGAs": accelerators,
        "maxCPUs": processors,
        "nodes": random.sample(nodes, count),
        "edges": _edges(random, pairs, ids),
    }


def _ids(random: Random, count: int) -> list[int | str]:
    if random.random() < 0.2:
        return [f"layer.{i}" for i in range(count)]
    return random.sample(range(-3, 50), count)


def _amount(random: Random, most: int) -> float:
    return random.choice((0, 0.0, random.randint(0, most), random.randint(0, 10 * most) / 10, random.random() * most))


def _coloured(random: Random, nodes: list[Document], colours: list[set[int]]) -> None:
    """Classes that overlap are one; nodes of none have a class of their own, no key, or null."""
    merged: list[set[int]] = []
    for members in colours:
        held = [c for c in merged if c & members]
        merged = [c for c in merged if not c & members] + [members.union(*held)]
    for index, node in enumerate(nodes):
        found = next((number for number, members in enumerate(merged) if index in members), None)
        if found is not None:
            node["colorClass"] = found
        elif random.random() < 0.5:
            node["colorClass"] = random.choice((None, 100 + index))


def _edges(random: Random, pairs: list[tuple[int, int]], ids: list[int | str]) -> list[Document]:
    """One cost for all edges of a node; some edges twice, some with a size."""
    costs = [random.choice((0, _amount(random, 5))) for _ in ids]
    found = [{"sourceId": ids[a], "destId": ids[b], "cost": costs[a]} for a, b in pairs]
    found += random.sample(found, min(len(found), random.choice((0, 0, 1))))
    return [{**edge, "size": 7.0} if random.random() < 0.3 else edge for edge in random.sample(found, len(found))]


def chained(random: Random, count: int) -> Document:
    """Larger, and with nothing that makes small graphs odd: all forward, on 3 accelerators and a slow CPU."""
    pairs = acyclic(random, range(count))
    return {
        "maxSizePerFPGA": 10 * count // 3,
        "maxFPGAs": 3,
        "maxCPUs": 1,
        "nodes": [
            {"id": i, "supportedOnFpga": 1, "isBackwardNode": 0, "size": 9}
            | {"cpuLatency": 80, "fpgaLatency": random.randint(1, 9)}
            for i in range(count)
        ],
        "edges": _edges(random, pairs, list(range(count))),
    }


def read(text: str) -> tuple[GraphProblem, list[str]]:
    """The graph in the file's own unit and its ids. Sizes are fractions, which only the oracle understands."""
    found = json.loads(text, parse_float=Fraction)
    ids = [str(node["id"]) for node in found["nodes"]]
    out: dict[str, set[str]] = {}
    cost: dict[str, Fraction] = {}
    for edge in found["edges"]:
        out.setdefault(str(edge["sourceId"]), set()).add(str(edge["destId"]))
        cost[str(edge["sourceId"])] = edge["cost"]
    colours: dict[object, list[int]] = {}
    for index, node in enumerate(found["nodes"]):
        if node.get("colorClass") is not None:
            colours.setdefault(node["colorClass"], []).append(index)
    accelerators, processors = found["maxFPGAs"], found["maxCPUs"]
    built = GraphProblem(
        nodes=tuple(
            Node(
                str(node["id"]),
                (node["fpgaLatency"] if node["supportedOnFpga"] else None, node["cpuLatency"]),
                node["size"],
                bool(node["isBackwardNode"]),
            )
            for node in found["nodes"]
        ),
        kinds=(Kind("acc"), Kind("cpu", pays=False, bounded=False)),
        devices=(Device(found["maxSizePerFPGA"]),) * accelerators + (Device(0),) * processors,
        kind_of=(0,) * accelerators + (1,) * processors,
        tensors=tuple(
            PricedTensor(ids.index(source), tuple(sorted(map(ids.index, readers))), cost[source])
            for source, readers in out.items()
        ),
        groups=tuple(SharedGroup(str(colour), tuple(members), 0, True) for colour, members in colours.items()),
    )
    return built, ids


def assigned(built: GraphProblem, ids: list[str], names: dict[str, str]) -> list[int]:
    """Devices of an answer."""
    assert sorted(names) == sorted(ids)
    accelerators = built.kind_of.count(0)
    numbers = {f"acc{i}": i for i in range(accelerators)}
    numbers |= {f"cpu{i}": accelerators + i for i in range(len(built.kind_of) - accelerators)}
    return [numbers[names[name]] for name in ids]
