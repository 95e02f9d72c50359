"""Commands in fresh interpreters: what they print, how long they take from start to end, and how much memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOOK_S = 0.02


def fresh(arguments: Sequence[str], given: bytes = b"") -> tuple[str, float, float]:
    """What ``python ARGUMENTS`` prints, seconds, and MB: the most its processes had at once, where the system tells.

    RuntimeError, with the last line of what went wrong, where it ends with another code than 0 or 3.
    """
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        source.write(given)
        source.seek(0)
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdin=source, stdout=out, stderr=error)
        most = 0.0
        while process.poll() is None:
            most = max(most, held_mb(process.pid))
            time.sleep(LOOK_S)
        seconds = time.perf_counter() - begin
        out.seek(0)
        error.seek(0)
        if process.returncode not in (0, 3):
            lines = error.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(lines[-1] if lines else f"exit code {process.returncode}")
        return out.read().decode(), seconds, most


def held_mb(process: int) -> float:
    """Peaks of the process, and of those that its threads started and that still run, together."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        threads = [file.read_text() for file in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:  # it has just ended
        return 0.0
    own = status.partition("VmHWM:")[2].split()
    return (int(own[0]) / 1024 if own else 0.0) + sum(held_mb(int(child)) for child in " ".join(threads).split())
