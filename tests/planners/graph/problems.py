"""Small random graphs in which everything that may interact does; the same seed, the same graph."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from random import Random

from hypothesis import strategies as st

from planners.graph.problem import GraphProblem, Kind, Node, Number, PricedTensor
from planners.problem import Device, SharedGroup
from tests.planners.graph.literal import Literal, classes

Pair = tuple[int, int]
ACCELERATOR, CPU = Kind("acc"), Kind("cpu", pays=False, bounded=False)
OTHERS = (Kind("old"), Kind("host", bounded=False), Kind("dsp", pays=False))


def problem(random: Random, most_nodes: int = 7, most_devices: int = 4, least_nodes: int = 1) -> GraphProblem:
    """About a third of the small ones fit nowhere."""
    count = random.randint(least_nodes, most_nodes)
    pairs, backward, colours = training(random, count) if random.random() < 0.5 else plain(random, count)
    kinds = (ACCELERATOR, CPU, *random.sample(OTHERS, random.choice((0, 0, 1))))[random.choice((0, 0, 0, 1)) :]
    tensors, order = _tensors(random, pairs, count)
    devices, kind_of = _devices(random, len(kinds), random.randint(1, most_devices))
    built = GraphProblem(
        nodes=_nodes(random, backward, len(kinds)),
        kinds=kinds,
        devices=devices,
        kind_of=kind_of,
        tensors=tensors,
        groups=(*_colours(random, colours), *_shared(random, count)),
        order=order,
    )
    return _tight(random, built) if random.random() < 0.6 else built


problems = st.integers(0, 2**32).map(lambda seed: problem(Random(seed)))


def number(random: Random, most: int = 8) -> Number:
    """Often nothing; often what doubles cannot hold."""
    whole = random.randint(0, most)
    return random.choice((0, whole, whole, float(whole), whole * 0.1, Fraction(whole, 3)))


def plain(random: Random, count: int) -> tuple[list[Pair], list[bool], list[set[int]]]:
    """Any flags, any classes: those of backward nodes only, and those that make cycles, among them."""
    pairs = acyclic(random, range(count))
    backward = [random.random() < 0.3 for _ in range(count)] if random.random() < 0.4 else [False] * count
    sizes = [random.choice((2, 2, 3)) for _ in range(random.choice((0, 0, 1, 2)))] if count > 2 else []
    return pairs, backward, [set(random.sample(range(count), size)) for size in sizes]


def training(random: Random, count: int) -> tuple[list[Pair], list[bool], list[set[int]]]:
    """Forward nodes mirrored, some of whose backward nodes have no colour or one of their own."""
    forward = (count + 1) // 2
    nodes = random.sample(range(count), count)
    first, mirror = nodes[:forward], dict(zip(nodes, nodes[forward:], strict=False))
    pairs = acyclic(random, first)
    pairs += [(mirror[b], mirror[a]) for a, b in pairs if a in mirror and b in mirror and random.random() < 0.9]
    pairs += [(a, b) for a, b in mirror.items() if random.random() < 0.6]
    colours = [{a, b} for a, b in mirror.items() if random.random() < 0.8]
    alone = [b for b in mirror.values() if not any(b in c for c in colours)]
    if len(alone) > 1 and random.random() < 0.5:
        colours.append(set(alone[:2]))
    if len(first) > 2 and random.random() < 0.3:
        colours.append(set(random.sample(first, 2)))
    return pairs, [node in mirror.values() for node in range(count)], colours


def acyclic(random: Random, nodes: range | list[int]) -> list[Pair]:
    """Edges along a random order: a chain, several parts, or anything between."""
    ordered = random.sample(list(nodes), len(nodes))
    if random.random() < 0.15:
        return list(pairwise(ordered))
    density = random.choice((0.15, 0.3, 0.5, 0.8))
    pairs = [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :] if random.random() < density]
    part = random.randint(1, len(ordered)) if random.random() < 0.3 else 0
    return [(a, b) for a, b in pairs if (a in ordered[:part]) == (b in ordered[:part])]


def _nodes(random: Random, backward: list[bool], kinds: int) -> tuple[Node, ...]:
    gaps = random.choice((0.0, 0.0, 0.1, 0.4))

    def times() -> tuple[Number | None, ...]:
        return tuple(None if random.random() < gaps else number(random, random.choice((8, 40))) for _ in range(kinds))

    return tuple(Node(f"n{i}", times(), random.choice((0, random.randint(0, 9))), b) for i, b in enumerate(backward))


def _devices(random: Random, kinds: int, count: int) -> tuple[tuple[Device, ...], tuple[int, ...]]:
    """In any order of kinds; often alike."""
    some = [
        Device(random.choice((0, 5, 12, 30, 10**6)), random.choice((1.0, 1.0, 1, 0.5, 3.0)), random.choice((0, 0, 4)))
        for _ in range(random.choice((1, 1, 2)))
    ]
    devices = tuple(random.choice(some) for _ in range(count))
    return devices, tuple(random.choice((0, random.randrange(kinds))) for _ in range(count))


def _tensors(random: Random, pairs: list[Pair], count: int) -> tuple[tuple[PricedTensor, ...], tuple[Pair, ...]]:
    """One tensor for all readers of a node, or two; some pairs tie without data; some data comes from the host."""
    free = random.choice((0.0, 0.0, 0.3))
    order = [pair for pair in pairs if random.random() < free]
    found = []
    for producer in range(count):
        readers = sorted({b for a, b in pairs if a == producer and (a, b) not in order})
        at = random.randint(0, len(readers)) if random.random() < 0.3 else 0
        found += [PricedTensor(producer, tuple(part), number(random)) for part in (readers[:at], readers[at:]) if part]
    for _ in range(random.choice((0, 0, 1, 2))):
        readers = sorted(random.sample(range(count), random.randint(1, min(3, count))))
        found.append(PricedTensor(None, tuple(readers), number(random)))
    return tuple(found), tuple(sorted(order))


def _colours(random: Random, colours: list[set[int]]) -> list[SharedGroup]:
    size = random.choice((0, 0, 5))
    return [SharedGroup(f"c{i}", tuple(sorted(members)), size, True) for i, members in enumerate(colours)]


def _shared(random: Random, count: int) -> list[SharedGroup]:
    groups = range(random.choice((0, 0, 0, 1, 2)))
    members = [tuple(sorted(random.sample(range(count), random.randint(1, min(3, count))))) for _ in groups]
    return [SharedGroup(f"g{i}", held, random.randint(0, 9), False) for i, held in enumerate(members)]


def _tight(random: Random, built: GraphProblem) -> GraphProblem:
    """Hardly more memory than some assignment needs, or a little less; devices of a kind stay alike."""
    home: dict[int, int] = {}
    for held in classes(built):
        home |= dict.fromkeys(held, random.randrange(len(built.devices)))
    judged = Literal(built, [home[node] for node in range(len(built.nodes))])
    spare = random.choice((-1, 0, 0, 0, 2))
    needed = max(judged.memory(device) for device in range(len(built.devices)))
    capacity = max(0, int(needed) + spare)
    return replace(built, devices=tuple(replace(device, capacity_bytes=capacity) for device in built.devices))


def assignments(random: Random, built: GraphProblem) -> list[int]:
    """A random assignment; mostly one that keeps classes together."""
    home = [random.randrange(len(built.devices)) for _ in built.nodes]
    if random.random() < 0.8:
        for held in classes(built):
            home = [home[min(held)] if node in held else device for node, device in enumerate(home)]
    return home
