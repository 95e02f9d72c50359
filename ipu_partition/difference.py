"""What differs between two plans, value by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .document import canonical_json
from .plan import PartitionPlan

KEYS = ("module", "ipu", "name", "index")
"""What tells the rows of a list apart, in order of preference."""
UNSAID = frozenset({"seconds", "verified"})
"""What says nothing about a plan."""
Value = bool | int | float | str | list[Any] | None


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; None where a plan has no such value."""

    path: tuple[str, ...]
    before: Value
    after: Value


def changes(one: PartitionPlan, other: PartitionPlan) -> list[Change]:
    """The values that differ, in the order of the document. Rows of lists are matched by what they name."""
    before, after = (dict(_values(plan.model_dump(mode="json"), ())) for plan in (one, other))
    paths = [*before, *(path for path in after if path not in before)]
    return [Change(p, before.get(p), after.get(p)) for p in paths if before.get(p) != after.get(p)]


def changes_json(found: list[Change]) -> str:
    """`{"changes": [{"path": [...], "before": ..., "after": ...}]}`"""
    return canonical_json({"changes": [asdict(change) for change in found]})


def _values(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Value]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in UNSAID:
                yield from _values(inner, (*path, name))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        yield from _rows(value, path)
    elif value not in ([], None):
        yield path, value


def _rows(rows: list[Mapping[str, Any]], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Value]]:
    key = next((key for key in KEYS if all(key in row for row in rows)), None)
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        name = str(index) if key is None else str(row[key])
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name = f"{name} ({seen[name]})"
        yield from _values({k: v for k, v in row.items() if k != key}, (*path, name))
