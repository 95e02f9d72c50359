"""Names of folders: readable, safe, and no two the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipu_partition.batch import Entry
from ipu_partition.batch.names import folder_names

SAFE = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9]([A-Za-z0-9._-]{0,90}[A-Za-z0-9])?-ipu")


def names(*models: str) -> list[str]:
    return folder_names([Entry(model) for model in models])


def test_plain_names() -> None:
    assert names("gpt2", "facebook/bart-base", "acme/bart-base", "bart_base") == [
        "gpt2-ipu",
        "bart-base-ipu",
        "acme_bart-base-ipu",
        "bart_base-ipu",
    ]


def test_options_are_in_the_name() -> None:
    found = folder_names(
        [
            Entry("gpt2"),
            Entry("gpt2", {"sequence_length": 512, "fit": True}),
            Entry("gpt2", {"config": {"n_layer": 3}}),
            Entry("gpt2", {"config": {"n_layer": 4}}),
        ]
    )
    assert found[:2] == ["gpt2-ipu", "gpt2-fit-True-sequence_length-512-ipu"]
    assert all(re.fullmatch("gpt2-[0-9a-f]{8}-ipu", name) for name in found[2:])
    assert found[2] != found[3]


def test_a_name_does_not_depend_on_the_rest_of_the_list() -> None:
    assert names("acme/bart-base") == names("facebook/bart-base", "acme/bart-base")[1:]


def test_the_same_name_twice_gets_digests() -> None:
    """Also where only the case differs, which some file systems do not see."""
    for pair in (("Acme/Model", "acme/model"), ("a_b/c", "a/b_c")):
        one, other = names(*pair)
        assert one.casefold() != other.casefold()
        assert all(re.fullmatch("(?i)[a-z_]+-[0-9a-f]{8}-ipu", name) for name in (one, other))


def test_a_folder_gives_its_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "./mine", "mine/", str(tmp_path / "mine"), "mine/config.json"):
        assert names(name) == ["mine-ipu"]


@pytest.mark.parametrize(
    "model",
    ["../../etc/passwd", "/etc/passwd", "..", "a/..", "~root/x", "C:\\x", "x;rm -rf /", "-rf", ".git", "a--b", "é/ü",
     "$(id)", "`id`", "a\u202eb/c", "x" * 999, "con", "a/b/c/d", "a\nb"],
)  # fmt: skip
def test_hostile_names_stay_inside(model: str) -> None:
    (name,) = names(model)
    assert SAFE.fullmatch(name), name


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=6, unique=True))
def test_any_names_are_safe_and_distinct(models: list[str]) -> None:
    found = names(*models)
    assert all(SAFE.fullmatch(name) for name in found)
    assert len({name.casefold() for name in found}) == len(found)
