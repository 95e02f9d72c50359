"""Topological orders that differ in what they keep together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count as counter
from itertools import islice
from random import Random

import numpy as np

from ..graph.blocks import Blocks

Key = Callable[[int, int], tuple[float, ...]]
"""Of a block and of how many blocks were placed when it became ready: the least goes first."""

MOST_COMPARED = 64
"""Blocks that are ready, the last ones, of which the next is chosen by what it opens."""


def orders_of(blocks: Blocks, most: int, over: Callable[[], bool] = lambda: False) -> Iterator[list[int]]:
    """At most so many orders, each once and the same every time: as numbered, the one that keeps the fewest tensors
    open, depth first, breadth first, the longest way to the end first or last, each also from the end; then depth first
    at random."""
    seen: set[tuple[int, ...]] = set()
    for order in _candidates(blocks, most, over):
        if tuple(order) not in seen:
            seen.add(tuple(order))
            yield order
        if len(seen) == most:
            return


def _candidates(blocks: Blocks, most: int, over: Callable[[], bool]) -> Iterator[list[int]]:
    size = len(blocks.members)
    yield list(range(size))
    forth = _Graph(size, blocks.before)
    back = _Graph(size, [(late, early) for early, late in blocks.before])
    work = _least_work(blocks)
    for graph, turned in ((forth, False), (back, True)):
        order = _open_least(blocks, graph, over)
        if over():
            return
        yield order[::-1] if turned else order
    for graph, turned in ((forth, False), (back, True)):
        tail = graph.longest(work)
        for key in (_depth_first, _breadth_first, _by(tail, -1), _by(tail, 1)):
            order = graph.sorted(key)
            yield order[::-1] if turned else order
    for seed in range(4 * most):
        graph, turned = ((forth, False), (back, True))[seed % 2]
        drawn = Random(seed)
        salt = [drawn.random() for _ in range(size)]
        order = graph.sorted(_salted(salt))
        yield order[::-1] if turned else order


def _depth_first(block: int, when: int) -> tuple[float, ...]:
    return (-when, block)


def _breadth_first(block: int, when: int) -> tuple[float, ...]:
    return (when, block)


def _by(values: Sequence[float], sign: int) -> Key:
    return lambda block, when: (sign * values[block], -when, block)


def _salted(salt: Sequence[float]) -> Key:
    return lambda block, when: (-when, salt[block])


class _Graph:
    def __init__(self, count: int, pairs: Sequence[tuple[int, int]]) -> None:
        self.after: list[list[int]] = [[] for _ in range(count)]
        self.needs = [0] * count
        for early, late in pairs:
            self.after[early].append(late)
            self.needs[late] += 1

    def sorted(self, key: Key) -> list[int]:
        """Of the blocks that are ready always the one with the least key."""
        needs, found = list(self.needs), list[int]()
        ready = [(key(block, 0), block) for block, need in enumerate(needs) if not need]
        heapify(ready)
        while ready:
            _, block = heappop(ready)
            found.append(block)
            for late in self.after[block]:
                needs[late] -= 1
                if not needs[late]:
                    heappush(ready, (key(late, len(found)), late))
        return found

    def longest(self, work: Sequence[float]) -> list[float]:
        """Per block the most work on any way from it to the end."""
        found = list(work)
        for block in reversed(self.sorted(_breadth_first)):
            found[block] += max((found[late] for late in self.after[block]), default=0.0)
        return found


def _least_work(blocks: Blocks) -> list[float]:
    work = np.array([pool.work_us for pool in blocks.pools]).min(axis=0)
    return [float(us) for us in work]


def _open_least(blocks: Blocks, graph: _Graph, over: Callable[[], bool]) -> list[int]:
    """Of the ready blocks always the one after which the tensors that are made or read on both sides cost least; of
    those the one that became ready last. Unfinished where it is over."""
    left = [len(touched) for touched, _ in blocks.tensors]
    of: list[list[int]] = [[] for _ in blocks.members]
    for index, (touched, _) in enumerate(blocks.tensors):
        for block in touched:
            of[block].append(index)
    needs, found, ticks = list(graph.needs), list[int](), counter()
    ready = {block: next(ticks) for block, need in enumerate(needs) if not need}
    size = [len(touched) for touched, _ in blocks.tensors]

    def change(block: int) -> float:
        opened = sum(blocks.tensors[t][1] for t in of[block] if left[t] == size[t])
        return opened - sum(blocks.tensors[t][1] for t in of[block] if left[t] == 1)

    while ready and (len(found) % MOST_COMPARED or not over()):
        block = min(islice(reversed(ready), MOST_COMPARED), key=lambda b: (change(b), -ready[b]))
        del ready[block]
        found.append(block)
        for index in of[block]:
            left[index] -= 1
        for late in graph.after[block]:
            needs[late] -= 1
            if not needs[late]:
                ready[late] = next(ticks)
    return found
