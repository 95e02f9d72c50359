"""Starting torchrun and its ranks, and ending them all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from .files import LOG
from .orphans import children, kill

STOP_S = 5.0
"""For torchrun to end when its ranks have; then it is killed."""
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_SOURCE = str(Path(__file__).resolve().parents[2])


class Torchrun:
    """torchrun and its ranks on this machine, with a free port of the loopback address."""

    def __init__(self, folder: Path, ranks: int) -> None:
        self._log = (folder / LOG).open("wb")
        self._process = subprocess.Popen(
            _command(folder, ranks),
            env={**os.environ, **_environment(os.environ), "TMPDIR": str(folder)},  # torchrun leaves files behind
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what the terminal interrupts is the process that stops this one
        )

    def ended(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def stop(self, ranks: Iterable[int] = ()) -> None:
        """End the ranks, whatever they are at, and have torchrun wait for them, so that nothing of them is left.

        `ranks`: their processes as they were last known, for systems that do not tell.
        """
        if self.ended() is None:
            self._process.terminate()
        until_s, known = time.monotonic() + STOP_S, list(ranks)
        while self.ended() is None and time.monotonic() < until_s:
            found = children(self._process.pid)
            for pid in known if found is None else found:
                kill(pid)
            known = []  # a number may be that of another process by now
            time.sleep(0.05)
        if self.ended() is None:
            self._process.kill()
        self._process.wait()
        self._log.close()


def _command(folder: Path, ranks: int) -> list[str]:
    own = "ipu_partition.engine"
    return [
        *(sys.executable, "-m", f"{own}.torchrun", str(os.getpid()), str(folder)),
        *("--standalone", "--nnodes=1", f"--nproc-per-node={ranks}", "--local-addr=127.0.0.1", "--max-restarts=0"),
        *("-m", f"{own}.worker", str(folder)),
    ]


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """One thread for each process, no address but the loopback's, no module of the user's folder in the way."""
    found = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    found["PYTHONPATH"] = os.pathsep.join(p for p in (_SOURCE, given.get("PYTHONPATH", "")) if p)
    found["PYTHONSAFEPATH"] = "1"
    if loopback := _LOOPBACK.get(sys.platform):
        found |= {name: given.get(name, loopback) for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")}
    return found
