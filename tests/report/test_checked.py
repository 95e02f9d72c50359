"""What `check` and `compare` print. The golden texts are the specification; look at them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition.compared import Comparison
from ipu_partition.plan import PartitionPlan
from ipu_partition.report.checked import render_checked
from ipu_partition.report.compared import render_comparison
from ipu_partition.report.terminal import to_text
from tests.plans_edit import edited

GOLDEN = Path(__file__).parent / "golden"
NAMES = ["gpt2_medium", "bart", "deberta", "inference_only", "not_fitting"]
FINDINGS = [
    {"mode": "training", "field": "layers_per_ipu", "text": "[red]\x1b[31m\u202e is shown as it is.", "fatal": False},
    {"mode": None, "field": "layer_per_ipu", "text": "'layer_per_ipu' is no field of IPUConfig.", "fatal": True},
]


def _checked(plan: PartitionPlan, **changes: Any) -> PartitionPlan:
    return edited(plan.to_dict() | {"checked": "given/ipu_config.json"} | changes)


def _faster(plan: PartitionPlan) -> PartitionPlan:
    """The same plan with a tenth less time, on two stages less."""
    data = plan.to_dict()
    training = data["training"]
    training["solution"] |= {"objective_us": 1413.0, "lower_bound_us": 1413.0}
    training["stages"] = [s | {"index": i} for i, s in enumerate(training["stages"][2:])]
    return edited(data)


@pytest.mark.parametrize("width", [40, 80])
def test_golden_check(plans: ModuleType, width: int) -> None:
    expected = (GOLDEN / f"checked_{width}.txt").read_text(encoding="utf-8")
    plan = _checked(plans.not_fitting(), findings=FINDINGS)
    without = {"training": {**plan.to_dict()["training"], "levers": []}}
    assert to_text(render_checked(_checked(plan, **without), width), width) == expected
    assert "--sequence-length 512" in to_text(render_checked(plan))


@pytest.mark.parametrize("width", [40, 80])
def test_golden_compare(plans: ModuleType, width: int) -> None:
    expected = (GOLDEN / f"compared_{width}.txt").read_text(encoding="utf-8")
    theirs = _checked(plans.gpt2_medium())
    assert to_text(render_comparison(Comparison(_faster(theirs), theirs), width), width) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_asked_and_no_number_is_cut(plans: ModuleType, name: str, width: int) -> None:
    plan = _checked(plans.ALL[name]())
    for part in (render_checked(plan, width), render_comparison(Comparison(plans.ALL[name](), plan), width)):
        text = to_text(part, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
    rows = [line for line in to_text(render_checked(plan, width), width).splitlines() if line.startswith("IPU ")]
    assert len(rows) == sum(len(mode.ipus) for mode in plan.modes().values())
    assert all(" %" in row for row in rows)


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [([], "FITS: "), (FINDINGS[:1], "FITS: "), (FINDINGS, "WRONG: "), (FINDINGS[1:], "WRONG: ")],
)
def test_the_verdict_comes_first(plans: ModuleType, findings: list[dict[str, Any]], verdict: str) -> None:
    assert to_text(render_checked(_checked(plans.bart(), findings=findings))).startswith(verdict)
    assert to_text(render_checked(_checked(plans.not_fitting(), findings=findings))).startswith("DOES NOT FIT: ")


def test_findings_alone_are_a_report(plans: ModuleType) -> None:
    plan = _checked(plans.bart(), training=None, inference=None, fits=False, findings=FINDINGS)
    text = to_text(render_checked(plan))
    assert text.startswith("WRONG: nothing in it can be predicted; the file cannot run as it is")
    assert "Wrong: 'layer_per_ipu' is no field" in text
    assert "\x1b" not in text


def test_what_theirs_lacks_is_left_empty(plans: ModuleType) -> None:
    theirs = _checked(plans.bart(), training=None, inference=None, fits=False, findings=FINDINGS)
    text = to_text(render_comparison(Comparison(plans.bart(), theirs)))
    assert text.startswith("training: theirs is no plan")
    assert "Theirs" not in text
