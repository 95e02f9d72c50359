"""The planners of this project beside each other and beside those of other tools: how good, how fast, how large.

    python benchmarks/planners.py [--quick] [--time-limit SECONDS] [--json FILE]

*Quality*: cycle time over the optimum, which `chain` proves, or over the best lower bound where it does not (marked ≥
in the column of the optimum, so that ratios are upper bounds). In brackets: the split lacks memory. A dash: it breaks
other constraints, or was left out for its size. Roomy problems show balance alone; tight ones have 1.1 times the memory
with which filling the devices in order succeeds.

*Growth*: `chain` alone, each problem in a fresh interpreter; `best` is the least of six where the first took less than
two seconds. `added` is how much the peak of the process grew while solving, arrays included; `peak` is all of it, with
Python, NumPy and the problem. All seeds are fixed; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before benchmarks/, where `planners` is a file

from benchmarks.chains import everything, scattered, tight, transformer
from benchmarks.peers import PEERS
from benchmarks.tables import growth_table, quality_table, seconds_table, summary_table
from planners import Optimal, Planner, Problem, Solution, names, parse, solve
from planners.balanced import Flops, Parameters
from planners.greedy import Greedy
from planners.layers import work_us
from planners.uniform import Uniform

Case = tuple[str, Callable[[], Problem]]

SMALL = 30
"""Units up to which `milp` takes part."""
QUICK: tuple[Case, ...] = (
    ("transformer, 25 units on 2", lambda: transformer(11, 2)),
    ("transformer, 25 units on 4, tight", lambda: tight(transformer(11, 4))),
    ("transformer, 99 units on 8", lambda: transformer(48, 8)),
    ("transformer, 99 units on 8, tight", lambda: tight(transformer(48, 8))),
    ("transformer without ties, 99 units on 8, tight", lambda: tight(transformer(48, 8, tied=False))),
    ("random, 24 units on 4", lambda: scattered(24, 4, seed=1)),
    ("random, 24 units on 4, tight", lambda: tight(scattered(24, 4, seed=1))),
    ("random, 100 units on 8", lambda: scattered(100, 8, seed=2)),
    ("random, 100 units on 8, tight", lambda: tight(scattered(100, 8, seed=2))),
    ("skips, pins, cuts, mixed devices, 100 units on 8", lambda: scattered(100, 8, seed=3, rich=True)),
    ("skips, pins, cuts, mixed devices, 100 units on 8, tight", lambda: tight(scattered(100, 8, seed=3, rich=True))),
)
FULL: tuple[Case, ...] = (
    *QUICK,
    ("all constraints, 200 units on 16, tight", lambda: tight(everything(200, 16, seed=4))),
    ("transformer, 403 units on 16, tight", lambda: tight(transformer(200, 16))),
    ("random with a heavy tail, 1000 units on 16", lambda: scattered(1000, 16, seed=5, spread=2.0)),
    ("random, 1000 units on 32, tight", lambda: tight(scattered(1000, 32, seed=6))),
    ("transformer, 2003 units on 64, tight", lambda: tight(transformer(1000, 64))),
    ("random, 10000 units on 64", lambda: scattered(10_000, 64, seed=7)),
    ("random, 10000 units on 64, tight", lambda: tight(scattered(10_000, 64, seed=7))),
    ("transformer, 10001 units on 64, tight", lambda: tight(transformer(4999, 64))),
)
GROWTH: tuple[Case, ...] = (
    ("random, 100 units on 4, tight", lambda: tight(scattered(100, 4, seed=1))),
    ("random, 100 units on 16, tight", lambda: tight(scattered(100, 16, seed=1))),
    ("all constraints without a tie, 200 units on 16, tight", lambda: tight(everything(200, 16, seed=4, tied=False))),
    ("all constraints, 200 units on 16, tight", lambda: tight(everything(200, 16, seed=4))),
    ("random, 1000 units on 16, tight", lambda: tight(scattered(1000, 16, seed=1))),
    ("random, 1000 units on 64, tight", lambda: tight(scattered(1000, 64, seed=1))),
    ("transformer, 1003 units on 64, tight", lambda: tight(transformer(500, 64))),
    ("random, 3000 units on 64, tight", lambda: tight(scattered(3000, 64, seed=1))),
    ("random, 10000 units on 16, tight", lambda: tight(scattered(10_000, 16, seed=1))),
    ("random, 10000 units on 64", lambda: scattered(10_000, 64, seed=1)),
    ("random, 10000 units on 64, tight", lambda: tight(scattered(10_000, 64, seed=1))),
    ("transformer, 10001 units on 64", lambda: transformer(4999, 64)),
    ("transformer, 10001 units on 64, tight", lambda: tight(transformer(4999, 64))),
)
QUICK_GROWTH = 4


def contenders(time_limit: float) -> dict[str, Planner]:
    """All but `chain`, by name."""
    ours: dict[str, Planner] = {
        "uniform": Uniform(),
        "greedy": Greedy(),
        "parameters": Parameters(),
        "flops": Flops(),
    }
    if find_spec("highspy") and "milp" in names():
        ours = {"milp": parse(f"milp{{time_limit={time_limit}}}"), **ours}
    return {**ours, **{peer.name: peer for peer in PEERS}}


def quality(case: Case, time_limit: float) -> dict[str, Any]:
    """All answers to one problem, with the optimum or a bound of it."""
    name, build = case
    problem = build()
    exact = solve(problem, f"chain{{time_limit={time_limit}}}")
    bound = max(getattr(exact, "lower_bound", 0.0), spread_us(problem))
    answers = {"chain": answer(exact, bound)}
    for planner, run in contenders(time_limit).items():
        most = SMALL if planner == "milp" else getattr(run, "most_units", math.inf)
        if len(problem.units) <= most:
            answers[planner] = answer(solve(problem, run), bound)
    return {
        "problem": name,
        "units": len(problem.units),
        "devices": len(problem.devices),
        "bound_us": bound,
        "proved": isinstance(exact, Optimal),
        "answers": answers,
    }


def spread_us(problem: Problem) -> float:
    """No cycle is shorter: all work that nothing avoids, spread perfectly, and no unit divided."""
    work, speeds = work_us(problem), [device.speed for device in problem.devices]
    return max(sum(work) / sum(speeds), max(work) / max(speeds))


def answer(solution: Solution, bound: float) -> dict[str, Any]:
    """``ratio`` is ``None`` where nothing is to be compared."""
    found = solution.evaluation
    return {
        "kind": type(solution).__name__,
        "fits": found is not None and found.fits,
        "ratio": None if found is None else found.objective_us / bound,
        "shortfall_bytes": getattr(solution, "shortfall_bytes", 0),
        "seconds": solution.seconds,
    }


def growth(problem: Problem, time_limit: float) -> dict[str, Any]:
    """`chain` on one problem: seconds and memory of this process."""
    import numpy as np

    _ = np.zeros(1)
    before = peak_bytes()
    first = solve(problem, f"chain{{time_limit={time_limit}}}")
    peak = peak_bytes()
    again = range(5 if first.seconds < 2.0 else 0)
    seconds = [first.seconds, *(solve(problem, f"chain{{time_limit={time_limit}}}").seconds for _ in again)]
    cells = len(problem.units) * len(problem.devices)
    return {
        "units": len(problem.units),
        "devices": len(problem.devices),
        "kind": type(first).__name__,
        "gap": getattr(first, "gap", None),
        "first_s": seconds[0],
        "best_s": min(seconds),
        "added_bytes": peak - before,
        "peak_bytes": peak,
        "added_bytes_per_cell": (peak - before) / cells,
    }


def peak_bytes() -> int:
    """Most memory this process ever had; on Linux without what it had as a copy of its parent."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def in_fresh_interpreter(case: Case, time_limit: float) -> dict[str, Any]:
    """:func:`growth` where nothing but the problem has used memory yet."""
    name, build = case
    command = [sys.executable, __file__, "--grow", "--time-limit", str(time_limit)]
    run = subprocess.run(command, input=pickle.dumps(build()), capture_output=True, check=False)
    if run.returncode:
        raise SystemExit(f"{name}: {run.stderr.decode().strip().splitlines()[-1]}")
    return {"problem": name, **json.loads(run.stdout)}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="only problems of up to 200 units")
    p.add_argument("--time-limit", type=float, default=60.0, metavar="SECONDS", help="of chain and milp, default 60")
    p.add_argument("--json", metavar="FILE", help="write all numbers there too")
    p.add_argument("--grow", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.grow:
        print(json.dumps(growth(pickle.load(sys.stdin.buffer), options.time_limit)))
        return
    rows = [_told(case[0], quality, case, options.time_limit) for case in (QUICK if options.quick else FULL)]
    sizes = GROWTH[:QUICK_GROWTH] if options.quick else GROWTH
    grown = [_told(f"growth: {case[0]}", in_fresh_interpreter, case, options.time_limit) for case in sizes]
    planners = ["chain", *contenders(options.time_limit)]
    tables = (quality_table(rows, planners), seconds_table(rows, planners), summary_table(rows, planners))
    print("\n\n".join((*tables, growth_table(grown))))
    if options.json:
        text = json.dumps({"quality": rows, "growth": grown}, indent=2, sort_keys=True)
        Path(options.json).write_text(text + "\n", encoding="utf-8")


def _told(name: str, run: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    print(name, file=sys.stderr, flush=True)
    return run(*arguments)


if __name__ == "__main__":
    main()
