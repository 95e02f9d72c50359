"""The scripts of examples/chest_xray, run as a user runs them, or imported."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "chest_xray"


@pytest.fixture(scope="session")
def example() -> Path:
    return EXAMPLE


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Runs a script in a process of its own, offline and on one thread, and returns what it prints."""

    def run(script: str, *arguments: object) -> str:
        env = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(EXAMPLE / f"{script}.py"), *map(str, arguments)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
        assert ran.returncode == 0, ran.stderr[-2000:]
        return ran.stdout

    return run


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    """The modules of the example, by name; torch has one thread while they are there, for the models are tiny."""
    import torch

    names = [path.stem for path in EXAMPLE.glob("*.py")]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    sys.path.insert(0, str(EXAMPLE))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        torch.set_num_threads(threads)
        sys.path.remove(str(EXAMPLE))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def xrays(scripts: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated image set."""
    folder: Path = tmp_path_factory.mktemp("xrays") / "xray"
    scripts.prepare_data.main(["--generate", "400", "--validation", "0.2", "--output", str(folder)])
    return folder
