"""Every skeleton worth looking at, in a fixed order: few and small returns first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from .blocks import Blocks
from .budgets import Budget
from .skeleton import Return, Skeleton
from .spans import Bools


class Search:
    """Depth first over the returns, left to right. A branch is left where a budget or ``hopeless`` says so."""

    def __init__(self, blocks: Blocks, budgets: Sequence[Budget], hopeless: Callable[[Skeleton], bool]) -> None:
        """``hopeless`` is told a skeleton that more returns, all after those it has, may complete."""
        self._blocks, self._budgets, self._hopeless = blocks, budgets, hopeless
        self._allowed = [_returns(blocks, device) for device in range(len(blocks.problem.devices))]

    def skeletons(self) -> Iterator[Skeleton]:
        """All complete ones, many devices first. Whether one has a legal assignment is for the caller to find out."""
        devices, blocks = len(self._blocks.problem.devices), len(self._blocks)
        for used in range(min(devices, blocks), 0 if self._blocks.problem.allow_empty else devices - 1, -1):
            root = Skeleton(blocks, used)
            if self._admitted(root):
                yield from self._below(root)

    def _below(self, skeleton: Skeleton) -> Iterator[Skeleton]:
        latest = self._latest_start(skeleton)
        if latest == len(self._blocks) and skeleton.complete():
            yield skeleton
        for larger in self._larger(skeleton, latest):
            if self._blocks.may_return_after(larger.returns[-1].stop):
                if not self._hopeless(larger):
                    yield from self._below(larger)
            elif larger.complete():
                yield larger

    def _latest_start(self, skeleton: Skeleton) -> int:
        """The next return starts here at the latest: the block here belongs to a device visited before it."""
        home, stop = self._blocks.home, skeleton.returns[-1].stop if skeleton.returns else 0
        highest = max((h for h in home[:stop] if h is not None), default=-1) + 1
        for block in range(stop, len(home)):
            device = home[block]
            if device is not None and device < highest:
                return block
            highest = highest if device is None else device
        return len(home)

    def _larger(self, skeleton: Skeleton, latest: int) -> Iterator[Skeleton]:
        """With one more return, the lightest first. Budgets are asked again for each: they may have shrunk."""
        before = skeleton.returns[-1] if skeleton.returns else Return(0, 0, -1, 0)
        found = [(d, *span) for d in range(len(self._allowed)) for span in self._onto(skeleton, d, before, latest)]
        weight = self._blocks.measures.compute_us
        for device, start, stop in sorted(found, key=lambda f: (weight[f[1], f[2]], f)):
            for after in self._ranks(skeleton, before, start, stop, device):
                larger = skeleton.with_return(Return(start, stop, device, after))
                if self._admitted(larger):
                    yield larger

    def _admitted(self, skeleton: Skeleton) -> bool:
        return all(budget.admits(skeleton) for budget in self._budgets)

    def _onto(self, skeleton: Skeleton, device: int, before: Return, latest: int) -> list[list[int]]:
        """[start, stop] of the spans that may return to the device."""
        spans = self._allowed[device] & self._in_order(skeleton, device, before)
        spans[latest + 1 :] = False
        for budget in self._budgets:
            if spans.any():
                spans &= budget.spans(skeleton, device)
        found: list[list[int]] = np.argwhere(spans).tolist()
        return found

    def _in_order(self, skeleton: Skeleton, device: int, before: Return) -> Bools:
        """Spans after the last return, not a continuation of it, sequential units not stepping back or over others."""
        layers, blocks = self._blocks.measures.sequential, len(self._blocks)
        start = np.arange(blocks + 1)
        holds = layers[None, :] > layers[:, None]
        late = start >= (before.stop + 1 if before.device == device else before.stop)
        joined = (start == before.stop) & (before.stop > 0)
        stuck = np.diff(layers, prepend=0) > 0  # the unit before is sequential, and lower devices lie behind it
        higher = any(r.device > device and layers[r.stop] > layers[r.start] for r in skeleton.returns)
        free = ~(stuck & ~joined) & (not higher)
        order: Bools = late[:, None] & (free[:, None] | ~holds)
        return order

    def _ranks(self, skeleton: Skeleton, before: Return, start: int, stop: int, device: int) -> range:
        """How many used devices may be visited before the return: all if nothing follows, ``device`` among them."""
        if start == before.stop:
            return range(before.after, before.after + 1)
        spare = len(self._allowed) - skeleton.used
        least = skeleton.used if stop == len(self._blocks) else max(before.after + 1, device + 1 - spare)
        return range(least, min(skeleton.used, before.after + start - before.stop) + 1)


def _returns(blocks: Blocks, device: int) -> Bools:
    """Spans that may be a stage returning to the device: with a reason, without strangers, not to be prolonged."""
    reasons = blocks.returning(device)
    strangers = blocks.any_of(blocks.strangers[device])
    allowed: Bools = np.triu(np.ones(reasons.shape, bool), 1) & (reasons > 0) & (strangers == 0)
    allowed[0] = False
    for block, home in enumerate(blocks.home):
        if home == device:
            allowed[block + 1, :] = allowed[:, block] = False
    for members in blocks.ties:
        holds = blocks.any_of(members) > 0
        for member in members:
            allowed[member + 1] &= ~holds[member + 1]
            allowed[:, member] &= ~holds[:, member]
    return allowed
