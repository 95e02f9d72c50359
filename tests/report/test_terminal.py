"""What people see. The golden texts are the specification; look at them."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from ipu_partition.report.lists import render_audit, render_models
from ipu_partition.report.terminal import render_plan, show_plan, to_text
from tests.plans_edit import edited

GOLDEN = Path(__file__).parent / "golden"
NAMES = [
    "gpt2_medium", "overruled", "bart", "deberta", "inference_only", "not_fitting", "made_to_fit", "hopeless",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("gpt2_medium", 80),
        ("gpt2_medium", 120),
        ("overruled", 80),
        ("not_fitting", 80),
        ("not_fitting", 40),
        ("made_to_fit", 80),
        ("hopeless", 80),
    ],
)
def test_golden(plans: ModuleType, name: str, width: int) -> None:
    expected = (GOLDEN / f"{name}_{width}.txt").read_text(encoding="utf-8")
    assert to_text(render_plan(plans.ALL[name](), width), width) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_asked_and_no_number_is_cut(plans: ModuleType, name: str, width: int) -> None:
    plan = plans.ALL[name]()
    text = to_text(render_plan(plan, width), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    totals = "".join(line for line in text.splitlines() if line.startswith("total "))
    assert totals.count(" 680.0") + totals.count("1,230.0") == sum(len(m.ipus) for m in plan.modes().values())


def test_every_ipu_is_shown_however_many(plans: ModuleType) -> None:
    layers = [1] * 16
    training = plans.mode_plan(plans.workload("training", 16), plans.gpt2_blocks(layers), layers_per_ipu=layers)
    text = to_text(render_plan(plans.plan(training, None), 80), 80)
    assert re.findall(r"IPU (\d+)", text) == [str(i) for i in range(16)]


def test_a_term_that_is_0_everywhere_is_not_shown(plans: ModuleType) -> None:
    data = plans.bart().to_dict()
    data["training"]["ipus"][0]["memory"]["terms"]["nowhere"] = 0
    assert "nowhere" not in to_text(render_plan(edited(data)))


def test_a_plan_that_does_not_fit_says_how_much_where_and_what_helps(plans: ModuleType) -> None:
    text = to_text(render_plan(plans.not_fitting(), 120), 120)
    assert "DOES NOT FIT" in text
    assert "IPU 1 lacks 333.5 MiB (349,748,480 bytes)" in text
    assert "--optimizer-state-offchip (fits then): saves 500.0 MiB, 630.2 samples/s (-1.1 %)\n" in text
    assert "--sequence-length 512 (does not fit yet): saves 100.0 MiB, 1,100.0 samples/s\n" in text


def test_a_plan_that_was_made_to_fit_says_what_was_changed(plans: ModuleType) -> None:
    text = to_text(render_plan(plans.made_to_fit(), 120), 120)
    assert "Changed to make it fit, for it lacked 300.0 MiB (17 plans tried, 4.4 % slower):" in text
    assert "  --matmul-proportion 0.1: let matrix products use 10% of a tile for temporaries" in text
    assert "  --micro-batch-size 2: saves 70.0 MiB, 500.0 samples/s (-21.5 %)\n" in text
    assert "Nothing makes it fit (4 plans tried)." in to_text(render_plan(plans.hopeless(), 120), 120)


def test_optimal_is_said_only_where_it_was_proved(plans: ModuleType) -> None:
    assert "optimal" not in to_text(render_plan(plans.bart()))
    assert "feasible: cycle 1.570 ms, bound 1.500 ms, gap 4.7 %" in to_text(render_plan(plans.bart(), 120), 120)


def test_warnings_are_shown(plans: ModuleType) -> None:
    assert "Warning: optimum-graphcore infers sharded" in to_text(render_plan(plans.deberta(), 120), 120)


def test_names_are_neither_markup_nor_control(plans: ModuleType) -> None:
    hostile = "[bold red]x[/] [link=http://e]\x1b[31m\r\nResult  fits :smile:\u202e"
    data = plans.not_fitting().to_dict()
    data["model"]["name"] = data["model"]["source"] = hostile
    data["training"]["stages"][0]["modules"] = [hostile]
    data["training"]["levers"][0]["description"] = hostile
    data["warnings"] = data["training"]["warnings"] = [hostile]
    out = io.StringIO()
    show_plan(edited(data), out)
    text = out.getvalue()
    assert text.count("[bold red]x[/]") == 6
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert not re.search(r"^Result +fits", text, re.MULTILINE)


def test_colours_only_on_a_terminal(plans: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal, pipe = Terminal(), io.StringIO()
    show_plan(plans.bart(), terminal)
    show_plan(plans.bart(), pipe)
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in pipe.getvalue()


def test_an_ascii_stream_is_enough(plans: ModuleType) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    show_plan(plans.gpt2_medium(), stream)
    stream.flush()
    assert b"transformer.h.1-3" in raw.getvalue()


def test_the_audit_lists_every_op(plans: ModuleType) -> None:
    data = plans.bart().to_dict()
    data["audit"]["unknown"] = {"aten.odd.default": [3, 0.02]}
    text = to_text(render_audit(edited(data)))
    assert re.search(r"aten\.addmm\.default +counted +97", text)
    assert re.search(r"aten\.view\.default +ignored +240 +moves nothing", text)
    assert re.search(r"aten\.odd\.default +UNKNOWN +3 +2\.0 % of activation traffic", text)
    data["audit"] = {}
    assert to_text(render_audit(edited(data))) == "No op was seen.\n"


@dataclass(frozen=True)
class Entry:
    name: str
    parameters: int
    task: str
    counted_class: str


def test_models_are_one_line_each() -> None:
    entries = [Entry("gpt2", 124_439_808, "text-generation", "GPT2LMHeadModel"), Entry("b", 1, "t", "C")]
    lines = to_text(render_models(entries)).splitlines()
    assert len(lines) == 4
    assert lines[2].split() == ["gpt2", "124.4", "M", "text-generation", "GPT2LMHeadModel"]
