from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipu_partition.report.text import clean, count, mebibytes, milliseconds, module_ranges, percent, ranges, size


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (mebibytes(1_048_576), "1.0"),
        (size(1_289_748_480), "1,230.0 MiB"),
        (milliseconds(1570.0), "1.570 ms"),
        (milliseconds(None), "-"),
        (percent(0.7589), "75.9 %"),
        (count(354_823_168), "354.8 M"),
        (count(1_557_611_200), "1.6 G"),
        (count(999), "999"),
        (ranges([0, 1, 2, 5, 7, 8]), "0-2, 5, 7-8"),
        (ranges([]), ""),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (["wte", *(f"transformer.h.{i}" for i in range(7)), "ln_f"], "wte, transformer.h.0-6, ln_f"),
        (["h.0", "h.1", "h.3", "g.4"], "h.0-1, h.3, g.4"),
        (["c.0.conv", "c.1.conv", "c.2.norm"], "c.0-1.conv, c.2.norm"),
        (["e.0.layer.1", "e.1.layer.2"], "e.0.layer.1, e.1.layer.2"),
        (["h.01", "h.02"], "h.01, h.02"),
        (["a", "a"], "a, a"),
        (["0", "1"], "0-1"),
        ([""], ""),
        ([], ""),
    ],
)
def test_modules_in_a_row_are_one_range(modules: list[str], expected: str) -> None:
    assert module_ranges(modules) == expected


@given(st.text())
def test_clean_text_moves_no_cursor(text: str) -> None:
    cleaned = clean(text)
    assert all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in cleaned)
    assert len(cleaned.splitlines()) <= 1


def test_clean_keeps_what_can_be_read() -> None:
    assert clean("gpt2-médium 日本 [b]") == "gpt2-médium 日本 [b]"
    assert clean("a\x1b[31m\nb\u202e") == r"a\x1b[31m\nb\u202e"
