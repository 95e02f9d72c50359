"""One rank: a process that torchrun starts, as `python -m ipu_partition.engine.worker FOLDER`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from ..errors import one_line
from .beats import Beat
from .files import error_file, replaced, state_file
from .orphans import end_with
from .torchrun import LAUNCHER

LONGEST = 500
"""Characters that are repeated of an error."""


def main(folder: Path) -> None:
    parent, rank = int(os.environ[LAUNCHER]), int(os.environ["RANK"])
    end_with(parent)
    beat = Beat(state_file(folder, rank), parent)
    try:
        from .training import train

        train(folder, rank, beat)
    except BaseException as error:
        _tell(error_file(folder, rank), error, beat)
        os._exit(1)  # whatever waits for other ranks would wait in vain
    beat.close()
    os._exit(0)  # taking PyTorch down takes long and does nothing


def _tell(file: Path, error: BaseException, beat: Beat) -> None:
    """The error behind the error, and whether this rank only waited for another when it came."""
    now, cause = time.monotonic(), error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    message = one_line(f"{type(cause).__name__}: {cause}".rstrip(": "), LONGEST)
    told = {"message": message, "step": beat.state.step, "working": beat.state.working, "at_s": now}
    with replaced(file) as new:
        new.write_text(json.dumps(told))
    import traceback

    traceback.print_exception(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
