"""What a search works on, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field

from .blocks import Blocks
from .layers import Layer
from .returning import Loads, Row


@dataclass(frozen=True, eq=False)
class Branch:
    """Rows that differ only in where their returns begin and end."""

    rows: tuple[Row, ...]
    loads: Loads
    start: Layer
    devices: int
    """Devices whose first visit is still to come: those below this number."""
    after: int
    """Stages that follow."""
    open: frozenset[int] = frozenset()
    """Devices that hold returns and await their first visit."""
    ceiling: int = 64
    """Devices above it hold no sequential unit any more: a later one is on this device."""


@dataclass
class Found:
    """The best way so far."""

    values: tuple[float, ...] | None = None
    row: Row = field(default_factory=Row)
    segments: dict[int, tuple[int, int]] = field(default_factory=dict)

    def stages(self) -> list[tuple[int, int, int]]:
        """(start, stop, device), ascending."""
        first = [(start, stop, device) for device, (start, stop) in self.segments.items()]
        return sorted(first + [(r.start, r.stop, r.device) for r in self.row.returns])


def units_of(blocks: Blocks, found: Found) -> tuple[int, ...]:
    """Device per unit."""
    edges = blocks.edges.tolist()
    return tuple(device for start, stop, device in found.stages() for _ in range(edges[start], edges[stop]))
