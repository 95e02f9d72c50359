"""What the tests of this process share: answers that were found before, and a folder that is finished."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ipu_partition import cli
from ipu_partition.batch import run as running
from ipu_partition.batch.worker import work

from .small import listed, remembered


@pytest.fixture(autouse=True)
def found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job is done once for all tests: they are about what becomes of the answer."""
    monkeypatch.setattr(running, "work", remembered)


@pytest.fixture
def anew(found_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is planned is not remembered."""
    monkeypatch.setattr(running, "work", work)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2 and BERT on a pod of 4, asked for on the command line and planned in this process."""
    folder = tmp_path_factory.mktemp("batch")
    models = listed(folder, "gpt2", "bert")
    arguments = ["--models", str(models), "--output", str(folder / "out"), "--pods", "4", "--backend", "sequential"]
    assert cli.main(["batch", *arguments]) == 0
    return folder / "out"


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """A copy of it, `out`."""
    shutil.copytree(finished_once, tmp_path / "out")
    return tmp_path / "out"
