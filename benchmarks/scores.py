"""What rows of `judging` say together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import median, quantiles
from typing import Any

Row = dict[str, Any]


def right(row: Row) -> bool | None:
    """Whether the prediction is what is known; None where nothing is. What cannot be judged is wrong."""
    known: bool | None = row.get("known_to_fit")
    return None if known is None else row.get("fits") == known


def memory_scores(rows: Sequence[Row]) -> Row:
    """Counts of the verdicts, and how full the experts' training configurations are that are known to fit."""
    known = [row for row in rows if right(row) is not None]
    experts = [r["fullest_share"] for r in known if r.get("mode") == "training" and r["known_to_fit"] and "fits" in r]
    return {
        "known": len(known),
        "right": sum(right(row) is True for row in known),
        "wrong": [row["id"] for row in known if not right(row)],
        "unknown_fit": sum(bool(row.get("fits")) for row in rows if right(row) is None),
        "unknown": len(rows) - len(known),
        "refused": sum(row.get("fits") is False for row in known if not row["known_to_fit"]),
        "impossible": sum(not row["known_to_fit"] for row in known),
        "expert_quartiles": quantiles(experts, n=4) if len(experts) > 1 else [],
    }


def compile_scores(rows: Sequence[Row]) -> Row:
    within = [row for row in rows if abs(row.get("error_share", float("inf"))) <= row.get("limit", 0.0)]
    return {"compiles": len(rows), "within": len(within)}


def rate_scores(rows: Sequence[Row]) -> Row:
    """Of the rates that count. The rank correlation is within each generation of hardware, and their mean by number."""
    counted = [row for row in rows if row["counted"] and "predicted" in row]
    generations = {}
    for machine, group in groupby(sorted(counted, key=lambda r: str(r["machine"])), key=lambda r: str(r["machine"])):
        found = list(group)
        measured, predicted = ([float(row[name]) for row in found] for name in ("measured", "predicted"))
        generations[machine] = {"rates": len(found), "rank_correlation": rank_correlation(measured, predicted)}
    ranked = [(g["rates"], g["rank_correlation"]) for g in generations.values() if g["rank_correlation"] is not None]
    number = sum(n for n, _ in ranked)
    return {
        "all": errors(counted),
        "fitted": errors([row for row in counted if row["fitted"]]),
        "held_out": errors([row for row in counted if not row["fitted"]]),
        "shown": errors([row for row in rows if "error_share" in row]),
        "unpredicted": [row["id"] for row in rows if row["counted"] and "predicted" not in row],
        "generations": generations,
        "rank_correlation": sum(n * r for n, r in ranked) / number if number else None,
    }


def errors(rows: Sequence[Row]) -> Row:
    """Number, median and largest of the absolute errors."""
    found = [abs(row["error_share"]) for row in rows]
    return {"rates": len(found), "median": median(found) if found else None, "worst": max(found, default=None)}


def plan_scores(rows: Sequence[Row]) -> Row:
    """Of the configurations that fit by our ruler."""
    compared = [row if row["our_fit"] else row | {"verdict": "worse"} for row in rows if row.get("their_fit")]
    counts = {
        word: sum(row["verdict"] == word for row in compared) for word in ("reproduced", "tied", "better", "worse")
    }
    gains = [row["ratio"] for row in compared if row["verdict"] == "better"]
    return {"compared": len(compared), **counts, "median_ratio_where_better": median(gains) if gains else None}


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's, ties sharing their mean rank; None for fewer than three values or where all are equal."""
    if len(one) < 3:
        return None
    a, b = _ranks(one), _ranks(other)
    mean = (len(one) + 1) / 2
    spread = (sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)) ** 0.5
    return sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True)) / spread if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]
