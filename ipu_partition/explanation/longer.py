"""A model with more layers, as a planning problem: a row of units stands there several times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from planners import Problem, SharedGroup, Tensor


@dataclass(frozen=True, slots=True)
class Row:
    """Units of one layer, neighbours."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


def longer(problem: Problem, row: Row, copies: int) -> Problem:
    """`problem` with `copies` more of the units of `row`, right behind them.

    What the row reads and nothing else does comes from the copy before it; what others read too (masks) each copy reads
    from where it was made. What was read of the row comes from the last copy. Copies share what the row shares; no
    pin is copied. How many sequential units a device holds is left open.
    """
    if not copies:
        return problem
    homes, units = _Homes(row, copies), problem.units
    again = [replace(u, name=f"{u.name} ({c + 2})") for c in range(copies) for u in units[row.start : row.stop]]
    return replace(
        problem,
        units=(*units[: row.stop], *again, *units[row.stop :]),
        devices=tuple(replace(device, layers=None) for device in problem.devices),
        tensors=tuple(t for tensor in problem.tensors for t in _tensors(tensor, homes)),
        groups=tuple(_group(group, homes) for group in problem.groups),
        pins=tuple((homes.moved(unit), device) for unit, device in problem.pins),
        forbidden_cuts=frozenset(c for cut in problem.forbidden_cuts for c in homes.everywhere_before(cut)),
        sequential=frozenset(u for unit in problem.sequential for u in homes.everywhere(unit)),
    )


@dataclass(frozen=True, slots=True)
class _Homes:
    """Where units of the problem are in the longer one."""

    row: Row
    copies: int

    def inside(self, unit: int) -> bool:
        return self.row.start <= unit < self.row.stop

    def moved(self, unit: int) -> int:
        """Of the first of its copies."""
        return unit + self.row.size * self.copies if unit >= self.row.stop else unit

    def copy(self, unit: int, number: int) -> int:
        """Of the copy with that number, 0 being the unit itself."""
        return unit + self.row.size * number if self.inside(unit) else self.moved(unit)

    def everywhere(self, unit: int) -> list[int]:
        if not self.inside(unit):
            return [self.moved(unit)]
        return [self.copy(unit, number) for number in range(self.copies + 1)]

    def everywhere_before(self, cut: int) -> list[int]:
        """Cuts behind a unit; that behind the row is behind the last copy alone."""
        last = cut == self.row.stop - 1
        return [self.copy(cut, self.copies)] if last else self.everywhere(cut)


def _tensors(tensor: Tensor, homes: _Homes) -> Iterator[Tensor]:
    inside = [r for r in tensor.readers if homes.inside(r)]
    outside = [r for r in tensor.readers if not homes.inside(r)]
    if tensor.producer is not None and homes.inside(tensor.producer):
        yield from _made_inside(tensor, homes, inside, outside)
    elif inside and not outside and tensor.producer is not None:
        yield from _chained(tensor, homes, inside)
    else:
        producer = None if tensor.producer is None else homes.moved(tensor.producer)
        yield replace(tensor, producer=producer, readers=_sorted(tensor.readers, homes.everywhere))


def _made_inside(tensor: Tensor, homes: _Homes, inside: list[int], outside: list[int]) -> Iterator[Tensor]:
    assert tensor.producer is not None
    for number in range(homes.copies + 1):
        readers = [homes.copy(reader, number) for reader in inside]
        readers += [homes.moved(reader) for reader in outside] if number == homes.copies else []
        if readers:
            yield replace(tensor, producer=homes.copy(tensor.producer, number), readers=tuple(sorted(readers)))


def _chained(tensor: Tensor, homes: _Homes, inside: list[int]) -> Iterator[Tensor]:
    assert tensor.producer is not None
    for number in range(homes.copies + 1):
        maker = homes.copy(homes.row.stop - 1, number - 1) if number else homes.moved(tensor.producer)
        yield replace(tensor, producer=maker, readers=tuple(homes.copy(reader, number) for reader in inside))


def _group(group: SharedGroup, homes: _Homes) -> SharedGroup:
    return replace(group, members=_sorted(group.members, homes.everywhere))


def _sorted(units: Sequence[int], places: Callable[[int], list[int]]) -> tuple[int, ...]:
    return tuple(sorted({place for unit in units for place in places(unit)}))
