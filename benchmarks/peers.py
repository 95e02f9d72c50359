"""How other public tools part a chain, as planners under their names: baselines of the benchmark.

Reimplemented from the published packages (torchgpipe 0.0.7, BSD-3-Clause; deepspeed 0.19.8, Apache-2.0, and 0.8.3, MIT;
accelerate 1.15.0, Apache-2.0), which need a GPU build of PyTorch or a live model where plain numbers do. The choices
are theirs to the last tie-break; loops are arranged for NumPy and sums kept where that changes no result, so seconds
flatter them.

They know one weight per layer and nothing of ties, pins, stashes or copies. Each gets the most favourable reading: a
row of items without a tie in it. Units that may not be parted are one item; what is tied to the first units (a head to
its embedding) is weighed with them and moved home afterwards. ``evaluate`` judges the result like every other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from planners import Device, Infeasible, Problem, Solution
from planners.layers import judged, weight_bytes, work_us
from planners.row import Row, row_of

Split = Callable[[Sequence[float], Sequence[Device]], list[int]]
"""From the weights of the items and the devices to the end of each device's run."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A planner that splits one row of weights."""

    name: str
    weigh: Callable[[Problem], Sequence[float]]
    split: Split
    most_units: int = 100_000
    """Beyond these it would take minutes."""

    def __call__(self, problem: Problem) -> Solution:
        row = row_of(problem)
        items = _items(row, self.weigh(problem))
        try:
            ends = self.split(items, problem.devices)
        except ValueError as error:
            return Infeasible(self.name, str(error))
        first = len(items) - len(row.blocks)
        return judged(problem, self.name, "its split", row.assignment([max(0, end - first) for end in ends]))


def _items(row: Row, weights: Sequence[float]) -> list[float]:
    """Weights of what is fixed to device 0, if anything, and of the blocks."""
    units = (*(row.fixed[:1] if row.fixed[0] else ()), *row.blocks)
    return [sum(weights[unit] for unit in item) for item in units]


