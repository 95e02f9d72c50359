"""Lists of models: what they may say, and that nothing else gets in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ipu_partition.batch import Entry, of_catalogue, read_entries
from ipu_partition.batch.options import ELSEWHERE, KINDS, request_for
from ipu_partition.errors import UsageError
from ipu_partition.models import catalogue
from ipu_partition.request import Options, Request


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "models.txt"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def pairs(entries: list[Entry]) -> list[tuple[str, dict[str, object]]]:
    return [(entry.model, dict(entry.options)) for entry in entries]


def test_a_text_file(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "\ufeff# models\r\n\n"
        "gpt2\n"
        "roberta-base task=text-classification sequence-length=384 fit=yes # the second\n"
        "'a folder/with blanks' matmul_proportion=0.1,0.2 layers=3,-1 config=n_layer=3 "
        "config=n_head=2 pins=lm_head=0\n",
    )
    assert pairs(read_entries(file)) == [
        ("gpt2", {}),
        ("roberta-base", {"task": "text-classification", "sequence_length": 384, "fit": True}),
        (
            "a folder/with blanks",
            {
                "matmul_proportion": (0.1, 0.2),
                "layers": (3, -1),
                "config": {"n_layer": "3", "n_head": "2"},
                "pins": {"lm_head": 0},
            },
        ),
    ]


@pytest.mark.parametrize("lines", [True, False])
def test_json(tmp_path: Path, lines: bool) -> None:
    values = [{"model": "gpt2"}, {"model": "bert-base-uncased", "sequence_length": 16, "config": {"num_labels": 3}}]
    text = "\n\n".join(map(json.dumps, values)) if lines else json.dumps(values, indent=1)
    assert pairs(read_entries(written(tmp_path, text))) == [
        ("gpt2", {}),
        ("bert-base-uncased", {"sequence_length": 16, "config": {"num_labels": 3}}),
    ]


def test_json_names_alone(tmp_path: Path) -> None:
    assert pairs(read_entries(written(tmp_path, '["gpt2", {"model": "t5-small", "task": null}]'))) == [
        ("gpt2", {}),
        ("t5-small", {}),
    ]


def test_what_is_asked_for_twice_is_planned_once(tmp_path: Path) -> None:
    """`bart-base` and the Hub's new names are the same built-in models."""
    file = written(
        tmp_path,
        "bart-base\nfacebook/bart-base\nopenai-community/gpt2\ngpt2\n" + "gpt2 sequence_length=16\n" * 2,
    )
    assert pairs(read_entries(file)) == [
        ("facebook/bart-base", {}),
        ("gpt2", {}),
        ("gpt2", {"sequence_length": 16}),
    ]


