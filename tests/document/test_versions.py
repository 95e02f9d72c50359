"""Plan documents over time: sealed, migrated, refused where they are stale, shown and compared without torch."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import planners
from ipu_partition import UsageError, basis
from ipu_partition.cli import main
from ipu_partition.difference import changes
from ipu_partition.ipu_config import IPUConfig
from ipu_partition.migrations import SCHEMA_VERSION, migrated
from ipu_partition.plan import PLAN_NAME, PartitionPlan
from tests.emit import plans
from tests.plans_edit import edited

NAMES = sorted(plans.ALL)
VERSION_2 = Path(__file__).parent / "data" / "plan_version_2.json"
"""Written by the release before plans were verified."""


def _save(plan: PartitionPlan, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    (folder / PLAN_NAME).write_text(plan.to_json())
    return str(folder)


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_describes_what_is_written(name: str) -> None:
    schema = PartitionPlan.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    document = plans.ALL[name]().to_dict()
    jsonschema.validate(document, schema)
    for key in document:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({k: v for k, v in document.items() if k != key}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "news": 1}, schema)


def test_the_schema_of_a_configuration_describes_what_is_written() -> None:
    jsonschema.validate(plans.bart().ipu_config().to_dict(), IPUConfig.json_schema())


@pytest.mark.parametrize(
    "path",
    [
        ("warnings",),
        ("basis", "rules"),
        ("model", "name"),
        ("training", "workload", "replicas"),
        ("training", "blocks", 3, "ipu"),
        ("training", "predicted", "samples_per_second"),
    ],
)
def test_an_edited_plan_is_refused(tmp_path: Path, path: tuple[Any, ...]) -> None:
    document = plans.bart().to_dict()
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    place[path[-1]] = ["x"] if isinstance(old, list) else old + ("x" if isinstance(old, str) else 1)
    for stale in (False, True):
        with pytest.raises(UsageError, match="was edited"):
            PartitionPlan.from_dict(document, stale=stale)


@pytest.mark.parametrize("seal", [None, 1, "0" * 16, ["x"], "x" * 9999])
def test_a_plan_without_its_seal_is_refused(seal: object) -> None:
    with pytest.raises(UsageError, match="was edited") as error:
        PartitionPlan.from_dict(plans.bart().to_dict() | {"fingerprint": seal})
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("basis", "reason"),
    [
        ({"rules": "0123456789abcdef"}, "other rules of cost"),
        ({"machine": "0123456789abcdef"}, "other numbers of the machine 'mk2'"),
        (None, "does not say which rules"),
    ],
)
def test_a_stale_plan_is_refused_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], basis: dict[str, str] | None, reason: str
) -> None:
    data = plans.bart().to_dict()
    plan = edited(data | {"basis": basis and data["basis"] | basis})
    folder = _save(plan, tmp_path / "plan")
    with pytest.raises(UsageError, match=f"is stale: .*{reason}"):
        PartitionPlan.load(folder)
    assert PartitionPlan.load(folder, stale=True) == plan
    assert main(["show", folder]) == 0
    assert " ".join(capsys.readouterr().out.split()).startswith("Stale: it ")


def test_a_plan_for_a_machine_that_is_not_built_in_is_not_stale_for_that() -> None:
    data = plans.bart().to_dict()
    data["machine"]["name"] = "my-machine"
    assert edited(data).stale is None


def test_a_document_of_version_1_is_shown_and_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = plans.bart().to_dict() | {"schema_version": 1}
    del data["basis"], data["fingerprint"], data["verified"]
    file = tmp_path / PLAN_NAME
    file.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="is stale"):
        PartitionPlan.load(file)
    assert PartitionPlan.load(file, stale=True).training == plans.bart().training
    assert main(["show", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize("kept", ["basis", "fingerprint", "verified"])
@pytest.mark.parametrize("version", [1, 2])
def test_a_document_cannot_say_that_it_is_older(version: int, kept: str) -> None:
    data = plans.bart().to_dict() | {"schema_version": version}
    for name in {"basis", "fingerprint", "verified"} - {kept}:
        del data[name]
    with pytest.raises(UsageError, match="was edited: "):
        PartitionPlan.from_dict(data, stale=True)


def test_a_document_of_version_2_is_the_plan_it_was() -> None:
    written = json.loads(VERSION_2.read_text())
    plan = PartitionPlan.load(VERSION_2, stale=True)
    assert (written["schema_version"], plan.schema_version, plan.verified) == (2, 3, None)
    assert plan.fingerprint() == written["fingerprint"]  # parallelize.py beside it names that
    added = {"schema_version": 3, "verified": None, "machine": {**written["machine"], "devices": None}}
    assert plan.to_dict() == written | added


@pytest.mark.parametrize(("name", "value"), [("warnings", ["x"]), ("fingerprint", "0" * 16), ("verified", None)])
def test_an_edited_document_of_version_2_is_refused(name: str, value: object) -> None:
    with pytest.raises(UsageError, match="was edited"):
        PartitionPlan.from_dict(json.loads(VERSION_2.read_text()) | {name: value}, stale=True)


@pytest.mark.parametrize("part", ["model", "shapes"])
def test_what_numbers_rest_on_is_what_the_plan_names(part: str) -> None:
    data = plans.bart().to_dict()
    data["basis"][part] = "0" * 16
    with pytest.raises(UsageError, match="basis and model name different"):
        PartitionPlan.from_dict(data)


@pytest.mark.parametrize("value", [None, 5, "x", [1], b"", ""])
def test_what_is_no_document_is_a_usage_error(value: Any) -> None:
    for read in (PartitionPlan.from_dict, PartitionPlan.from_json, PartitionPlan.load):
        with pytest.raises(UsageError):
            read(value)


def test_migrating_changes_neither_the_document_nor_one_of_today() -> None:
    old = {"schema_version": 1}
    assert migrated(old, "it")["schema_version"] == SCHEMA_VERSION
    assert old == {"schema_version": 1}
    assert migrated({"schema_version": SCHEMA_VERSION, "x": 1}, "it") == {"schema_version": SCHEMA_VERSION, "x": 1}


def test_every_source_of_cost_is_in_the_rules() -> None:
    for name in basis.COSTING:
        assert list(basis.sources(basis.HERE, name)), name
    for name in basis.JUDGING:
        assert list(basis.sources(Path(planners.__file__).parent, name)), name
    found = dict(basis.sources(basis.HERE, "machine"))
    assert "machine/constants.py" in found
    assert not any(name.endswith("mk2.json") for name in found)
    assert "families/data/bert.json" in dict(basis.sources(basis.HERE, "families"))


def test_what_judges_is_in_the_rules() -> None:
    """All of `planners` that its judge needs to measure an assignment of a chain; no plan is one of a graph."""
    root = Path(planners.__file__).parent
    todo, seen = ["evaluate"], set()
    while todo:
        seen.add(name := todo.pop())
        for node in ast.walk(ast.parse((root / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module and node.module not in seen:
                todo += [node.module] * (not node.module.startswith("graph."))
    assert {f"{name}.py" for name in seen} == set(basis.JUDGING)


def test_equal_plans_do_not_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _save(plans.bart(), tmp_path / "a")
    assert main(["diff", folder, folder]) == 0
    assert capsys.readouterr().out == "No difference.\n"


def test_a_difference_is_named_once_and_moved_modules_share_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = plans.gpt2_medium().to_dict()
    data["training"]["workload"]["replicas"] = 5
    moved = [b for b in data["training"]["blocks"] if b["module"] in ("transformer.h.4", "transformer.h.5")]
    for block in moved:
        block["ipu"] = 7
    data["training"]["ipus"][1]["memory"]["terms"] |= {"weights": 121 << 20, "code": 29 << 20}
    data["training"]["solution"]["seconds"] = 77.0
    one, other = plans.gpt2_medium(), edited(data)
    found = changes(one, other)
    assert {change.path[1] for change in found} == {"workload", "blocks", "ipus"}
    assert [(c.before, c.after) for c in found if c.path[-1] == "replicas"] == [(2, 5)]
    folders = _save(one, tmp_path / "a"), _save(other, tmp_path / "b")
    assert main(["diff", *folders]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "training transformer.h.4-5 IPU 2 IPU 7" in lines
    assert "training ipus 1 memory terms weights 120.0 MiB 121.0 MiB" in lines
    assert main(["diff", *folders, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["changes"]) == len(found)


def test_a_mode_that_only_one_plan_has_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = plans.gpt2_medium()
    one = edited(both.to_dict() | {"inference": None})
    assert main(["diff", _save(both, tmp_path / "a"), _save(one, tmp_path / "b")]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("inference")] == ["inference planned -"]


@pytest.mark.parametrize("command", ["show", "diff"])
def test_without_torch_and_quick(tmp_path: Path, command: str) -> None:
    folder = _save(plans.gpt2_medium(), tmp_path / "a")
    arguments = [folder] if command == "show" else [folder, folder]
    code = (
        "import sys; from ipu_partition.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or bool({'torch', 'transformers', 'numpy', 'networkx'} & set(sys.modules)))"
    )
    taken = []
    for _ in range(5):
        before = os.times()
        run = subprocess.run([sys.executable, "-c", code, command, *arguments], capture_output=True, check=False)
        after = os.times()
        taken.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert run.returncode == 0, run.stderr
    assert min(taken) < 0.4  # of a core: other tests run at the same time


@pytest.mark.parametrize("arguments", [["show"], ["show", "nowhere"], ["diff", "nowhere"], ["schema", "nothing"]])
def test_bad_arguments_are_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["show"], ["diff", "{}"]])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"\x00", b"[" * 99_999, b'{"a": 1, "a": 2}', b'{"schema_version": 3}', b"nul" * 9]
)
def test_a_hostile_file_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], content: bytes
) -> None:
    file = tmp_path / PLAN_NAME
    file.write_bytes(content)
    arguments = [str(file) if part == "{}" else part for part in command]
    assert main([*arguments, str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert str(file) in err


def test_a_device_a_pipe_and_a_huge_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate((8 << 20) + 1)
    for path in ("/dev/zero", "/dev/null", str(huge)):
        assert main(["show", path]) == 2
        assert "expected a plan" in capsys.readouterr().err
