"""Which devices may be used as which: the states that dynamic programming walks through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .skeleton import Skeleton

State = tuple[int, int]
"""(devices decided, used among them)."""
Take = tuple[int, int]
"""(device, rank)."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Which devices may have which rank. ``ranks`` of them are placed; the others of the skeleton are still open.

    Of neighbouring devices that nothing tells apart the first are used, so skipping one skips to the end of its group.
    """

    skeleton: Skeleton
    group_ends: Sequence[int]
    """Per device: the first one after it that differs from it."""
    ranks: int

    @property
    def decided(self) -> int:
        """Devices that are decided once ``ranks`` are placed: enough must stay for the others."""
        return len(self.group_ends) - (self.skeleton.used - self.ranks)

    def takes(self, device: int) -> Iterator[int]:
        """Ranks the device may have."""
        spare = self.decided - self.ranks
        yield from range(max(0, device - spare), min(device + 1, self.ranks, self.skeleton.deadline(device)))

    def skips(self, device: int) -> Iterator[State]:
        """(next device, devices used so far) for all ways to skip the device."""
        after = min(self.group_ends[device], self.decided)
        if not any(r.device in range(device, after) for r in self.skeleton.returns):
            spare = self.decided - self.ranks
            yield from ((after, used) for used in range(max(0, after - spare), min(device, self.ranks) + 1))

    def all_takes(self) -> Iterator[Take]:
        for device in range(self.decided):
            for rank in self.takes(device):
                yield device, rank

    def all_skips(self) -> Iterator[tuple[State, State]]:
        for device in range(self.decided):
            for after, used in self.skips(device):
                yield (device, used), (after, used)

    def landing(self, rank: int) -> int:
        """Block that comes next after all segments and returns up to ``rank`` used devices."""
        gap = self.skeleton.gap(rank - 1)
        return gap.high if gap.landing is None else gap.landing
