"""What people see of an explanation. The golden text is the specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipu_partition.explanation import Explanation
from ipu_partition.report.explanation import render_explanation
from ipu_partition.report.terminal import to_text

GOLDEN = Path(__file__).parent / "golden"
MIB = 1 << 20


def _cut(**changes: Any) -> dict[str, Any]:
    return {
        "layers_per_ipu": [0, 5, 7],
        "moves": [{"modules": ["h.4"], "from_ipu": 2, "to_ipu": 1}],
        "objective_us": 5200.0,
        "slower_us": 200.0,
        "peak_bytes": 820 * MIB,
        "more_bytes": 20 * MIB,
        "worse_in": "time",
        "fits": True,
        "proved": True,
        **changes,
    }


def _mode(**changes: Any) -> dict[str, Any]:
    return {
        "fits": True,
        "ipus": 3,
        "layers_per_ipu": [0, 6, 6],
        "goal": "cycle",
        "objective_us": 5000.0,
        "slowest": {
            "ipu": 0,
            "us": 5000.0,
            "parts": [
                {"name": "forward", "us": 1000.0},
                {"name": "backward", "us": 3900.0},
                {"name": "copies", "us": 100.0},
            ],
            "workers": [
                {"modules": ["lm_head"], "us": 4800.0, "kinds": {"loss": 3000.0, "matmul": 1800.0}},
                {"modules": ["wte", "wpe"], "us": 100.0, "kinds": {"embedding": 100.0}},
            ],
        },
        "fullest": {
            "ipu": 1,
            "used_bytes": 800 * MIB,
            "free_bytes": 40 * MIB,
            "terms": [
                {"name": "weights", "bytes": 300 * MIB, "source": "17% of it h.0"},
                {"name": "stash", "bytes": 200 * MIB, "source": ""},
            ],
        },
        "memory_decides": True,
        "unlimited": _cut(objective_us=4500.0, slower_us=-500.0, more_bytes=90 * MIB, fits=False),
        "runner_up": _cut(),
        "no_runner_up": "",
        "one_more": [
            {
                "ipu": 1,
                "like": "h.3",
                "ipu_us": 4900.0,
                "objective_us": 5000.0,
                "slower_us": 0.0,
                "used_bytes": 880 * MIB,
                "more_bytes": 80 * MIB,
                "fits": False,
            }
        ],
        "room": [{"like": "h", "more": 2, "at_least": False}],
        "obstacles": [],
        **changes,
    }


def explanation(**changes: Any) -> Explanation:
    lacking = {"ipu": 0, "used_bytes": 900 * MIB, "free_bytes": -60 * MIB, "terms": []}
    inference = _mode(
        fits=False,
        goal="latency",
        fullest=lacking,
        memory_decides=None,
        unlimited=None,
        runner_up=None,
        no_runner_up="Nothing fits.",
        one_more=[],
        room=[],
        obstacles=["wte and lm_head cannot be parted and take at least 900.0 MiB."],
    )
    data = {"model": "gpt2", "architecture": "G", "machine": "mk2", "target": "optimum", "fits": False}
    return Explanation.model_validate({**data, "training": _mode(**changes), "inference": inference})


@pytest.mark.parametrize("width", [40, 80])
def test_golden(width: int) -> None:
    expected = (GOLDEN / f"explanation_{width}.txt").read_text(encoding="utf-8")
    text = to_text(render_explanation(explanation()), width)
    assert text == expected
    assert max(map(len, text.splitlines())) <= width


def test_what_is_not_proved_is_not_claimed() -> None:
    text = to_text(render_explanation(explanation(runner_up=_cut(proved=False), memory_decides=None, unlimited=None)))
    assert "Next best" not in text
    assert "Best of the cuts a step away" in text
    assert "Memory decides" not in text
    assert "Memory decides nothing" in to_text(render_explanation(explanation(memory_decides=False, unlimited=None)))


def test_a_tie_says_what_is_worse() -> None:
    text = to_text(
        render_explanation(explanation(runner_up=_cut(slower_us=0.0, more_bytes=0, worse_in="evenness"))), 200
    )
    assert "(+0.000 ms), +0.0 MiB on the fullest IPU, but the load is less even" in text


def test_names_move_no_cursor() -> None:
    hostile = _cut(moves=[{"modules": ["\x1b[31m[bold]x"], "from_ipu": 0, "to_ipu": 1}], layers_per_ipu=None)
    text = to_text(render_explanation(explanation(runner_up=hostile)))
    assert "\x1b" not in text
    assert "[bold]x" in text
