"""What must be guessed before the rest is a chain: the stages that return to a visited device.

A *skeleton* fixes how many devices are used and every return: which blocks, on which device, after how many first
visits. Everything else is one segment of blocks per used device, in device order, filling the gaps between the
returns. Given the skeleton, stage numbers are known, and time and memory of a device depend on its own segment
only: that is what makes dynamic programming exact.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Return:
    """Blocks ``start`` to ``stop - 1`` form a stage on ``device``, which was visited before."""

    start: int
    stop: int
    device: int
    after: int
    """Used devices first visited before this stage."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Where the segment of one used device may lie: between ``low`` and ``high``."""

    low: int
    high: int
    landing: int | None
    """If not None, the segment must end at ``high``, and the next one begins here, after the returns between."""


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Used devices are numbered 0, 1, ... by first visit: their *rank*. Without skipped devices rank = device."""

    blocks: int
    used: int
    returns: tuple[Return, ...] = ()

    @property
    def stages(self) -> int:
        return self.used + len(self.returns)

    def stage_of(self, rank: int) -> int:
        """Stage number of the first visit of rank ``rank``."""
        return rank + sum(r.after <= rank for r in self.returns)

    def returns_to(self, device: int) -> tuple[tuple[int, int, int], ...]:
        """(start, stop, stage number) of the returns to a device."""
        return tuple((r.start, r.stop, r.after + i) for i, r in enumerate(self.returns) if r.device == device)

    def deadline(self, device: int) -> int:
        """A rank must be below this to be that of ``device``: it is visited before its first return."""
        return min((r.after for r in self.returns if r.device == device), default=self.used)

    def gap(self, rank: int) -> Gap:
        low = max((r.stop for r in self.returns if r.after <= rank), default=0)
        high = min((r.start for r in self.returns if r.after > rank), default=self.blocks)
        landing = max((r.stop for r in self.returns if r.after == rank + 1), default=None)
        return Gap(low, high, landing)

    def complete(self) -> bool:
        """Whether the returns leave every used device a block, and no block to nobody."""
        marks = [(0, 0), *((r.start, r.after) for r in self.returns), (self.blocks, self.used)]
        begins = [0, *(r.stop for r in self.returns)]
        return all(
            _fills(blocks=high - low, devices=after - before)
            for low, (_, before), (high, after) in zip(begins, marks, marks[1:], strict=False)
        )

    def with_return(self, last: Return) -> Skeleton:
        return Skeleton(self.blocks, self.used, (*self.returns, last))


def _fills(blocks: int, devices: int) -> bool:
    return blocks >= devices and (blocks == 0) == (devices == 0)
