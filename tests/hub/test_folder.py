"""The folder on this disk: all or nothing, nobody else's file touched, and what is read back is what was written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition import hub
from ipu_partition.emit.python_source import python_source
from ipu_partition.errors import UsageError
from ipu_partition.ipu_config import IPUConfig
from ipu_partition.plan import PartitionPlan

CONFIG, PLAN, CARD, CODE = "ipu_config.json", "ipu_partition_plan.json", "README.md", "parallelize.py"
FOREIGN = {"config.json": "{}", "model.safetensors": "weights", "notes.txt": "mine", CARD: "my card"}


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_a_folder_holds(plans: ModuleType, tmp_path: Path) -> None:
    plan = plans.gpt2_medium()
    paths = plan.save_pretrained(tmp_path / "deep" / "folder")
    assert sorted(path.name for path in paths) == sorted(os.listdir(tmp_path / "deep" / "folder"))
    assert contents(tmp_path / "deep" / "folder") == hub.texts(plan)
    assert sorted(hub.texts(plan)) == [CARD, CONFIG, PLAN]
    assert sorted(hub.texts(plans.deberta())) == [CARD, CONFIG, PLAN, CODE]


def test_what_is_read_back_is_what_was_written(plans: ModuleType, tmp_path: Path) -> None:
    plan = plans.gpt2_medium()
    plan.save_pretrained(tmp_path)
    for source in (tmp_path, str(tmp_path), tmp_path / PLAN):
        assert PartitionPlan.from_pretrained(source) == plan
    assert IPUConfig.from_pretrained(tmp_path) == plan.ipu_config()


def test_files_of_others_stay(plans: ModuleType, tmp_path: Path) -> None:
    for name, text in FOREIGN.items():
        (tmp_path / name).write_text(text)
    plan = plans.gpt2_medium()
    saved = hub.save(plan, tmp_path)
    assert [path.name for path in saved.written] == [CONFIG, PLAN]
    assert saved.kept == (tmp_path / CARD,)
    made = hub.texts(plan)
    assert contents(tmp_path) == {**FOREIGN, CONFIG: made[CONFIG], PLAN: made[PLAN]}


def test_another_plan_takes_the_place_of_the_first(plans: ModuleType, tmp_path: Path) -> None:
    """With its card, and the code of the first, which would cut another model."""
    plans.deberta().save_pretrained(tmp_path)
    plan = plans.gpt2_medium()
    saved = hub.save(plan, tmp_path)
    assert saved.kept == ()
    made = hub.texts(plan)
    assert contents(tmp_path) == {**made, "parallelize.py": python_source(plan)}
    assert hub.texts(plan)[CARD].count("<!--") == 1


@pytest.mark.parametrize("change", [lambda text: text + "mine", lambda text: "mine" + text, lambda text: text[:-20]])
def test_a_card_that_somebody_touched_stays(plans: ModuleType, tmp_path: Path, change: Callable[[str], str]) -> None:
    plans.deberta().save_pretrained(tmp_path)
    touched = change((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(touched)
    assert hub.save(plans.gpt2_medium(), tmp_path).kept == (tmp_path / CARD,)
    assert (tmp_path / CARD).read_text() == touched


@pytest.mark.parametrize("kind", ["folder", "dangling link", "link to nowhere safe"])
def test_whatever_is_called_readme_stays(plans: ModuleType, tmp_path: Path, kind: str) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    if kind == "folder":
        (folder / CARD).mkdir()
    else:
        (folder / CARD).symlink_to(other)
    if kind == "link to nowhere safe":
        other.write_text("somebody's")
    plans.gpt2_medium().save_pretrained(folder)
    assert (folder / CARD).is_dir() if kind == "folder" else os.readlink(folder / CARD) == str(other)
    assert other.exists() is (kind == "link to nowhere safe")


def test_a_link_is_replaced_and_what_it_points_to_is_not(plans: ModuleType, tmp_path: Path) -> None:
    """As in the cache of the Hub, where files are links to blobs."""
    (tmp_path / "blob").write_text("old")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / CONFIG).symlink_to(tmp_path / "blob")
    plans.gpt2_medium().save_pretrained(folder)
    assert (tmp_path / "blob").read_text() == "old"
    assert IPUConfig.from_pretrained(folder) == plans.gpt2_medium().ipu_config()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_an_interrupted_write_changes_nothing(
    plans: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, fails_at: int
) -> None:
    folder = tmp_path / "folder"
    plans.bart().save_pretrained(folder)
    (folder / CARD).unlink()
    (folder / CONFIG).unlink()
    (folder / CONFIG).symlink_to("../elsewhere")
    (tmp_path / "elsewhere").write_text("{}")
    before, link = contents(folder), os.readlink(folder / CONFIG)
    real, calls = os.replace, []

    def replace(source: Any, target: Any) -> None:
        if Path(source).name.startswith("new-"):
            calls.append(target)
            if len(calls) == fails_at + 1:
                raise error
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UsageError if isinstance(error, OSError) else KeyboardInterrupt):
        plans.gpt2_medium().save_pretrained(folder)
    assert len(calls) == fails_at + 1
    assert contents(folder) == before
    assert os.readlink(folder / CONFIG) == link
    assert sorted(os.listdir(folder)) == [CONFIG, PLAN]


def test_what_is_no_folder(plans: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "busy" / PLAN).mkdir(parents=True)
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "busy", "a\0b"):
        with pytest.raises(UsageError, match="cannot be written"):
            plans.gpt2_medium().save_pretrained(folder)
    assert contents(tmp_path) == {"file": "kept"}


def test_findings_without_a_plan_write_nothing(plans: ModuleType, tmp_path: Path) -> None:
    finding = {"mode": None, "field": "x", "text": "wrong", "fatal": True}
    data = plans.bart().model_dump(mode="json") | {"training": None, "inference": None, "fits": False}
    plan = PartitionPlan.model_validate({**data, "checked": "file", "findings": [finding]})
    with pytest.raises(UsageError, match="nothing to write"):
        plan.save_pretrained(tmp_path / "x")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        "[" * 100_000,
        '{"schema_version": 99}',
        '{"schema_version": 3, "schema_version": 3}',
        "\x00",
    ],
    ids=lambda text: text[:24],
)
def test_a_document_that_is_no_plan_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(UsageError, match=r"ipu_partition_plan\.json") as caught:
        PartitionPlan.from_pretrained(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_truncated_plan_and_an_edited_one(plans: ModuleType, tmp_path: Path) -> None:
    plans.bart().save_pretrained(tmp_path)
    whole = (tmp_path / PLAN).read_text()
    (tmp_path / PLAN).write_text(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="is not JSON"):
        PartitionPlan.from_pretrained(tmp_path)
    (tmp_path / PLAN).write_text(whole.replace('"bart-base"', '"other"'))
    with pytest.raises(UsageError, match="was edited"):
        PartitionPlan.from_pretrained(tmp_path)


@pytest.mark.parametrize("source", ["", "no-such-folder/x/y", "a\0b", "/dev/zero", 3, None])
def test_what_is_no_plan_at_all(source: Any, off: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        PartitionPlan.from_pretrained(source)


def test_a_folder_whose_configuration_says_something_else_is_refused(plans: ModuleType, tmp_path: Path) -> None:
    plan = plans.gpt2_medium()
    plan.save_pretrained(tmp_path)
    assert hub.opened(tmp_path) == hub.opened(tmp_path / PLAN) == plan
    data = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({k: v for k, v in data.items() if k != "model_type"}))
    assert hub.opened(tmp_path) == plan  # as the original writes it
    (tmp_path / CONFIG).write_text(json.dumps(data | {"gradient_accumulation_steps": 512}))
    with pytest.raises(UsageError, match="says something else than the plan beside it"):
        hub.opened(tmp_path)
    (tmp_path / CONFIG).unlink()
    assert hub.opened(tmp_path) == plan
