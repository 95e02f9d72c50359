"""``python -m planners``."""

from __future__ import annotations

import os
import sys
import threading

from .cli import main
from .commands import INTERRUPTED

if __name__ == "__main__":
    code = main()
    if code == INTERRUPTED or threading.active_count() > 1:  # threads of a solver would abort an orderly end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