def block_partition(weights: Sequence[float], parts: int) -> list[int]:
    """torchgpipe's: from equal counts, move one item at a time to the lightest part from its neighbour, until heaviest
    and lightest differ by no more than the span of the items. ValueError for fewer items than parts.

    Source: torchgpipe/balance/blockpartition.py (0.0.7), after Bárány and Grinberg, "Block partitions of sequences".
    """
    if len(weights) < parts:
        raise ValueError(f"block partition has {len(weights)} items for {parts} parts")
    low, span = min(weights), max(weights) - min(weights)
    scaled = [(weight - low) / span if span else 0 for weight in weights]
    ends = [len(weights) // parts * (part + 1) for part in range(parts - 1)] + [len(weights)]
    sizes = [sum(scaled[start:end]) for start, end in pairwise([0, *ends])]
    while True:
        most, heaviest = max((size, part) for part, size in enumerate(sizes))
        while True:
            least, lightest = min((size, part) for part, size in enumerate(sizes))
            if most <= least + 1:
                return ends
            giver = lightest - 1 if heaviest < lightest else lightest + 1
            if giver < lightest:
                ends[giver] -= 1
            else:
                ends[lightest] += 1
            for part in (giver, lightest):
                sizes[part] = sum(scaled[ends[part - 1] if part else 0 : ends[part]])
            if giver == heaviest:
                break


def partition_balanced(weights: Sequence[float], parts: int) -> list[int]:
    """DeepSpeed's today: dynamic programming on the difference between heaviest and lightest part, of prefixes.

    Source: deepspeed/runtime/utils.py (0.19.8), `partition_balanced`; there three nested loops in Python.
    """
    import numpy as np

    count = len(weights)
    if count <= parts:
        return [min(part, count) for part in range(1, parts + 1)]
    most, least = (np.full((count + 1, parts + 1), np.inf) for _ in range(2))
    begin = np.zeros((count + 1, parts + 1), dtype=int)
    before = np.concatenate(([0.0], np.cumsum(np.asarray(weights, dtype=float))))
    most[0, 0] = 0.0
    for stop in range(1, count + 1):
        into = min(stop, parts)
        last = (before[stop] - before[:stop])[:, None]
        highest, lowest = np.maximum(most[:stop, :into], last), np.minimum(least[:stop, :into], last)
        start = stop - 1 - np.argmin((highest - lowest)[::-1], axis=0)
        columns = np.arange(into)
        most[stop, 1 : into + 1], least[stop, 1 : into + 1] = highest[start, columns], lowest[start, columns]
        begin[stop, 1 : into + 1] = start
    ends = [count]
    for part in range(parts, 1, -1):
        ends.append(int(begin[ends[-1], part]))
    return ends[::-1]


def partition_balanced_by_bisection(weights: Sequence[float], parts: int, eps: float = 1e-3) -> list[int]:
    """DeepSpeed's until 2023: the least bottleneck by bisection, each tried with a linear probe.

    Source: deepspeed/runtime/utils.py (0.8.3), `partition_balanced`, `_rb_partition_balanced`, `_lprobe`.
    """
    count = len(weights)
    if count <= parts:
        return [min(part, count) for part in range(1, parts + 1)]
    before = list(accumulate(weights))
    lower, upper = before[-1] / parts, before[-1]
    while upper > lower + eps:
        middle = lower + (upper - lower) / 2
        if _probe(before, parts, middle)[1]:
            upper = middle
        else:
            lower = middle + eps
    ends, enough = _probe(before, parts, upper)
    if not enough:
        raise ValueError("partition_balanced fails its own assertion")
    return ends


def _probe(before: Sequence[float], parts: int, bottleneck: float) -> tuple[list[int], bool]:
    count, chunk = len(before), len(before) // parts
    ends, target, step = [count] * parts, bottleneck, chunk
    for part in range(parts - 1):
        while step < count and before[step] < target:
            step += chunk
        ends[part] = bisect_left(before, target, lo=step - chunk, hi=min(step, count))
        if ends[part] == count:
            return ends, before[-1] - before[ends[part - 1] if part else 0] < bottleneck
        target = before[ends[part] - 1] + bottleneck
    return ends, target >= before[-1]


def infer_device_map(sizes: Sequence[float], capacities: Sequence[int]) -> list[int]:
    """accelerate's: fill the devices in order; the first keeps room for the largest layer still to come.

    What accelerate would offload to disk goes to the last device here.
    Source: accelerate/utils/modeling.py (1.15.0), `infer_auto_device_map`, for layers without children or ties.
    """
    largest = [*accumulate(reversed(sizes[1:]), max, initial=0.0)][::-1]
    ends, used = list[int](), 0.0
    for item, size in enumerate(sizes):
        while len(ends) < len(capacities) - 1:
            if used + size <= capacities[len(ends)] - (0 if ends else largest[item]):
                break
            ends.append(item)
            used = 0.0
        used += size
    return [*ends, *[len(sizes)] * (len(capacities) - len(ends))]


def balanced_capacities(sizes: Sequence[float], capacities: Sequence[int]) -> list[int]:
    """What accelerate lets each device take for ``device_map="balanced"``: an equal share and 1.25 mean layers.

    Source: accelerate/utils/modeling.py (1.15.0), `get_balanced_memory`.
    """
    if len(capacities) == 1:
        return list(capacities)
    layers = [size for size in sizes if size]
    share = int(sum(sizes)) // len(capacities) + int(1.25 * int(sum(layers) / max(len(layers), 1)))
    return [*(min(share, capacity) for capacity in capacities[:-1]), capacities[-1]]


def _by_count(split: Callable[[Sequence[float], int], list[int]]) -> Split:
    return lambda weights, devices: split(weights, len(devices))


def _filled(weights: Sequence[float], devices: Sequence[Device]) -> list[int]:
    return infer_device_map(weights, [device.capacity_bytes for device in devices])


def _filled_evenly(weights: Sequence[float], devices: Sequence[Device]) -> list[int]:
    capacities = balanced_capacities(weights, [device.capacity_bytes for device in devices])
    return infer_device_map(weights, capacities)


PEERS = (
    Peer("torchgpipe by time", work_us, _by_count(block_partition)),
    Peer("torchgpipe by size", weight_bytes, _by_count(block_partition)),
    Peer("deepspeed by time", work_us, _by_count(partition_balanced), most_units=5_000),
    Peer("deepspeed by parameters", weight_bytes, _by_count(partition_balanced), most_units=5_000),
    Peer("deepspeed 0.8.3 by time", work_us, _by_count(partition_balanced_by_bisection)),
    Peer("deepspeed 0.8.3 by parameters", weight_bytes, _by_count(partition_balanced_by_bisection)),
    Peer("accelerate auto", weight_bytes, _filled),
    Peer("accelerate balanced", weight_bytes, _filled_evenly),
)
