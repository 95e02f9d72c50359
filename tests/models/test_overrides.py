"""Configuration overrides: how values are read, which names exist, and that they reach the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config

from ipu_partition.errors import UsageError
from ipu_partition.models import build, resolve
from ipu_partition.models.overrides import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6", 6),
        ("-1", -1),
        ("0.1", 0.1),
        ("1e-5", 1e-5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("gelu", "gelu"),
        ("[3, 3, 9]", [3, 3, 9]),
        ('["c2p"]', ["c2p"]),
        ('{"0": "yes"}', {"0": "yes"}),
        ("[1, 2", "[1, 2"),
        ("", ""),
    ],
)
def test_values_are_read_as_json_else_as_text(text: str, value: object) -> None:
    parsed = parse({"field": text})["field"]
    assert parsed == value
    assert type(parsed) is type(value)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UsageError):
        json.dumps(parse({"field": text}), allow_nan=False)


@pytest.mark.parametrize("value", [object(), {1}, b"x", "[" * 100_000])
def test_values_no_configuration_holds(value: Any) -> None:
    with pytest.raises(UsageError, match="field"):
        parse({"field": value})


@pytest.mark.parametrize(
    ("model", "overrides", "field", "value"),
    [
        ("gpt2", {"num_hidden_layers": "6"}, "n_layer", 6),
        ("gpt2", {"n_layer": 6}, "num_hidden_layers", 6),
        ("bert-base-uncased", {"num_labels": "14"}, "num_labels", 14),
        ("google/vit-large-patch16-224", {"num_labels": "14"}, "num_labels", 14),
        ("bert-base-uncased", {"id2label": '{"0": "a", "1": "b", "2": "c"}'}, "num_labels", 3),
        ("facebook/convnext-base-224", {"depths": "[3, 3, 9, 3]"}, "depths", [3, 3, 9, 3]),
        ("t5-small", {"tie_word_embeddings": "false"}, "tie_word_embeddings", False),
        (
            "bert-base-uncased",
            {"problem_type": "multi_label_classification"},
            "problem_type",
            "multi_label_classification",
        ),
    ],
)
def test_overrides_reach_the_configuration(
    model: str, overrides: Mapping[str, object], field: str, value: object
) -> None:
    assert getattr(resolve(model, config=overrides).config, field) == value


def test_a_new_number_of_labels_takes_old_names_away(folder: Callable[..., Path]) -> None:
    path = folder(model_type="bert", id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})
    assert resolve(path).config.num_labels == 3
    assert resolve(path, config={"num_labels": 5}).config.num_labels == 5


def test_an_alias_beside_the_field_it_stands_for(folder: Callable[..., Path]) -> None:
    path = folder(model_type="gpt2", n_layer=4, num_hidden_layers=3)
    assert resolve(path).config.n_layer == 3
    assert resolve(path, config={"n_layer": 2}).config.n_layer == 2


def test_fields_a_configuration_adds_can_be_overridden(folder: Callable[..., Path]) -> None:
    assert resolve(folder(model_type="t5", n_positions=512), config={"n_positions": 64}).config.n_positions == 64


@pytest.mark.parametrize("model", ["bert-base-uncased", GPT2Config()])
def test_unknown_names(model: Any) -> None:
    with pytest.raises(UsageError, match=r"Config has no field 'num_hiden_layers'. Did you mean num_hidden_layers"):
        resolve(model, config={"num_hiden_layers": "6"})
    for name in ("zzz", "_name_or_path", "to_dict", "__class__", "model_type", "dtype"):
        with pytest.raises(UsageError, match="no field"):
            resolve(model, config={name: "x"})


@pytest.mark.parametrize("model", ["gpt2", GPT2Config()])
@pytest.mark.parametrize("value", ["1000000000", "0", "-3", "six", "2.5", "[1]"])
def test_values_out_of_bounds_or_of_another_kind(model: Any, value: str) -> None:
    with pytest.raises(UsageError, match=r"n_layer|num_hidden_layers"):
        resolve(model, config={"num_hidden_layers": value})


def test_overrides_reach_the_model() -> None:
    spec = resolve(
        "bert-base-uncased", task="text-classification", config={"num_hidden_layers": "2", "num_labels": "14"}
    )
    model, _ = build(spec, training=False)
    assert len(model.get_submodule("bert.encoder.layer")) == 2  # type: ignore[arg-type]
    assert model.get_parameter("classifier.weight").shape == (14, 768)
