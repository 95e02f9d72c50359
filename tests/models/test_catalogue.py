"""The built-in models: which, under what names, and that they are what was published."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import resources

import pytest
import transformers

from ipu_partition.models import build, catalogue, resolve
from ipu_partition.models.builtin import find

NAMES = [
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "bert-base-uncased",
    "bert-large-uncased",
    "roberta-base",
    "roberta-large",
    "microsoft/deberta-base",
    "facebook/bart-base",
    "facebook/bart-large",
    "t5-small",
    "t5-base",
    "t5-large",
    "google/mt5-small",
    "unc-nlp/lxmert-base-uncased",
    "google/vit-base-patch16-224-in21k",
    "google/vit-large-patch16-224",
    "facebook/hubert-base-ls960",
    "facebook/hubert-large-ll60k",
    "facebook/wav2vec2-base",
    "facebook/wav2vec2-large",
    "distilbert-base-uncased",
    "microsoft/mpnet-base",
    "facebook/convnext-base-224",
    "openai/whisper-tiny",
    "openai/whisper-small",
    "openai/whisper-medium",
    "openai/whisper-large-v2",
]


def test_the_catalogue_holds_exactly_these_models() -> None:
    assert sorted(entry.name for entry in catalogue()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    entry = find(name)
    assert entry is not None
    spec = resolve(name)
    counted = replace(spec, model_class=getattr(transformers, entry.counted_class), architecture=entry.counted_class)
    model, _ = build(counted, training=False)
    assert sum(p.numel() for p in model.parameters()) == entry.parameters


@pytest.mark.parametrize("name", NAMES)
def test_full_names_hub_ids_and_short_names_are_the_same_model(name: str) -> None:
    entry = find(name)
    assert entry is not None
    assert find(entry.hub_id) is find(name.split("/")[-1]) is find(entry.hub_id.split("/")[-1]) is entry


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("openai-community/gpt2", "gpt2"),
        ("google-bert/bert-base-uncased", "bert-base-uncased"),
        ("FacebookAI/roberta-base", "roberta-base"),
        ("google-t5/t5-small", "t5-small"),
        ("distilbert/distilbert-base-uncased", "distilbert-base-uncased"),
        ("deberta-base", "microsoft/deberta-base"),
        ("whisper-tiny", "openai/whisper-tiny"),
    ],
)
def test_new_and_short_names_resolve(alias: str, name: str) -> None:
    spec = resolve(alias)
    assert (spec.name, spec.source) == (name, "built-in")


def test_no_name_means_two_models() -> None:
    short = [name.split("/")[-1] for entry in catalogue() for name in {entry.name, entry.hub_id}]
    owners = {
        name: {e.name for e in catalogue() if name in (e.name.split("/")[-1], e.hub_id.split("/")[-1])}
        for name in short
    }
    assert all(len(models) == 1 for models in owners.values())


def test_configurations_hold_architecture_fields_only() -> None:
    forbidden = {"model_type", "transformers_version", "torch_dtype", "_name_or_path", "architectures"}
    assert not any(forbidden & set(entry.config) for entry in catalogue())


def test_the_data_is_package_data() -> None:
    files = [
        f for f in resources.files("ipu_partition.models").joinpath("catalogue").iterdir() if f.name.endswith(".json")
    ]
    assert sum(len(json.loads(f.read_text("utf-8"))["models"]) for f in files) == len(NAMES)


def test_the_listed_task_is_the_planned_one() -> None:
    assert {entry.name: resolve(entry.name).task for entry in catalogue()} == {e.name: e.task for e in catalogue()}


def test_importing_and_listing_load_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, ipu_partition.models as m; assert len(m.catalogue()) == 29; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