def test_a_folder_written_two_ways_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other names are left as they are: a folder `./gpt2` is not the built-in model."""
    monkeypatch.chdir(tmp_path)
    for name in ("m/x", "gpt2"):
        (tmp_path / name).mkdir(parents=True)
    file = written(tmp_path, f"m/x\n./m/x\nm/x/\n{tmp_path}/m/x\n./gpt2\ngpt2\nm/y\n./m/y\n")
    assert [entry.model for entry in read_entries(file)] == ["m/x", "./gpt2", "gpt2", "m/y", "./m/y"]


def test_a_revision_is_of_the_hub(tmp_path: Path) -> None:
    assert pairs(read_entries(written(tmp_path, "bart-base revision=main\n"))) == [("bart-base", {"revision": "main"})]


def test_the_catalogue() -> None:
    assert [entry.model for entry in of_catalogue(())] == [entry.name for entry in catalogue()]
    assert [entry.model for entry in of_catalogue(["bart-base", "gpt2", "facebook/bart-base"])] == [
        "facebook/bart-base",
        "gpt2",
    ]
    with pytest.raises(UsageError, match=r"no model 'gtp2'. Did you mean gpt2"):
        of_catalogue(["gtp2"])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            "gpt2\nbert-base-uncased sequence_length=many\n",
            r"line 2: sequence_length is 'many', expected a whole number",
        ),
        (
            "gpt2\n\n# x\nt5-small seqence_length=3\n",
            r"line 4: Unknown option 'seqence_length'. Did you mean sequence_",
        ),
        ("gpt2 384\n", r"line 1: '384' is no option; expected key=value"),
        ("gpt2 task=\n", r"line 1: 'task=' is no option"),
        ("gpt2 fit=perhaps\n", r"line 1: fit is 'perhaps', expected true or false"),
        ("gpt2 task=a task=b\n", r"line 1: task is given 2 times"),
        ("gpt2 'task=a\n", r"line 1: No closing quotation; close the quotation marks"),
        ("gpt2 replicas=4\n", r"line 1: replicas cannot be given .* the pod has room for"),
        ("gpt2 machine=bow\n", r"line 1: machine cannot be given .* --machines"),
        ("evil/model trust_remote_code=true\n", r"line 1: trust_remote_code cannot .* on the command line alone"),
        ("gpt2\x1b[31m\n", r"line 1: 'gpt2\\x1b\[31m' is no name of a model"),
        ("''\n", r"line 1: '' is no name"),
        ("x" * 1001, r"line 1: 'xxx.* is no name"),
        ("# nothing\n", r"names no model"),
        ("", r"names no model"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", r"is no text in UTF-8"),
        (b"gpt2\0\n", r"null characters"),
        (b"gpt2\n" * (5 << 20), r"has more than 4,194,304 bytes"),
        ("gpt2 ipus=2\n" * 10_001, r"line 10001: more than 10,000 models"),
        ('[{"model": "gpt2"}, {"model": 3}]', r"model 2: it has no \"model\" that is a text"),
        ('[{"model": "gpt2"}, 3]', r"model 2: it holds a JSON int, expected an object"),
        ('[{"model": "gpt2", "sequence_length": "16"}]', r"model 1: sequence_length is '16', expected a whole number"),
        ('[{"model": "gpt2", "sequence_length": true}]', r"model 1: sequence_length is True, expected a whole number"),
        ('[{"model": "gpt2", "audio_seconds": NaN}]', r"model 1: it is not JSON"),
        ('[{"model": "gpt2", "model": "t5-small"}]', r"is not JSON \(an object has a key twice: 'model', 'model'\)"),
        ('[{"model": "gpt2", "loss": "x"}]', r"model 1: loss cannot be given"),
        ('[{"model": "gpt2"}', r"is not JSON"),
        ("[" * 100_000, r"is not JSON"),
        ('{"model": "gpt2"}\n{"model": "gpt2", "fit": 1}\n', r"line 2: fit is 1, expected true or false"),
        ('{"model": "gpt2"}\ngpt2\n', r"line 2: it is not JSON"),
        ('{"a":' * 100_000, r"line 1: it is not JSON"),
        ('{"model": "\\ud800"}', r"line 1: it is not JSON"),
    ],
    ids=range(32),
)
def test_a_bad_list_is_refused_with_the_place(tmp_path: Path, content: str | bytes, found: str) -> None:
    with pytest.raises(UsageError, match=found) as caught:
        read_entries(written(tmp_path, content))
    assert "models.txt" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", tmp_path / ("x" * 5000)):
        with pytest.raises(UsageError, match="cannot be read"):
            read_entries(path)


def test_endless_input_ends() -> None:
    with pytest.raises(UsageError, match="more than"):
        read_entries("/dev/zero")


def test_every_keyword_is_read_or_refused() -> None:
    assert {*KINDS} | {*ELSEWHERE} == {*Options.__annotations__, "ipus"}
    assert not {*KINDS} & {*ELSEWHERE}


def test_options_of_the_model_go_first() -> None:
    asked = request_for({"sequence_length": 384, "precision": "16.32"}, {"sequence_length": 16})
    assert asked == Request(sequence_length=16, precision="16.32")


@pytest.mark.parametrize(
    "options",
    [
        {"sequence_length": 0},
        {"audio_seconds": -1.0},
        {"precision": "8.8"},
        {"planner": "nowhere"},
        {"pins": {"lm_head": -1}},
        {"layers": (1, 2), "ipus": 4},
        {"embedding_serialization_factor": 2, "serialized_embedding_splits_per_ipu": (1, 1)},
        {"config": {"n_layer": 10**9}},
    ],
)
def test_values_are_checked_before_anything_begins(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        request_for({}, options)
