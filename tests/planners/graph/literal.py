"""The rules of device placement once more, set by set and in fractions, with nothing shared but the words.

:class:`Literal` judges one assignment. :func:`best` tries them all, but for exchanges of devices that are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import permutations
from math import lcm

from planners.graph.problem import GraphProblem

Pair = tuple[int, int]


def edges(problem: GraphProblem) -> list[Pair]:
    made = [(t.producer, reader) for t in problem.tensors for reader in t.readers if t.producer is not None]
    return [*made, *problem.order]


def classes(problem: GraphProblem) -> list[set[int]]:
    """Nodes that share a device whatever happens, ones that are alone included."""
    found = [{node} for node in range(len(problem.nodes))]
    for group in problem.groups:
        if group.colocate:
            held = [c for c in found if c & set(group.members)]
            found = [c for c in found if not c & set(group.members)] + [set().union(*held)] * bool(held)
    return found


def ordered_pairs(problem: GraphProblem) -> set[Pair]:
    """(first, second): no device of the second comes before that of the first."""
    back = {node for node in range(len(problem.nodes)) if problem.nodes[node].backward}
    only_back = {node for c in classes(problem) if c <= back for node in c}
    forward = {(a, b) for a, b in edges(problem) if a not in back and b not in back}
    reverse = {(b, a) for a, b in edges(problem) if {a, b} <= back and {a, b} & only_back}
    return forward | reverse


class Literal:
    def __init__(self, problem: GraphProblem, assignment: Sequence[int]) -> None:
        self.p, self.a = problem, list(assignment)

    def nodes(self, device: int) -> set[int]:
        return {node for node, home in enumerate(self.a) if home == device}

    def valid(self) -> bool:
        if len(self.a) != len(self.p.nodes) or any(home not in range(len(self.p.devices)) for home in self.a):
            return False
        runs = all(self.p.nodes[n].times_us[self.p.kind_of[d]] is not None for n, d in enumerate(self.a))
        together = all(len({self.a[node] for node in c}) == 1 for c in classes(self.p))
        return runs and together and any(self.in_order(order) for order in permutations(sorted(set(self.a))))

    def in_order(self, devices: Sequence[int]) -> bool:
        """Whether what the first devices hold, however many, is closed downward."""
        pairs, held = ordered_pairs(self.p), set[int]()
        for device in devices:
            held |= self.nodes(device)
            if any(second in held and first not in held for first, second in pairs):
                return False
        return True

    def time(self, device: int) -> Fraction:
        kind = self.p.kind_of[device]
        work = sum((Fraction(self.p.nodes[node].times_us[kind] or 0) for node in self.nodes(device)), Fraction())
        total = work / Fraction(self.p.devices[device].speed)
        for tensor in self.p.tensors if self.p.kinds[kind].pays else ():
            readers = {self.a[reader] for reader in tensor.readers}
            if tensor.producer is None:
                pays = device in readers and len(readers) > 1
            elif self.a[tensor.producer] == device:
                pays = bool(readers - {device})
            else:
                pays = device in readers
            total += Fraction(tensor.copy_us) * pays
        return total

    def memory(self, device: int) -> Fraction:
        nodes = self.nodes(device)
        if not nodes:
            return Fraction()
        once = [group.bytes for group in self.p.groups if nodes & set(group.members)]
        own = [self.p.nodes[node].bytes for node in nodes]
        return sum(map(Fraction, once + own), Fraction(self.p.devices[device].base_bytes))

    def lack(self, device: int) -> Fraction:
        if not self.p.kinds[self.p.kind_of[device]].bounded:
            return Fraction()
        return max(Fraction(), self.memory(device) - Fraction(self.p.devices[device].capacity_bytes))

    def fits(self) -> bool:
        return not any(self.lack(device) for device in range(len(self.p.devices)))

    def value(self) -> Fraction:
        return max(self.time(device) for device in range(len(self.p.devices)))


def best(problem: GraphProblem) -> Fraction | None:
    """Least value of all assignments that are valid and fit; ``None`` where there is none."""
    tables = Tables(problem)
    least = min((tables.value(held) for held in tables.every() if tables.allowed(held)), default=None)
    return None if least is None else Fraction(least, tables.scale)


class Tables:
    """What each device makes of each set of nodes, sets as bits and times as whole numbers of 1 / scale us."""

    def __init__(self, problem: GraphProblem) -> None:
        self.p = problem
        self.home = {node: c for c in classes(problem) for node in c}
        kinds = zip(problem.devices, problem.kind_of, strict=True)
        self.alike = [(kind, d.speed, d.capacity_bytes, d.base_bytes) for d, kind in kinds]
        times = [us for node in problem.nodes for us in node.times_us if us is not None]
        prices = [tensor.copy_us for tensor in problem.tensors]
        speeds = [Fraction(device.speed).numerator for device in problem.devices]
        self.scale = lcm(*(Fraction(us).denominator for us in (*times, *prices))) * lcm(*speeds)
        self.before = [0] * len(problem.nodes)
        for first, second in ordered_pairs(problem):
            self.before[second] |= 1 << first
        self.load, self.lacks, self.needs = cache(self._load), cache(self._lacks), cache(self._needs)

    def every(self) -> Iterator[list[int]]:
        """Nodes of every device, for all assignments that keep classes together; the first empty one of devices that
        are alike stands for all of those."""
        held = [0] * len(self.p.devices)

        def place(node: int) -> Iterator[list[int]]:
            if node == len(self.p.nodes):
                yield held
                return
            tied = [d for d, nodes in enumerate(held) if nodes & sum(1 << other for other in self.home[node])]
            for device in tied or range(len(held)):
                twins = [d for d in range(device) if self.alike[d] == self.alike[device] and not held[d]]
                runs = self.p.nodes[node].times_us[self.p.kind_of[device]] is not None
                if runs and (held[device] or not twins):
                    held[device] |= 1 << node
                    yield from place(node + 1)
                    held[device] ^= 1 << node

        return place(0)

    def allowed(self, held: Sequence[int]) -> bool:
        return not any(map(self.lacks, range(len(held)), held)) and self.in_order(held)

    def in_order(self, held: Sequence[int]) -> bool:
        """Whether the devices can follow each other: always some device lacks nothing that is not there yet."""
        left, there = list(held), 0
        while left:
            ready = next((nodes for nodes in left if not self.needs(nodes) & ~there), None)
            if ready is None:
                return False
            left.remove(ready)
            there |= ready
        return True

    def value(self, held: Sequence[int]) -> int:
        return max(map(self.load, range(len(held)), held))

    def _load(self, device: int, nodes: int) -> int:
        kind = self.p.kind_of[device]
        times = [self.p.nodes[node].times_us[kind] or 0 for node in bits(nodes)]
        total = sum((Fraction(time) for time in times), Fraction()) / Fraction(self.p.devices[device].speed)
        for tensor in self.p.tensors if self.p.kinds[kind].pays else ():
            touched = set(tensor.readers) | ({tensor.producer} - {None})
            total += Fraction(tensor.copy_us) * (0 < len(touched & bits(nodes)) < len(touched))
        scaled = total * self.scale
        assert scaled.denominator == 1
        return scaled.numerator

    def _lacks(self, device: int, nodes: int) -> bool:
        on_it = [device if node in bits(nodes) else -1 for node in range(len(self.p.nodes))]
        return Literal(self.p, on_it).lack(device) > 0

    def _needs(self, nodes: int) -> int:
        """Nodes elsewhere that come no later."""
        found = 0
        for node in bits(nodes):
            found |= self.before[node]
        return found & ~nodes


@cache
def bits(nodes: int) -> frozenset[int]:
    return frozenset(node for node in range(nodes.bit_length()) if nodes >> node & 1)
