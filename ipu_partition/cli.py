"""The command line.

Exit codes: 0 planned and fits, 1 internal, 2 usage, 3 does not fit, 4 cannot be traced, 5 verification failed.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from .commands.common import INTERNAL, INTERRUPTED
from .errors import PartitionError, UsageError, one_line

COMMANDS = ("batch", "check", "compare", "diff", "explain", "models", "push", "run", "schema", "show", "verify")
"""Words that may come first; anything else plans a model."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments)
    except PartitionError as error:
        print(f"ipu-partition: {one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ipu-partition: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return INTERNAL
    except OSError as error:
        print(f"ipu-partition: {error.strerror or error}: {error.filename or 'standard output'}", file=sys.stderr)
        return UsageError.exit_code
    except Exception as error:  # a defect of ours
        print(f"ipu-partition: internal error: {type(error).__name__}: {one_line(str(error))}", file=sys.stderr)
        print(
            "Please report it with the command you ran; IPU_PARTITION_DEBUG=1 shows where it happened.", file=sys.stderr
        )
        if _debug():
            raise
        return INTERNAL


def run(arguments: Sequence[str]) -> int:
    """The command that the first argument names, else the one that plans."""
    named = arguments[0] if arguments and arguments[0] in COMMANDS else None
    module = importlib.import_module(f".commands.{named or 'plan'}", __package__)
    code: int = module.run(arguments[1:] if named else arguments)
    return code


def _debug() -> bool:
    return bool(os.environ.get("IPU_PARTITION_DEBUG"))


if __name__ == "__main__":
    sys.exit(main())
