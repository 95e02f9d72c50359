"""The host half: what the real packages do with the files of each job. Runs in the isolated environment, Python 3.8 on.

`run.py STANDIN JOBS REPORT`: the folder with the package `poptorch_standin`, what is to be done, and what was found.
Nothing here may import ipu_partition.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(standin: str, jobs: str, report: str) -> None:
    sys.path.insert(0, standin)
    import poptorch_standin

    poptorch_standin.install()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    found = [dict(one) for job in json.loads(Path(jobs).read_text()) for one in _runs(job)]
    Path(report).write_text(json.dumps(found))


def _runs(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each mode and side; `error` says what was raised, `files` what is wrong with ipu_config.json."""
    import sides

    for mode in job["modes"]:
        for side in ("optimum", "plain") if job["target"] == "optimum" else ("plain",):
            run = {"case": job["case"], "folder": job["folder"], "mode": mode, "side": side, "error": None}
            try:
                run.update(getattr(sides, side)(job, mode))
            except Exception:  # whatever the packages raise is what the run found
                run["error"] = traceback.format_exc(limit=-4)
            yield run


if __name__ == "__main__":
    main(*sys.argv[1:])
