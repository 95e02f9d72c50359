"""Proofs in a plan document: what they may say, that they are sealed for one plan, and how they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from ipu_partition import UsageError
from ipu_partition.cli import main
from ipu_partition.difference import changes
from ipu_partition.emit.python_source import python_source
from ipu_partition.plan import PLAN_NAME, PartitionPlan
from ipu_partition.report.terminal import to_text
from ipu_partition.report.verified import render_verified
from ipu_partition.verified_parts import Equivalent, Peaked, Placed, Verification, Verified
from ipu_partition.verify import with_proofs
from tests.emit import plans

PLACED = {"passed": True, "ops": 319, "matched": 319, "parameters": 74, "stages": 3}
EQUIVALENT = {
    "passed": True, "layers": "all", "outputs": 2, "gradients": 74, "max_absolute": 1.23456e-7, "max_relative": 0.0,
    "tolerance": 1e-5, "boundary_tensors": 3, "boundary_bytes": 2112, "planned_bytes": 2112,
}  # fmt: skip
IPU = {
    "ipu": 0, "saved_bytes": 900, "planned_saved_bytes": 900, "stash_bytes": 70, "planned_stash_bytes": 70,
    "received_bytes": 5, "planned_received_bytes": 5,
}  # fmt: skip
PEAKED = {"passed": True, "ipus": [IPU], "explained": {"dropout: its mask": 12}}


def proofs(**changes: Any) -> Verification:
    """All three passed, with `changes` to the equivalence."""
    return Verification(
        placement=Placed(**PLACED), equivalence=Equivalent(**{**EQUIVALENT, **changes}), peak=Peaked(**PEAKED)
    )


def failed() -> Verification:
    return proofs(passed=False, difference="output 0 differs by 3.2")


def verified(plan: PartitionPlan, found: Verification | None = None, mode: Any = "training") -> PartitionPlan:
    return with_proofs(plan, {mode: found or proofs()})


def test_proofs_go_into_the_document_and_come_back() -> None:
    plan = verified(plans.bart())
    document = plan.to_dict()
    jsonschema.validate(document, PartitionPlan.json_schema())
    assert document["verified"]["training"]["equivalence"]["max_absolute"] == 1.2e-7
    assert document["verified"]["inference"] is None
    again = PartitionPlan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert again.verified is not None
    assert again.verified.passed


def test_verifying_makes_nothing_else_stale() -> None:
    plan = plans.bart()
    after = verified(plan)
    assert after.fingerprint() == plan.fingerprint()
    assert python_source(after) == python_source(plan)
    left = after.to_dict() | {"verified": None}
    assert left == plan.to_dict()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("training", "equivalence", "max_absolute"), 0.0),
        (("training", "equivalence", "notes"), ["trust me"]),
        (("training", "peak", "ipus", 0, "stash_bytes"), 71),
        (("training", "peak"), None),
        (("torch",), "1.0"),
        (("seal",), "0" * 16),
    ],
)
def test_edited_proofs_are_refused(path: tuple[Any, ...], value: object) -> None:
    document = verified(plans.bart()).to_dict()
    place: Any = document["verified"]
    for key in path[:-1]:
        place = place[key]
    assert place[path[-1]] != value
    place[path[-1]] = value
    for stale in (False, True):
        with pytest.raises(UsageError, match="was edited: what it says was verified"):
            PartitionPlan.from_dict(document, stale=stale)


def test_a_failed_proof_cannot_be_edited_into_one_that_passed() -> None:
    document = verified(plans.bart(), failed()).to_dict()
    document["verified"]["training"]["equivalence"] |= {"passed": True, "difference": None}
    with pytest.raises(UsageError, match="was edited"):
        PartitionPlan.from_dict(document)


def test_proofs_of_another_plan_are_refused() -> None:
    moved = plans.bart().to_dict() | {"verified": verified(plans.gpt2_medium()).to_dict()["verified"]}
    with pytest.raises(UsageError, match="was edited"):
        PartitionPlan.from_dict(moved)


def test_a_mode_that_is_not_planned_has_no_proofs() -> None:
    document = verified(plans.bart(), mode="inference").to_dict()
    with pytest.raises(UsageError, match="inference is verified and not planned"):
        PartitionPlan.from_dict(document)


def test_the_other_mode_keeps_its_proofs() -> None:
    once = verified(plans.gpt2_medium())
    both = verified(once, failed(), "inference")
    assert both.verified is not None
    assert both.verified.training == proofs()
    assert not both.verified.passed
    assert both.verified.first_difference == "inference, equivalence: output 0 differs by 3.2"
    assert PartitionPlan.from_dict(both.to_dict()) == both


def test_what_another_torch_proved_is_dropped() -> None:
    plan = plans.gpt2_medium()
    old = plan.model_copy(update={"verified": Verified.of(plan.fingerprint(), {"training": proofs()}, "1.13.1")})
    assert PartitionPlan.from_dict(old.to_dict()) == old
    now = verified(old, mode="inference").verified
    assert now is not None
    assert set(now.modes()) == {"inference"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_said_to_be_none(value: float) -> None:
    found = proofs(max_absolute=value, passed=False, difference="output 0 is not finite")
    assert found.equivalence is not None
    assert found.equivalence.max_absolute is None
    assert "no number" in to_text(render_verified(plans.bart(), {"training": found}))
    with pytest.raises(ValidationError, match="not a finite number"):
        proofs(max_absolute=value)


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (Placed, {"matched": 318}, "318 of 319 ops"),
        (Placed, {"ops": 0, "matched": 0}, "0 of 0 ops"),
        (Placed, {"matched": 320, "passed": False, "difference": "x"}, "320 of 319 ops"),
        (Placed, {"passed": False}, "names its first difference"),
        (Placed, {"difference": "x"}, "has no difference"),
        (Placed, {"passed": False, "difference": ""}, "at least 1 character"),
        (Equivalent, {"outputs": 0}, "no output was compared"),
        (Equivalent, {"layers": {"h": [3, 2]}}, "more layers were kept"),
        (Equivalent, {"layers": {"h": [0, 2]}}, "greater than or equal to 1"),
        (Equivalent, {"layers": "some"}, "Input should be 'all'"),
        (Equivalent, {"seconds": 3.0}, "Extra inputs"),
        (Peaked, {"ipus": []}, "no IPU was measured"),
        (Peaked, {"ipus": [{**IPU, "ipu": 1}, IPU]}, "not in order"),
        (Peaked, {"ipus": [IPU, IPU]}, "not in order"),
    ],
)
def test_proofs_that_contradict_themselves_are_refused(make: Any, changes: dict[str, Any], message: str) -> None:
    whole = {Placed: PLACED, Equivalent: EQUIVALENT, Peaked: PEAKED}[make]
    make(**whole)
    with pytest.raises(ValidationError, match=message):
        make(**{**whole, **changes})


def test_something_is_proved() -> None:
    with pytest.raises(ValidationError, match="nothing was proved"):
        Verification()
    with pytest.raises(ValidationError, match="no mode was verified"):
        Verified(torch="2.13.0", seal="0" * 16)


def _saved(plan: PartitionPlan, folder: Path) -> str:
    folder.mkdir()
    (folder / PLAN_NAME).write_text(plan.to_json())
    return str(folder)


def test_show_says_what_was_verified_a_line_for_each_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = verified(verified(plans.gpt2_medium()), failed(), "inference")
    assert main(["show", _saved(plan, tmp_path / "a")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "Verified, training: placement, equivalence, peak passed",
        "Verification FAILED, inference: equivalence: output 0 differs by 3.2",
    ]
    assert main(["show", _saved(plans.gpt2_medium(), tmp_path / "b")]) == 0
    assert "erif" not in capsys.readouterr().out


def test_being_verified_is_no_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, other = plans.gpt2_medium(), verified(plans.gpt2_medium())
    assert changes(plan, other) == []
    assert main(["diff", _saved(plan, tmp_path / "a"), _saved(other, tmp_path / "b")]) == 0
    assert capsys.readouterr().out == "No difference.\n"


def test_the_report_names_every_proof_with_its_figure() -> None:
    plan = plans.gpt2_medium()
    found = {"training": proofs(layers={"transformer.h": (2, 24)}, notes=["2 of 24 layers."]), "inference": failed()}
    text = " ".join(to_text(render_verified(plan, found)).split())
    for words in (
        "gpt2-medium (GPT2LMHeadModel): training on 8 IPUs, inference on 4 IPUs",
        "Placement passed 319 of 319 ops where the plan says 74 parameters on one IPU each 3 stages in order",
        "Equivalence passed 2 outputs and 74 gradients compared",
        "largest difference 1.2e-07, relative 0 (tolerance 1e-05)",
        "3 tensors crossed stages: 2,112 bytes, 2,112 by the plan",
        "Peak passed saved 900 bytes, 900 by the plan stashed 70 bytes, 70 by the plan received 5 bytes",
        "Note: 2 of 24 layers.",
        "Equivalence FAILED",
    ):
        assert words in text
    assert text.endswith("FAILED: inference, equivalence: output 0 differs by 3.2")


def test_a_proof_that_was_not_made_is_shown_as_that() -> None:
    found = Verification(placement=Placed(passed=False, difference="no", ops=0, matched=0, parameters=0, stages=0))
    text = to_text(render_verified(plans.bart(), {"training": found}))
    assert [line.split()[:3] for line in text.splitlines() if "not run" in line] == [
        ["Equivalence", "not", "run"],
        ["Peak", "not", "run"],
    ]


def test_the_report_says_that_a_plan_does_not_fit() -> None:
    text = to_text(render_verified(plans.not_fitting(), {"training": proofs()}))
    assert "It does not fit into memory" in text
    assert "VERIFIED: training" in text


def test_the_document_is_json_without_times() -> None:
    text = json.dumps(verified(plans.bart()).to_dict()["verified"])
    assert "seconds" not in text
    assert "_us" not in text
