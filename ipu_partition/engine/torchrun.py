"""`torchrun` as a process that ends with the one that started it, and says in a file how each rank ended.

Started as `python -m ipu_partition.engine.torchrun PARENT FOLDER ARGUMENTS`, with the arguments of torchrun.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from .files import FAILURES
from .orphans import end_with

LAUNCHER = "IPU_PARTITION_LAUNCHER"
"""Where the ranks find the number of this process."""


def main(arguments: list[str]) -> int:
    parent, folder, *others = arguments
    end_with(int(parent))
    os.environ[LAUNCHER] = str(os.getpid())
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(others))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        codes = {str(rank): failure.exitcode for rank, failure in error.failures.items()}
        (Path(folder) / FAILURES).write_text(json.dumps(codes))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
