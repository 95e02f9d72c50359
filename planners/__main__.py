"""``python -m planners``."""

from __future__ import annotations

import os
import sys

from .cli import main
from .commands import INTERRUPTED

if __name__ == "__main__":
    code = main()
    if code == INTERRUPTED:  # threads of a solver that are still about would abort an orderly end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
