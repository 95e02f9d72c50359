"""`python -m tests.conformance [CLASS...]`: every plan against the real packages; see README.md.

Exit code 0 where nothing differs or nothing could be run for want of an interpreter, 2 for a class that there is not,
1 otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .environment import (
    CHECKOUT,
    HERE,
    BuildError,
    NoInterpreterError,
    WrongInterpreterError,
    environment,
    say,
)

SHOWN = 12
"""Differences listed of one case."""
CHUNKS_EACH = 3
"""Parts of the work for each worker, so that none waits long for the other."""


@dataclass
class Tally:
    """What one case came to."""

    runs: int = 0
    failed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def main(wanted: Sequence[str]) -> int:
    """Exit code. `wanted`: parts of the names of cases; none: all."""
    began = time.monotonic()
    if unknown := _unknown(wanted):
        return unknown
    try:
        python = environment(os.environ, Path.home())
    except NoInterpreterError as reason:
        say(f"SKIPPED, nothing was compared. {reason}")
        return _close(0, 0, 1)
    except WrongInterpreterError as reason:
        say(str(reason))
        return _close(0, 1, 0)
    except BuildError as reason:
        say(f"the environment cannot be built: {reason}")
        in_ci = is_ci(os.environ)
        return _close(0, int(in_ci), int(not in_ci))
    say(f"real packages run by {python}")
    tallies = _compare_all(python, wanted)
    for name, tally in sorted(tallies.items()):
        _show(name, tally)
    say(f"took {time.monotonic() - began:.0f} s")
    failed = sum(tally.failed for tally in tallies.values())
    return _close(sum(tally.runs for tally in tallies.values()) - failed, failed, 0)


def is_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a build server: CI is set, and not to a no."""
    return environ.get("CI", "").strip().lower() not in ("", "false", "0")


def _unknown(wanted: Sequence[str]) -> int:
    """2, and said, where one of `wanted` is in no name; else 0."""
    from .cases import all_cases

    names = [case.name for case in all_cases()]
    strangers = [part for part in wanted if not any(part in name for name in names)]
    if strangers:
        say(f"no case has {strangers[0]!r} in its name; there are:\n    " + "\n    ".join(sorted(names)))
    return 2 if strangers else 0


def _compare_all(python: Path, wanted: Sequence[str]) -> dict[str, Tally]:
    from .cases import all_cases

    names = [case.name for case in all_cases()]
    chosen = [i for i, name in enumerate(names) if not wanted or any(part in name for part in wanted)]
    workers = os.cpu_count() or 1
    parts = min(len(chosen), workers * CHUNKS_EACH)
    tallies: dict[str, Tally] = {}
    with (
        tempfile.TemporaryDirectory(prefix="ipu-partition-conformance-") as scratch,
        ThreadPoolExecutor(workers) as pool,
    ):
        chunks = [(Path(scratch) / str(part), chosen[part::parts]) for part in range(parts)]
        for number, found in enumerate(pool.map(lambda chunk: _chunk(python, *chunk), chunks)):
            tallies.update(found)
            say(f"{number + 1} of {parts} parts done")
    for index in chosen:
        tallies.setdefault(names[index], Tally(1, 1, problems=["nothing was run of it"]))
    return tallies


def _chunk(python: Path, folder: Path, cases: Sequence[int]) -> dict[str, Tally]:
    """Both halves on some cases, one after the other."""
    from .jobs import JOBS

    jobs, report = folder / JOBS, folder / "report.json"
    plan = [sys.executable, "-m", f"{__package__}.jobs", str(folder), *map(str, cases)]
    standin = CHECKOUT / "ipu_partition" / "verify"
    host = [str(python), "-E", "-s", "-B", str(HERE / "host" / "run.py"), str(standin), str(jobs), str(report)]
    for command in (plan, host):
        ran = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, env={**os.environ, **_ONE_THREAD})
        if ran.returncode:
            return {f"part {folder.name}": Tally(1, 1, problems=[ran.stdout + ran.stderr])}
    return _tallies(json.loads(jobs.read_text()), json.loads(report.read_text()))


_ONE_THREAD = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def _tallies(jobs: Sequence[dict[str, Any]], report: Sequence[dict[str, Any]]) -> dict[str, Tally]:
    from .compare import compare

    known = {job["folder"]: job for job in jobs}
    tallies: dict[str, Tally] = {}
    for job in jobs:
        if job["problems"]:
            tally = tallies.setdefault(job["case"], Tally())
            tally.runs, tally.failed = tally.runs + 1, tally.failed + 1
            tally.problems += [f"{_what(job)}, the saved document: {problem}" for problem in job["problems"]]
    for run in report:
        job = known[run["folder"]]
        compared, tally = compare(run, job), tallies.setdefault(job["case"], Tally())
        tally.runs += 1
        tally.failed += bool(compared.problems)
        tally.counts.update(parameters=compared.parameters, calls=compared.calls, inside=compared.inside)
        tally.problems += [f"{_where(job, run)}: {problem}" for problem in compared.problems]
    return tallies


def _where(job: dict[str, Any], run: dict[str, Any]) -> str:
    side = "optimum class" if run["side"] == "optimum" else "parallelize.py"
    return f"{run['mode']}, {_what(job)}, {side}"


def _what(job: dict[str, Any]) -> str:
    options = "".join(f", {name} {value}" for name, value in job["options"].items())
    return f"{job['ipus']} IPUs, target {job['target']}{options}"


def _show(name: str, tally: Tally) -> None:
    counts = tally.counts
    verdict = f"{tally.failed} of {tally.runs} runs DIFFER" if tally.failed else f"{tally.runs} runs agree"
    say(
        f"{name}: {verdict}; {counts['parameters']} parameters, the calls of {counts['calls']} modules and of "
        f"{counts['inside']} inside others"
    )
    for problem in tally.problems[:SHOWN]:
        print(f"    {problem}")
    if len(tally.problems) > SHOWN:
        print(f"    and {len(tally.problems) - SHOWN} more")


def _close(passed: int, failed: int, skipped: int) -> int:
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
