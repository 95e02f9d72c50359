"""Processes of a run, and whether any is left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

Left = Callable[[], list[str]]


def _named(folder: Path) -> list[str]:
    """Command lines of the processes that were given a file in `folder`; those that have ended have none."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(folder) in line and "ipu_partition.engine" in line:
            found.append(line)
    return found


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Left:
    """Processes that are there, of runs whose folders are in the folder of the test, where all are from now on."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("the system does not list its processes")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return lambda: _named(tmp_path)
