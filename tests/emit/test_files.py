"""All the files or none: whatever goes wrong, the folder is as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ipu_partition.emit.files import write_all
from ipu_partition.errors import UsageError

TEXTS = {"b.txt": "new b\n", "a.txt": "new a\n", "c.txt": "new c\n"}


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_writes_all_and_returns_paths_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    assert write_all(folder, TEXTS) == tuple(folder / name for name in ("a.txt", "b.txt", "c.txt"))
    assert contents(folder) == TEXTS
    assert sorted(os.listdir(folder)) == sorted(TEXTS)


def test_replaces_only_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old a")
    (tmp_path / "config.json").write_text("the model's own")
    write_all(tmp_path, TEXTS)
    assert contents(tmp_path) == {**TEXTS, "config.json": "the model's own"}


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    (path,) = write_all(tmp_path, {"a.txt": ""})
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_failure_while_replacing_restores_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, fails_at: int
) -> None:
    (tmp_path / "b.txt").write_text("old b")
    real, calls = os.replace, []

    def replace(source: Any, target: Any) -> None:
        if Path(source).name.startswith("new-"):
            calls.append(target)
            if len(calls) == fails_at + 1:
                raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UsageError if isinstance(error, OSError) else type(error)):
        write_all(tmp_path, TEXTS)
    assert contents(tmp_path) == {"b.txt": "old b"}
    assert os.listdir(tmp_path) == ["b.txt"]


def test_a_failure_while_writing_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_all(tmp_path / "x" / "y", {"a.txt": "fine", "b.txt": "\ud800"})
    assert os.listdir(tmp_path) == []


def test_a_path_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="expected a folder to write into"):
            write_all(folder, TEXTS)
    assert contents(tmp_path) == {"file": "kept"}


def test_a_target_that_is_a_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(UsageError, match=r"b\.txt is a folder"):
        write_all(tmp_path, TEXTS)
    assert contents(tmp_path) == {}


def test_an_unwritable_folder_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", denied)
    with pytest.raises(UsageError, match="Permission denied"):
        write_all(tmp_path, TEXTS)


@pytest.mark.parametrize("name", ["config.json", "CONFIG.JSON", "../x", "a/b", "", ".", "..", "/etc/x"])
def test_names_that_may_not_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a file name"):
        write_all(tmp_path, {"a.txt": "", name: ""})
    assert os.listdir(tmp_path) == []
