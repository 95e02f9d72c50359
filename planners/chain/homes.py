"""What pins, ties, forbidden cuts and the order of visits say about single units, before any search."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

from ..problem import Problem


class ContradictionError(Exception):
    """Two constraints that no assignment can obey; the message names both."""


@dataclass(frozen=True, slots=True)
class Homes:
    """Sets of units that must share a device, and the device where one is certain."""

    cluster: tuple[int, ...]
    """Per unit: the first unit of its set."""
    known: dict[int, tuple[int, str, int]]
    """Per set: device and why, in words, and the unit of which that is said."""

    @classmethod
    def of(cls, problem: Problem) -> Homes:
        """Raises :class:`ContradictionError`."""
        homes = cls(_clusters(problem), {})
        if not problem.allow_empty:
            homes._settle(
                0, 0, f"unit {problem.units[0].name!r} comes first and every device must hold a unit, so is on device 0"
            )
        for unit, device in problem.pins:
            homes._settle(unit, device, f"unit {problem.units[unit].name!r} is pinned to device {device}")
        homes._check_order(problem)
        homes._check_count(problem)
        homes._check_places(problem)
        return homes

    def device(self, unit: int) -> int | None:
        return self.known[self.cluster[unit]][0] if self.cluster[unit] in self.known else None

    def _settle(self, unit: int, device: int, why: str) -> None:
        other, reason, first = self.known.setdefault(self.cluster[unit], (device, why, unit))
        if other != device:
            bound = "" if first == unit else ", and ties or forbidden cuts keep the two on one device"
            raise ContradictionError(f"{why}, but {reason}{bound}")

    def _check_places(self, problem: Problem) -> None:
        """Every lower device is visited before, and holds something."""
        before = [0, *accumulate(int(unit not in problem.forbidden_cuts) for unit in range(len(problem.units) - 1))]
        for unit, device in problem.pins if not problem.allow_empty else ():
            if before[unit] < device:
                raise ContradictionError(
                    f"unit {problem.units[unit].name!r} is pinned to device {device}, but each of the {device} devices "
                    f"before must hold a unit, and at most {before[unit]} can with what comes before that unit"
                )

    def _check_order(self, problem: Problem) -> None:
        layers = [unit for unit in sorted(problem.sequential) if self.device(unit) is not None]
        for early, late in pairwise(layers):
            (before, why, _), (after, because, _) = (self.known[self.cluster[unit]] for unit in (early, late))
            if before > after:
                names = f"{problem.units[early].name!r} comes before {problem.units[late].name!r}"
                raise ContradictionError(f"sequential unit {names}, but {why} and {because}")

    def _check_count(self, problem: Problem) -> None:
        free, devices = len(set(self.cluster)), len(problem.devices)
        if devices > free and not problem.allow_empty:
            raise ContradictionError(
                f"each of {devices} devices must hold a unit, but ties and forbidden cuts "
                f"leave only {free} set{'s' if free > 1 else ''} of units to part"
            )


def _clusters(problem: Problem) -> tuple[int, ...]:
    """First unit of the set of each unit, by union and find."""
    first = list(range(len(problem.units)))

    def find(unit: int) -> int:
        while first[unit] != unit:
            first[unit] = unit = first[first[unit]]
        return unit

    together: list[tuple[int, ...]] = [(unit, unit + 1) for unit in sorted(problem.forbidden_cuts)]
    together += [group.members for group in problem.groups if group.colocate]
    for members in together:
        for unit in members[1:]:
            one, other = sorted((find(members[0]), find(unit)))
            first[other] = one
    return tuple(find(unit) for unit in range(len(first)))
