"""`ipu-partition verify` and `plan.verify` as a user meets them: what is run, written, printed and refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import ipu_partition.verify as verifying
from ipu_partition import PartitionPlan, UsageError, partition
from ipu_partition.cli import main
from ipu_partition.plan import PLAN_NAME
from ipu_partition.reopen import Reopened
from ipu_partition.verified_parts import Verification
from ipu_partition.workload import Mode
from tests.devices.machines import ALIKE
from tests.emit import plans
from tests.verify.test_document import failed, proofs

SMALL = [
    "--config", "num_hidden_layers=4", "hidden_size=32", "num_attention_heads=2", "intermediate_size=64",
    "vocab_size=120", "--sequence-length", "16", "--ipus", "2",
]  # fmt: skip
BERT = ["bert-base-uncased", *SMALL]
OPTIONS: dict[str, Any] = {
    "config": {"num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64},
    "sequence_length": 16,
    "ipus": 2,
}


@cache
def planned() -> PartitionPlan:
    return partition("bert-base-uncased", **OPTIONS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    planned().save(tmp_path / "plan")
    return tmp_path / "plan"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[Mode, Verification]:
    """Proofs that are given out instead of being made: all passed, unless a test puts in others."""
    found = {Mode.TRAINING: proofs(), Mode.INFERENCE: proofs()}
    monkeypatch.setattr(verifying, "_proved", lambda reopened, mode, size, progress: found[mode])
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_plan_is_run_and_its_proofs_are_written_into_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is put in place of the proofs here."""
    before, unproved = _files(folder), PartitionPlan.load(folder)
    assert main(["verify", str(folder), "--mode", "training"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for word in ("Placement passed", "Equivalence passed", "Peak passed", "VERIFIED: training", f"wrote {folder}"):
        assert word in " ".join(out.split())
    after = _files(folder)
    assert {name for name in after if after[name] != before.get(name)} == {PLAN_NAME}
    plan = PartitionPlan.load(folder)
    assert plan.verified is not None
    assert plan.verified.inference is None
    proof = plan.verified.training
    assert proof is not None
    assert proof.placement is not None
    assert proof.equivalence is not None
    assert proof.peak is not None
    assert proof.placement.parameters == proof.equivalence.gradients > 50
    assert proof.equivalence.layers == "all"
    assert proof.equivalence.boundary_bytes == proof.equivalence.planned_bytes > 0
    assert plan.to_dict() | {"verified": None} == unproved.to_dict()
    first = after[PLAN_NAME]
    assert main(["verify", str(folder / PLAN_NAME), "--mode", "training"]) == 0
    assert _files(folder)[PLAN_NAME] == first  # the same proofs, the same bytes


def test_fewer_layers_are_run_where_that_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder), "--mode", "inference", "--size", "small", "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)["verified"]["inference"]["equivalence"]
    (kept, whole) = proof["layers"]["bert.encoder.layer"]
    assert 0 < kept < whole == 4
    assert any("fewer layers" in note for note in proof["notes"])


@pytest.mark.usefixtures("answers")
def test_a_model_is_planned_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "kept"
    assert main(["verify", *BERT, "--json", "--output", str(output)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == (output / PLAN_NAME).read_text()
    plan = PartitionPlan.load(output)
    assert plan.verified is not None
    assert set(plan.verified.modes()) == {"training", "inference"}
    assert main(["--model", *BERT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == plan.to_dict() | {"verified": None}


@pytest.mark.usefixtures("answers")
def test_a_model_is_planned_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--layers", "-1,3", "--pin", "cls=0", "--no-outlining", "--replicas", "2", "--mode", "training"]
    assert main(["verify", *BERT, *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["training"]["layers_per_ipu"] == [1, 3]
    assert document["overrides"]["pins"] == {"cls": 0}
    assert document["training"]["workload"]["replicas"] == 2
    assert document["training"]["workload"]["outlining"] is False
    assert document["inference"] is None


def test_a_failed_proof_is_exit_5_and_is_written(
    folder: Path, answers: dict[Mode, Verification], capsys: pytest.CaptureFixture[str]
) -> None:
    answers[Mode.INFERENCE] = failed()
    assert main(["verify", str(folder)]) == 5
    out, err = capsys.readouterr()
    assert "FAILED: inference, equivalence: output 0 differs by 3.2" in out
    assert err == ""
    plan = PartitionPlan.load(folder)
    assert plan.verified is not None
    assert not plan.verified.passed
    assert main(["verify", str(folder), "--json"]) == 5
    out, err = capsys.readouterr()
    assert json.loads(out) == plan.to_dict()
    assert err == "ipu-partition: verification failed: inference, equivalence: output 0 differs by 3.2\n"
    assert main(["verify", str(folder), "--mode", "training"]) == 0  # what was asked now


def test_the_result_of_plan_verify(answers: dict[Mode, Verification]) -> None:
    plan = planned()
    found = plan.verify()
    assert (found.passed, found.difference) == (True, None)
    assert found.training == found.inference == proofs()
    assert plan.verified is None
    assert found.plan.verified is not None
    assert found.plan.fingerprint() == plan.fingerprint()
    assert found.plan.explain().model == "bert-base-uncased"
    answers[Mode.TRAINING] = failed()
    again = found.plan.verify(modes=["training"])
    assert (again.passed, again.inference) == (False, None)
    assert again.difference == "training, equivalence: output 0 differs by 3.2"
    assert again.plan.verified is not None
    assert again.plan.verified.inference == proofs()


@pytest.mark.usefixtures("answers")
def test_a_link_stays_and_its_file_is_written(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(folder / PLAN_NAME)
    assert main(["verify", str(link)]) == 0
    assert link.is_symlink()
    assert PartitionPlan.load(folder).verified is not None


@pytest.mark.usefixtures("answers")
def test_a_plan_can_be_written_elsewhere(folder: Path, tmp_path: Path) -> None:
    before = _files(folder)
    assert main(["verify", str(folder), "--output", str(tmp_path / "other")]) == 0
    assert _files(folder) == before
    assert PartitionPlan.load(tmp_path / "other").verified is not None


@pytest.mark.usefixtures("answers")
def test_a_plan_wins_over_the_configuration_beside_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.json").write_text("{}")
    assert main(["verify", str(folder)]) == 0
    assert (folder / "config.json").read_text() == "{}"
    assert "VERIFIED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ipus", "2"], "--ipus cannot change"),
        (["--micro-batch-size", "1"], "--micro-batch-size cannot change"),
        (["--no-outlining"], "--no-outlining cannot change"),
        (["--pin", "cls=0", "--layers", "-1,3"], "--layers, --pin cannot change"),
        (["--fit"], "--fit cannot change"),
        (["--config", "a=1"], "--config cannot change"),
        (["--size", "huge"], "size is 'huge', expected one of auto, full, small"),
        (["--mode", "testing"], "'testing' is no mode"),
        (["--model", "roberta-base"], "Give the model that was planned"),
        (["--frobnicate"], "unrecognized arguments"),
    ],
)
def test_what_a_plan_refuses(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _files(folder)
    assert main(["verify", str(folder), *options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert _files(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "DIR_OR_MODEL"),
        (["gpt2", "--model", "gpt2"], "'gpt2' is no plan, and --model names another"),
        (["no-such-model"], "no-such-model"),
        (["gpt2", "--mode", "testing"], "mode is 'testing'"),
        (["nul\0byte"], "There is no file or folder"),
        ([""], "No model was named"),
        (["gpt2", "--output", ""], "has no name"),
    ],
)
def test_what_a_model_refuses(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema_version": 99}', "\0"])
def test_a_file_that_is_no_plan(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / PLAN_NAME).write_text(text)
    for subject in (tmp_path, tmp_path / PLAN_NAME):
        assert main(["verify", str(subject)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert PLAN_NAME in err


@pytest.mark.usefixtures("answers")
def test_a_stale_or_edited_plan_is_not_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / PLAN_NAME
    document = json.loads(file.read_text())
    file.write_text(json.dumps(document | {"warnings": ["x"]}))
    assert main(["verify", str(folder)]) == 2
    assert "was edited" in capsys.readouterr().err
    plan = PartitionPlan.from_dict(document)
    assert plan.basis is not None
    old = plan.model_copy(update={"basis": plan.basis.model_copy(update={"rules": "0" * 16})})
    file.write_text(old.to_json())
    assert main(["verify", str(folder)]) == 2
    assert "is stale" in capsys.readouterr().err


def test_a_plan_without_a_cut_says_so(tmp_path: Path) -> None:
    hopeless = plans.not_fitting()
    assert hopeless.training is not None
    bare = hopeless.model_copy(update={"training": hopeless.training.model_copy(update={"stages": []})})
    for modes in (None, ["training"]):
        with pytest.raises(UsageError, match="no cut for training: nothing was found that fits"):
            bare.verify(modes=modes)
    with pytest.raises(UsageError, match="no inference part"):
        hopeless.verify(modes=["inference"])
    with pytest.raises(UsageError, match=r"modes is \[\], expected some of training"):
        hopeless.verify(modes=[])


@pytest.mark.usefixtures("answers")
def test_a_plan_that_does_not_fit_is_verified_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "gpt2", "--ipus", "1", "--mode", "training", "--micro-batch-size", "8"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "It does not fit into memory" in out
    assert "VERIFIED: training" in out


def test_a_plan_for_other_devices_is_run_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine, folder = tmp_path / "two.json", str(tmp_path / "plan")
    machine.write_text(json.dumps(ALIKE))
    arguments = [part for part in BERT if part not in ("--ipus", "2")]
    options = ["--machine", str(machine), "--mode", "inference"]
    assert main(["verify", *arguments, *options, "--output", folder]) == 0
    assert "inference on 2 devices" in capsys.readouterr().out
    plan = PartitionPlan.load(folder)
    assert plan.verified is not None
    assert plan.verified.inference is not None
    assert set(plan.verified.inference.proofs()) == {"equivalence"}
    assert main(["verify", folder]) == 0


def test_a_placement_that_fails_is_an_answer_though_nothing_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan whose units are not those of its model cannot be split; its failed placement says why."""
    from ipu_partition.verify import placement

    plan = planned()
    assert plan.inference is not None
    stages = plan.inference.stages
    less = stages[0].model_copy(update={"units": stages[0].units[:-1], "modules": stages[0].modules[:-1]})
    broken = plan.model_copy(update={"inference": plan.inference.model_copy(update={"stages": [less, *stages[1:]]})})
    found = broken.verify(modes=["inference"])
    assert not found.passed
    assert found.inference is not None
    assert found.inference.equivalence is None
    assert found.difference is not None
    assert found.difference.startswith("inference, placement: ")
    monkeypatch.setattr(placement, "placed", lambda *_: None)
    with pytest.raises(UsageError):
        broken.verify(modes=["inference"])


def test_the_random_state_of_the_caller_is_kept(answers: dict[Mode, Verification], monkeypatch: Any) -> None:
    import torch

    def draw(reopened: Reopened, mode: Mode, size: str, progress: Any) -> Verification:
        torch.manual_seed(5)
        return answers[mode]

    monkeypatch.setattr(verifying, "_proved", draw)
    plan = planned()
    torch.manual_seed(1)
    wanted = torch.rand(3)
    torch.manual_seed(1)
    plan.verify()
    assert torch.equal(torch.rand(3), wanted)


def test_importing_it_is_light() -> None:
    code = (
        "import ipu_partition.verify, ipu_partition.commands.verify, sys; "
        "sys.exit(bool({'torch', 'transformers', 'numpy', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env={**os.environ}).returncode == 0


@pytest.mark.parametrize("name", ["ipu_config.json", "parallelize.py"])
def test_a_file_beside_the_plan_that_is_not_its_own(
    name: str, folder: Path, answers: dict[Mode, Verification], capsys: pytest.CaptureFixture[str]
) -> None:
    beside = folder / name
    beside.write_text(beside.read_text().replace("2", "3", 1))
    before = _files(folder)
    assert main(["verify", str(folder)]) == 5
    assert f"{beside} is not what the plan beside it writes" in capsys.readouterr().err
    assert _files(folder) == before
    beside.unlink()
    assert main(["verify", str(folder)]) == 0
