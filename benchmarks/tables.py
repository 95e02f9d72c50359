"""What the planners' benchmark prints: Markdown tables of what it measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, first column to the left."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in (padded[0], rule, *padded[1:]))


def quality_table(rows: Sequence[dict[str, Any]], planners: Sequence[str]) -> str:
    def cells(row: dict[str, Any]) -> list[str]:
        optimum = f"{'' if row['proved'] else '≥ '}{row['bound_us']:.0f}"
        return [row["problem"], optimum, *(_ratio(row["answers"].get(planner)) for planner in planners)]

    return table(("cycle time over the optimum", "optimum, us", *planners), map(cells, rows))


def _ratio(found: dict[str, Any] | None) -> str:
    if found is None or found["ratio"] is None:
        return "–"
    return f"{found['ratio']:.3f}" if found["fits"] else f"({found['ratio']:.3f})"


def seconds_table(rows: Sequence[dict[str, Any]], planners: Sequence[str]) -> str:
    def cells(row: dict[str, Any]) -> list[str]:
        found = (row["answers"].get(planner) for planner in planners)
        return [row["problem"], *("–" if f is None else f"{f['seconds']:.4f}" for f in found)]

    return table(("seconds", *planners), map(cells, rows))


def summary_table(rows: Sequence[dict[str, Any]], planners: Sequence[str]) -> str:
    def cells(planner: str) -> list[str]:
        asked = [row["answers"][planner] for row in rows if planner in row["answers"]]
        ratios = [a["ratio"] for a in asked if a["fits"] and a["ratio"] is not None]
        fit = sum(a["fits"] for a in asked)
        numbers = [f"{median(ratios):.3f}", f"{max(ratios):.3f}"] if ratios else ["–", "–"]
        return [planner, f"{fit} of {len(asked)}", *numbers, f"{max((a['seconds'] for a in asked), default=0.0):.4f}"]

    head = ("planner", "obeys and fits", "median ratio there", "worst ratio there", "longest, s")
    return table(head, map(cells, planners))


def growth_table(rows: Sequence[dict[str, Any]]) -> str:
    head = (
        "growth of chain",
        "units",
        "devices",
        "answer",
        "first, s",
        "best, s",
        "added, MB",
        "peak, MB",
        "added, B per unit x device",
    )
    return table(
        head,
        [
            (
                row["problem"], str(row["units"]), str(row["devices"]),
                row["kind"] + (f" {row['gap']:.1%}" if row["gap"] else ""),
                f"{row['first_s']:.4f}", f"{row['best_s']:.4f}",
                f"{row['added_bytes'] / 2**20:.1f}", f"{row['peak_bytes'] / 2**20:.1f}",
                f"{row['added_bytes_per_cell']:.0f}",
            )
            for row in rows
        ],
    )  # fmt: skip
