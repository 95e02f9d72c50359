"""The planners of graphs: how good, how sure, how fast and how large, each graph in a fresh interpreter.

    python benchmarks/graphs.py [--planner SPEC] [--time-limit S] [--only TEXT] [--section NAME] [--json FILE]

*Public* workloads are those of `workloads/`; `ratio` is the objective over the published optimum, `published, s` the
CPU seconds of the published C++ dynamic program. *Generated* graphs are like those of the public set that are not there
(`generated.py`). *Traced* ones are models with branches at their published sizes, as modules and as operations, in
training, on 2 to 16 devices (`traced.py`). *Order* says what program order costs them: the exact plan of the chain in
program order beside the best plan in any order that was found, and beside the bound of all (`explain --order`).

Objective and bound are milliseconds. Seconds are those of the whole process, from the start of Python to its end, and
`peak, MB` is the sum over its processes. Progress goes to stderr. A model takes seconds to minutes to trace; tracing
is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before benchmarks/, where `planners` is a file

from benchmarks.fresh import fresh
from benchmarks.generated import GENERATED, WORKLOADS, workload
from benchmarks.tables import table

SECTIONS = ("public", "generated", "traced", "order")
DEVICES = (2, 4, 8, 16)
GRANULARITIES = ("module", "op")
DASH = "–"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    planner: str
    time_limit: float | None
    only: str

    def wants(self, name: str) -> bool:
        return self.only.lower() in name.lower()


def public(asked: Asked) -> Iterator[Row]:
    known = json.loads((WORKLOADS / "published.json").read_text(encoding="utf-8"))
    for record in known["workloads"]:
        if asked.wants(record["name"]):
            row = document(record["name"], workload(record["name"]), asked)
            yield {**row, "optimum": record["optimum"], "published_s": record["seconds"]}


def generated(asked: Asked) -> Iterator[Row]:
    for name, make in GENERATED.items():
        if asked.wants(name):
            yield document(name, make(), asked)


def document(name: str, graph: dict[str, Any], asked: Asked) -> Row:
    """As `python -m planners solve` answers."""
    limit = [] if asked.time_limit is None else ["--time-limit", str(asked.time_limit)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.json"
        file.write_text(json.dumps(graph), encoding="utf-8")
        command = ["-m", "planners", "solve", str(file), "--planner", asked.planner, *limit]
        told(name)
        out, seconds, peak = fresh(command)
    devices = f"{graph['maxFPGAs']} + {graph['maxCPUs']}"
    return measured(name, len(graph["nodes"]), devices, json.loads(out), seconds, peak)


def measured(name: str, nodes: int, devices: str, answer: Row, seconds: float, peak: float) -> Row:
    kept = {key: answer[key] for key in ("status", "objective", "lower_bound", "gap")}
    return {"workload": name, "nodes": nodes, "devices": devices, **kept, "seconds": seconds, "peak_mb": peak}


def traced(asked: Asked) -> Iterator[Row]:
    from benchmarks.traced import MODELS, problem
    from ipu_partition.order import graph_of

    for model in MODELS:
        for granularity in GRANULARITIES:
            for devices in DEVICES:
                name = f"{model}, {granularity}, {devices}"
                if asked.wants(name):
                    told(name)
                    graph = graph_of(*problem(model, devices), granularity=granularity)
                    command = [__file__, "--solve", json.dumps([asked.planner, asked.time_limit])]
                    out, seconds, peak = fresh(command, pickle.dumps(graph))
                    yield measured(name, len(graph.nodes), str(devices), json.loads(out), seconds, peak)


def order(asked: Asked) -> Iterator[Row]:
    """The price of program order, as `explain --order` finds it."""
    from benchmarks.traced import MODELS, problem
    from ipu_partition.order import Subject, priced

    planner, limit = asked.planner, asked.time_limit or 25.0
    for model in MODELS:
        for devices in DEVICES:
            name = f"{model}, module, {devices}"
            if asked.wants(name):
                told(f"order: {name}")
                found = priced(Subject(*problem(model, devices), "module"), planner=planner, time_limit=limit)
                yield {
                    "workload": name,
                    "units": found.units,
                    "program": found.program and found.program.value_us / 1000,
                    "best": found.best and found.best.value_us / 1000,
                    "lower_bound": found.lower_bound_us / 1000 if found.best else None,
                    "loss": found.loss,
                    "most_loss": found.most_loss,
                    "seconds": found.seconds,
                }


def solved(spec: str, time_limit: float | None) -> Row:
    """The answer to the pickled graph on the standard input, in milliseconds."""
    from dataclasses import replace

    from planners import Infeasible, parse, solve

    planner = parse(spec)
    if time_limit is not None:
        planner = replace(planner, time_limit=time_limit)  # type: ignore[type-var]
    found = solve(pickle.load(sys.stdin.buffer), planner)
    status = type(found).__name__.lower()
    if isinstance(found, Infeasible):
        return {"status": status, "objective": None, "lower_bound": None, "gap": None}
    bound, value = found.lower_bound / 1000, found.evaluation.objective_us / 1000
    return {"status": status, "objective": value, "lower_bound": bound, "gap": found.gap}


def rows_table(head: str, rows: Iterable[Row]) -> str:
    columns = (
        head, "nodes", "devices", "objective", "bound", "gap", "seconds", "peak, MB", "of published", "published, s",
    )  # fmt: skip
    return table(columns, map(_cells, rows))


def _cells(row: Row) -> list[str]:
    optimum, objective = row.get("optimum"), row["objective"]
    ratio = f"{objective / optimum:.9f}" if optimum and objective is not None else DASH
    gap = {"optimal": "proven", "infeasible": "nothing fits"}.get(row["status"]) or f"{row['gap']:.2%}"
    return [
        row["workload"], str(row["nodes"]), row["devices"], _number(objective), _number(row["lower_bound"]), gap,
        f"{row['seconds']:.2f}", f"{row['peak_mb']:.0f}", ratio, _number(row.get("published_s"), 2),
    ]  # fmt: skip


def order_table(rows: Iterable[Row]) -> str:
    columns = ("order", "units", "program order", "best found", "bound", "loss", "loss at most", "seconds")

    def cells(row: Row) -> list[str]:
        times = map(_number, (row["program"], row["best"], row["lower_bound"]))
        losses = (DASH if row[key] is None else f"{row[key]:.2%}" for key in ("loss", "most_loss"))
        return [row["workload"], str(row["units"]), *times, *losses, f"{row['seconds']:.2f}"]

    return table(columns, map(cells, rows))


def _number(value: float | None, digits: int = 4) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def told(name: str) -> None:
    print(name, file=sys.stderr, flush=True)


RUN: dict[str, Callable[[Asked], Iterator[Row]]] = {
    "public": public, "generated": generated, "traced": traced, "order": order,
}  # fmt: skip


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--planner", default="auto", metavar="SPEC", help="default auto")
    p.add_argument("--time-limit", type=float, metavar="S", help="seconds, default the planner's own")
    p.add_argument("--only", default="", metavar="TEXT", help="graphs whose name has this")
    p.add_argument("--section", action="append", choices=SECTIONS, help="default all; may be repeated")
    p.add_argument("--json", metavar="FILE", help="write all numbers there too")
    p.add_argument("--solve", metavar="SPEC", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.solve:
        print(json.dumps(solved(*json.loads(options.solve))))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked = Asked(options.planner, options.time_limit, options.only)
    found = {name: list(RUN[name](asked)) for name in options.section or SECTIONS}
    for name, rows in found.items():
        if rows:
            print(f"{order_table(rows) if name == 'order' else rows_table(name, rows)}\n", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
