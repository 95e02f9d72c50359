"""How far predictions are from everything published: memory, measured compiles, rates and plans.

    python benchmarks/fidelity.py [--only memory|compiles|rates|plans] [--fit] [--jobs N] [--json FILE]

*Memory*: the fullest IPU of every published configuration, gaps and the fullest tile included, against what is known.
*Compiles*: bytes in use on single IPUs of real compiles. *Rates*: samples per second; those in brackets are shown and
not scored, for the reason given. *Plans*: our predicted cycle over that of the published layers, same workload.

`--fit` also fits the time model's constants to all rates but those of one family, for each family, and predicts that
family: minutes. Records and sources are in `data/`. The first run traces some 80 models: minutes, unless the
environment variable IPU_PARTITION_FIDELITY_CACHE names a folder where their cost graphs are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before benchmarks/, where `planners` is a file

from benchmarks import fitting, judging, records, scores
from benchmarks.tables import table

MIB = 2**20
Row = dict[str, Any]


def memory_table(rows: Sequence[Row]) -> str:
    def cells(row: Row) -> list[str]:
        known = {True: "fits", False: "does not", None: "unknown"}[row.get("known_to_fit")]
        verdict = {True: "right", False: "WRONG", None: ""}[scores.right(row)]
        if "error" in row:
            return [row["id"], "–", "–", "–", "–", known, f"{verdict}: {row['error']}"]
        full = f"{row['fullest_share']:.0%}"
        return [
            row["id"], layers(row["layers_per_ipu"]), str(row["fullest_ipu"]), full,
            f"{row['margin_bytes'] / MIB:.0f}", known, verdict,
        ]  # fmt: skip

    head = ("configuration", "layers per IPU", "fullest IPU", "of its memory", "margin, MiB", "known", "prediction")
    return table(head, map(cells, rows))


def memory_summary(found: Row) -> list[str]:
    low, middle, high = found["expert_quartiles"] or (0.0, 0.0, 0.0)
    return [
        f"{found['right']} of {found['known']} configurations of which it is known are predicted right.",
        *(f"  wrong: {name}" for name in found["wrong"]),
        f"{found['refused']} of {found['impossible']} that run out of memory, or cannot possibly fit, are refused.",
        f"{found['unknown_fit']} of {found['unknown']} of which nothing is known are predicted to fit.",
        f"Fullest IPU of the experts' training configurations that fit: {middle:.0%} in the median, quartiles "
        f"{low:.0%} and {high:.0%}.",
    ]


def compiles_table(rows: Sequence[Row]) -> str:
    def cells(row: Row) -> list[str]:
        if "error" in row:
            return [row["id"], row["error"], "–", "–", "–", "–", "–", "–"]
        tile = row["measured_tile_bytes"]
        return [
            row["id"], row["what"], mb(row["measured_bytes"]), mb(row["predicted_bytes"]),
            f"{row['error_share']:+.1%}", f"{row['limit']:.0%}", str(tile or "–"),
            str(row["predicted_tile_bytes"] if tile else "–"),
        ]  # fmt: skip

    head = (
        "compile", "of it", "measured, MB", "predicted, MB", "error", "limit", "fullest tile, B", "predicted, B",
    )  # fmt: skip
    return table(head, map(cells, rows))


def compile_summary(found: Row) -> list[str]:
    return [f"{found['within']} of {found['compiles']} are within their limit."]


def rates_table(rows: Sequence[Row]) -> str:
    def cells(row: Row) -> list[str]:
        if "error" in row:
            return [row["id"], "–", "–", "–", "–", "–", row["error"]]
        numbers = f"{row['measured']:.1f}", f"{row['predicted']:.1f}", f"{row['error_share']:+.1%}"
        shown = numbers if row["counted"] else tuple(f"({number})" for number in numbers)
        part = row.get("reason") or ("fitted" if row["fitted"] else "held out")
        return [f"{row['id']}: {row['config']}", row["family"], row["machine"], *shown, part]

    head = ("rate", "family", "machine", "measured, 1/s", "predicted, 1/s", "error", "part")
    return table(head, map(cells, rows))


def rate_summary(found: Row) -> list[str]:
    lines = [f"Absolute errors of {words}: {error_words(found[name])}." for name, words in PARTS_OF_RATES.items()]
    ranks = (
        f"{name} {rank_words(group['rank_correlation'])} ({group['rates']})"
        for name, group in found["generations"].items()
    )
    if found["unpredicted"]:
        lines.append(f"Not predicted, though they count: {', '.join(found['unpredicted'])}.")
    return [*lines, f"Rank correlation: {', '.join(ranks)}; their mean {rank_words(found['rank_correlation'])}."]


PARTS_OF_RATES = {
    "all": "all that count",
    "fitted": "the fitted part",
    "held_out": "the part held out",
    "shown": "everything, also what does not count",
}


def error_words(found: Row) -> str:
    if not found["rates"]:
        return "none"
    return f"{found['median']:.1%} in the median, {found['worst']:.1%} at worst ({found['rates']} rates)"


def rank_words(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def families_table(rows: Sequence[Row]) -> str:
    families = sorted({row["family"] for row in rows})
    groups = [(family, scores.errors([row for row in rows if row["family"] == family])) for family in families]
    groups.append(("all", scores.errors(rows)))
    cells = [[family, str(g["rates"]), f"{g['median']:.1%}", f"{g['worst']:.1%}"] for family, g in groups]
    return table(("family left out of the fit", "rates", "median error", "worst error"), cells)


def plans_table(rows: Sequence[Row]) -> str:
    def cells(row: Row) -> list[str]:
        if "error" in row:
            return [row["id"], "–", "–", "–", row["error"]]
        verdict = row["verdict"] if row["their_fit"] else "does not fit by our ruler"
        proof = ", proved optimal" if row["proved"] else ""
        return [
            row["id"],
            layers(row["their_layers"]),
            layers(row["our_layers"]),
            f"{row['ratio']:.3f}",
            verdict + proof,
        ]

    return table(("configuration", "published", "ours", "cycle ratio", "ours is"), map(cells, rows))


def plan_summary(found: Row) -> list[str]:
    ratio = found["median_ratio_where_better"]
    better = f"{found['better']} better" + (f" (median ratio {ratio:.3f})" if ratio else "")
    return [
        f"Of {found['compared']} published layers that fit by our ruler, {found['reproduced']} are reproduced exactly, "
        f"{found['tied']} are as good as ours, ours is {better}, and {found['worse']} worse."
    ]


def layers(counts: Sequence[int]) -> str:
    return " ".join(map(str, counts))


def mb(bytes_: int) -> str:
    return f"{bytes_ / 1e6:.1f}"


Section = tuple[str, Callable[[Sequence[Row]], str], Callable[[Sequence[Row]], Row], Callable[[Row], list[str]]]
SECTIONS: dict[str, Section] = {
    "memory": ("Memory", memory_table, scores.memory_scores, memory_summary),
    "compiles": ("Measured compiles", compiles_table, scores.compile_scores, compile_summary),
    "rates": ("Rates", rates_table, scores.rate_scores, rate_summary),
    "plans": ("Plans", plans_table, scores.plan_scores, plan_summary),
}


def left_out_table() -> str:
    return table(("left out", "why"), ([record["id"], record["reason"]] for record in records.left_out()))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", choices=judging.PARTS)
    p.add_argument("--fit", action="store_true", help="leave one family out")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    p.add_argument("--json", metavar="FILE")
    options = p.parse_args()
    only = [options.only] if options.only else list(judging.PARTS)
    found = judging.evaluate(only=only, jobs=options.jobs)
    report: Row = {part: {"rows": rows, "scores": SECTIONS[part][2](rows)} for part, rows in found.items()}
    for part, (title, made, _, summary) in SECTIONS.items():
        if part in found:
            print(f"## {title}\n\n{made(found[part])}\n\n" + "\n".join(summary(report[part]["scores"])) + "\n")
    if options.fit and "rates" in found:
        rows = fitting.leave_one_family_out(fitting.counted_rates(), jobs=options.jobs)
        report["rates"]["one_family_left_out"] = rows
        print(f"{families_table(rows)}\n")
    if not options.only:
        print(f"## Left out\n\n{left_out_table()}")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
