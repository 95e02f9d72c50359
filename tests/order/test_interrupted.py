"""Ctrl-C while orders are compared: what was found until then is said."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import pytest

import planners
from ipu_partition import explain_order, partition
from ipu_partition.order import price, priced
from tests.order.test_plan import machine_file
from tests.order.test_price import COPIES, subject
from tests.order.towers import GIVEN, Towers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")


def pressed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Ctrl-C in the first search, which answers with what it has, as planners do; the seconds searches were given."""
    asked: list[float] = []

    def searching(graph: Any, planner: str, seconds: float) -> planners.Solution:
        asked.append(seconds)
        try:
            signal.raise_signal(signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            return planners.solve(graph, "linear")
        raise AssertionError("nobody was interrupted")

    monkeypatch.setattr(price, "_solved", searching)
    return asked


def test_the_best_so_far_is_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, before = pressed(monkeypatch), signal.getsignal(signal.SIGINT)
    found = priced(subject(Towers(), COPIES, 2), time_limit=20)
    assert (len(asked), found.interrupted) == (1, True)
    assert found.best is not None
    assert found.program is not None
    assert 0 < found.lower_bound_us <= found.best.value_us <= found.program.value_us
    assert signal.getsignal(signal.SIGINT) is before


def test_the_explanation_ends_with_the_mode_that_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    asked = pressed(monkeypatch)
    found = explain_order(Towers(), machine=machine_file(tmp_path, COPIES, count=2), **GIVEN)
    assert len(asked) == 1
    assert list(found.modes()) == ["training"]
    assert any("interrupted" in note for note in found.modes()["training"].notes)


def test_no_plan_is_made_in_an_order_that_was_not_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pressed(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        partition(Towers(), machine=machine_file(tmp_path, COPIES, count=2), order="best", **GIVEN)
