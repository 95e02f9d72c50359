"""The problem in blocks: units that may not be parted merged, with what each block brings to a stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from ..evaluate import moved_bytes
from ..problem import Problem, Schedule, Unit

Runs = list[list[tuple[int, int, int]]]
"""Recompute segments as (block, live bytes, largest transient bytes) of their parts."""


@dataclass(frozen=True)
class Blocks:
    """Block ``b`` holds the units from ``edges[b]`` to ``edges[b + 1] - 1``."""

    problem: Problem
    edges: tuple[int, ...]
    of: tuple[int, ...]
    """Block of every unit."""

    @classmethod
    def build(cls, problem: Problem) -> Blocks:
        last = len(problem.units) - 1
        edges = (0, *(unit + 1 for unit in range(last) if unit not in problem.forbidden_cuts), last + 1)
        sizes = enumerate(stop - start for start, stop in pairwise(edges))
        return cls(problem, edges, tuple(block for block, size in sizes for _ in range(size)))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def units(self, block: int) -> tuple[Unit, ...]:
        return self.problem.units[self.edges[block] : self.edges[block + 1]]

    def having(self, units: Iterable[int]) -> tuple[int, ...]:
        """The blocks of some units, ascending."""
        return tuple(sorted({self.of[unit] for unit in units}))

    @property
    def training(self) -> bool:
        return self.problem.schedule is Schedule.TRAINING

    @cached_property
    def layers(self) -> list[int]:
        """Sequential units per block."""
        return [
            sum(unit in self.problem.sequential for unit in range(start, stop)) for start, stop in pairwise(self.edges)
        ]

    @cached_property
    def ties(self) -> list[tuple[int, ...]]:
        """Blocks of every ``colocate`` group that has more than one."""
        found = {self.having(group.members) for group in self.problem.groups if group.colocate}
        return sorted(blocks for blocks in found if len(blocks) > 1)

    @cached_property
    def pins(self) -> set[tuple[int, int]]:
        return {(self.of[unit], device) for unit, device in self.problem.pins}

    @cached_property
    def work_us(self) -> list[float]:
        """At speed 1, in any stage but the last."""
        times = 2 if self.training else 1
        return [
            sum(times * u.forward_us + self.training * u.backward_us for u in self.units(b)) for b in range(len(self))
        ]

    @cached_property
    def saved_us(self) -> list[float]:
        """What is not recomputed in the last stage: the forward pass of units after the last checkpoint of all."""
        saved = [0.0] * len(self)
        for unit in reversed(range(len(self.of) if self.training else 0)):
            if self.problem.units[unit].checkpoint_bytes:
                break
            saved[self.of[unit]] += self.problem.units[unit].forward_us
        return saved

    @cached_property
    def kept_bytes(self) -> list[int]:
        return [sum(unit.resident_bytes + unit.code_bytes for unit in self.units(b)) for b in range(len(self))]

    @cached_property
    def checkpoint_bytes(self) -> list[int]:
        return [sum(unit.checkpoint_bytes for unit in self.units(b)) * self.training for b in range(len(self))]

    @cached_property
    def flows(self) -> dict[tuple[int, tuple[int, ...]], int]:
        """Bytes moved, by making block and reading blocks other than it; the host's tensors are made at the first."""
        flows: dict[tuple[int, tuple[int, ...]], int] = {}
        for tensor in self.problem.tensors:
            source = tensor.readers[:1] if tensor.producer is None else (tensor.producer,)
            readers = self.having(tensor.readers)
            maker = self.having(source)
            self._add(flows, maker[0] if maker else -1, readers, moved_bytes(self.problem, tensor))
        return flows

    @cached_property
    def stashes(self) -> dict[tuple[int, tuple[int, ...]], int]:
        """Bytes stashed per depth, by making block (-1: the host) and reading blocks other than it."""
        stashes: dict[tuple[int, tuple[int, ...]], int] = {}
        for tensor in self.problem.tensors:
            maker = -1 if tensor.producer is None else self.of[tensor.producer]
            self._add(stashes, maker, self.having(tensor.readers), tensor.bytes)
        return stashes

    @staticmethod
    def _add(flows: dict[tuple[int, tuple[int, ...]], int], maker: int, readers: tuple[int, ...], size: int) -> None:
        others = tuple(reader for reader in readers if reader != maker)
        if others and size:
            flows[maker, others] = flows.get((maker, others), 0) + size

    @cached_property
    def cut_us(self) -> list[float]:
        """Per block: copies that are sure where a stage begins with it (read here, made or first read just before)."""
        cuts = [0] * len(self)
        for (maker, readers), size in self.flows.items():
            if maker + 1 in readers:
                cuts[maker + 1] += size
        return [size * self.problem.copy_us_per_byte for size in cuts]

    @cached_property
    def first_us(self) -> list[float]:
        """Per block: copies that are sure where the first stage of a device begins with it (read here, made before)."""
        firsts = [0] * len(self)
        for (_, readers), size in self.flows.items():
            for reader in readers:
                firsts[reader] += size
        return [size * self.problem.copy_us_per_byte for size in firsts]

    @cached_property
    def shared(self) -> dict[tuple[int, ...], int]:
        """Bytes of the groups by the blocks that hold their members."""
        shared: dict[tuple[int, ...], int] = {}
        for group in self.problem.groups:
            if group.members and group.bytes:
                blocks = self.having(group.members)
                shared[blocks] = shared.get(blocks, 0) + group.bytes
        return shared

    @cached_property
    def runs(self) -> Runs:
        """Forward only, every unit is a run of its own that keeps nothing."""
        runs: Runs = []
        fresh = True
        for unit, block in zip(self.problem.units, self.of, strict=True):
            if fresh:
                runs.append([])
            live = unit.live_bytes * self.training
            if runs[-1] and runs[-1][-1][0] == block:
                _, before, most = runs[-1].pop()
                runs[-1].append((block, before + live, max(most, unit.transient_bytes)))
            else:
                runs[-1].append((block, live, unit.transient_bytes))
            fresh = unit.checkpoint_bytes > 0 or not self.training
        return runs

    @cached_property
    def alone_bytes(self) -> list[int]:
        """Working memory that a block needs wherever it is: weight updates, and recompute segments inside it."""
        alone = [0] * len(self)
        for block, size in self._alone():
            alone[block] = max(alone[block], size)
        return alone

    def _alone(self) -> Iterator[tuple[int, int]]:
        for run in self.runs:
            yield from ((block, live + transient) for block, live, transient in run)
        if not self.training:
            return
        yield from ((block, u.update_bytes) for block, u in zip(self.of, self.problem.units, strict=True))
        for group in self.problem.groups:
            yield from ((block, group.update_bytes) for block in self.having(group.members))
