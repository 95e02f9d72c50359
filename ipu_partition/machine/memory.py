"""The named terms of memory, and how gaps and the fullest tile turn them into a limit.

Every number given to a planner is the sum of a table kept here, so a device's total can be taken apart again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .constants import MemoryModel

TERMS = (
    "weights",
    "gradient_accumulators",
    "optimizer_state",
    "stash",
    "received",
    "recompute",
    "temporaries",
    "weight_update",
    "vertex_code",
    "vertex_state",
    "exchange_code",
    "control_code",
    "imbalance",
)
"""Names shown to users, in the order shown."""


@dataclass(frozen=True, slots=True)
class UnitTerms:
    """Memory of one unit by term, in bytes."""

    resident: Mapping[str, int]
    """Of parameters that no other unit needs."""
    code: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GroupTerms:
    """Memory of something units share, by term, in bytes."""

    name: str
    shared: Mapping[str, int]


def add(*tables: Mapping[str, int]) -> dict[str, int]:
    """The sum of tables, term by term."""
    total: dict[str, int] = {}
    for table in tables:
        for name, bytes_ in table.items():
            total[name] = total.get(name, 0) + bytes_
    return total


def imbalance_bytes(tiles: int, model: MemoryModel) -> int:
    """What the fullest tile holds beyond the mean, times the tiles. A program fails when one tile is full, so this is
    memory lost on the others."""
    return tiles * model.tile_imbalance_bytes


def gaps_bytes(total_bytes: int, model: MemoryModel) -> int:
    """Unused bytes between variables: a share of all terms, rounded up."""
    return -(-total_bytes * model.gaps_permille // 1000)


def usable_bytes(capacity_bytes: int, model: MemoryModel) -> int:
    """The most bytes that all terms may take: those to which :func:`gaps_bytes` can be added."""
    return capacity_bytes * 1000 // (1000 + model.gaps_permille)
