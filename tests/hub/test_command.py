"""`ipu-partition push`, and `--save-pretrained` of the command that plans."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ipu_partition.cli import main
from ipu_partition.hub import texts
from ipu_partition.plan import PartitionPlan

from .standin import TOKEN, Hub

REPO = "some-org/gpt2-medium-ipu"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(plans: ModuleType, tmp_path: Path) -> Path:
    plans.gpt2_medium().save_pretrained(tmp_path / "folder")
    return tmp_path / "folder"


def test_a_folder_is_pushed(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(folder), REPO, "--private", "--message", "For the team"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in out[:3]] == [
        ["pushed", "README.md"], ["pushed", "ipu_config.json"], ["pushed", "ipu_partition_plan.json"],
    ]  # fmt: skip
    assert out[3].startswith(f"to {hub.url}/{REPO}/commit/")
    assert hub.repositories[REPO].private
    assert hub.commits[0]["summary"] == "For the team"


def test_files_are_made_anew_from_the_plan(
    folder: Path, plans: ModuleType, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(folder), REPO, "--dry-run"]) == 0
    assert capsys.readouterr().err == ""
    (folder / "README.md").write_text("mine")
    (folder / "secrets.txt").write_text("secret")
    assert main(["push", str(folder), REPO]) == 0
    assert "README.md of the folder is not pushed" in capsys.readouterr().err
    made = {name: text.encode() for name, text in texts(plans.gpt2_medium(), repo=REPO).items()}
    assert hub.commits[0]["files"] == made


def test_a_dry_run_says_what_would_be_pushed(
    folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", str(folder), REPO, "--dry-run"]) == 0
    out = capsys.readouterr().out
    size = len((folder / "ipu_config.json").read_bytes())
    assert f"would push ipu_config.json ({size:,} bytes)" in out
    assert f"to {REPO}, branch main; a README.md that is there would be kept" in out
    assert hub.requests == []


def test_the_answer_as_json(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add(REPO, {"README.md": b"theirs"})
    assert main(["push", str(folder), REPO, "--json", "--create-pr"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kept"] == ["README.md"]
    assert data["url"] == f"{hub.url}/{REPO}/discussions/1"
    assert [name for name, _ in data["files"]] == ["ipu_config.json", "ipu_partition_plan.json"]


def test_a_kept_readme_is_said(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.add(REPO, {"README.md": b"theirs"})
    assert main(["push", str(folder), REPO]) == 0
    assert "kept README.md, which was there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", REPO], "nowhere"),
        (["{folder}", "no name"], "is no name of a repository"),
        (["{folder}"], "required"),
        (["{folder}", REPO, "--message", ""], "message is empty"),
        (["{folder}/ipu_config.json", REPO], "plan"),
        (["{folder}/..", REPO], "cannot be read"),
    ],
)
def test_what_cannot_be_pushed(
    folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["push", *(argument.replace("{folder}", str(folder)) for argument in arguments)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert hub.requests == []


def test_an_edited_folder_is_not_pushed(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    config = folder / "ipu_config.json"
    config.write_text(config.read_text().replace("256", "512"))
    assert main(["push", str(folder), REPO, "--force"]) == 2
    assert "says something else" in capsys.readouterr().err
    plan = folder / "ipu_partition_plan.json"
    plan.write_text(plan.read_text().replace("256", "512"))
    assert main(["push", str(folder), REPO, "--force"]) == 2
    assert "was edited" in capsys.readouterr().err
    assert hub.requests == []


def test_stale_or_too_large_only_by_force(
    plans: ModuleType, tmp_path: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    data = plans.not_fitting().model_dump(mode="json")
    data["basis"]["rules"] = "0" * 16
    PartitionPlan.model_validate(data).save_pretrained(tmp_path)
    assert main(["push", str(tmp_path), REPO]) == 2
    assert "stale" in capsys.readouterr().err
    assert main(["push", str(tmp_path), REPO, "--force"]) == 0
    assert hub.commits


def test_a_refusal_of_the_hub(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults["repos/create"] = (403, f"{TOKEN} may not")
    assert main(["push", str(folder), REPO]) == 2
    captured = capsys.readouterr()
    assert "no permission" in captured.err
    assert TOKEN not in captured.err + captured.out


def test_a_dry_run_is_light(folder: Path) -> None:
    code = (
        "import sys; from ipu_partition.cli import main\n"
        f"code = main(['push', {str(folder)!r}, {REPO!r}, '--dry-run'])\n"
        "sys.exit(code or str([name for name in ('torch', 'transformers') if name in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.stderr.strip() == "[]"
    assert "would push README.md" in run.stdout


def test_planning_writes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    model = ["--model", "gpt2", "--config", "n_layer=2", "n_embd=64", "n_head=2", "vocab_size=99", "n_positions=32"]
    more = ["--sequence-length", "16", "--ipus", "2", "--mode", "inference", "--save-pretrained", str(tmp_path / "out")]
    assert main([*model, *more]) == 0
    out = capsys.readouterr().out.replace("\n", "")
    assert "ipu_partition_plan.json" in out
    assert "kept" in out
    assert PartitionPlan.from_pretrained(tmp_path / "out").inference is not None
    assert (tmp_path / "out" / "README.md").read_text() == "mine"
    assert main([*model, "--save-pretrained", str(tmp_path / "out" / "README.md")]) == 2
