"""Every source a model can come from, and which class and task it becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import transformers
from torch import nn
from transformers import BertConfig, BertForMaskedLM, GPT2Config, MT5Config

from ipu_partition.errors import UsageError
from ipu_partition.models import Shapes, build, example_inputs, resolve

TINY = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 30}


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        return self.layer(x) if scale is None else self.layer(x) * scale


@pytest.fixture
def tiny_bert() -> BertForMaskedLM:
    return BertForMaskedLM(BertConfig(**TINY))


def test_folder_file_and_path_objects(folder: Callable[..., Path]) -> None:
    path = folder(model_type="bert", architectures=["BertForMaskedLM"], **TINY)
    for model in (str(path), path, path / "config.json", str(path / "config.json")):
        spec = resolve(model)
        assert (spec.source, spec.name, spec.architecture) == ("folder", "model", "BertForMaskedLM")
        assert spec.config.hidden_size == 8
        assert spec.hub_id is None


def test_a_built_in_name_is_not_looked_up_on_disk(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(model_type="bert", **TINY)
    path.rename(path.parent / "gpt2")
    monkeypatch.chdir(path.parent)
    assert resolve("gpt2").source == "built-in"
    assert resolve("./gpt2").model_type == resolve(Path("gpt2")).model_type == "bert"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Hub cache that holds `someone/tiny` at one commit, and nothing else."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "bert", **TINY}))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return commit


def test_hub_ids_come_from_the_cache_when_offline(hub_cache: str) -> None:
    spec = resolve("someone/tiny", task="fill-mask")
    assert (spec.source, spec.hub_id, spec.revision) == ("hub", "someone/tiny", hub_cache)
    assert spec.config.hidden_size == 8


def test_an_offline_miss_names_close_built_in_models(hub_cache: str) -> None:
    with pytest.raises(UsageError, match=r"(?s)'bert-base-uncasd'.*HF_HUB_OFFLINE.*bert-base-uncased"):
        resolve("bert-base-uncasd")


def test_a_revision_asks_the_hub_even_for_a_built_in_name(hub_cache: str) -> None:
    with pytest.raises(UsageError, match="'openai-community/gpt2' at revision 'abc'"):
        resolve("gpt2", revision="abc")


@pytest.mark.parametrize("model", ["", " ", "./nothing", "/nothing/at/all", "a/b/c", "a\0b", "http://x/y", "x" * 9000])
def test_nothing_there(model: str) -> None:
    with pytest.raises(UsageError):
        resolve(model)


def test_revisions_belong_to_the_hub(folder: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="revision"):
        resolve(folder(model_type="bert"), revision="main")
    with pytest.raises(UsageError, match="revision"):
        resolve(GPT2Config(), revision="main")


def test_configurations_are_copied_not_changed() -> None:
    config = GPT2Config(n_layer=2)
    spec = resolve(config, task="text-generation", config={"n_layer": "1"})
    build(spec, training=True)
    assert (spec.source, spec.architecture, spec.config.n_layer) == ("config", "GPT2LMHeadModel", 1)
    assert (config.n_layer, config.use_cache, config._attn_implementation) == (2, True, None)


def test_modules_of_transformers_bring_their_task(tiny_bert: BertForMaskedLM) -> None:
    spec = resolve(tiny_bert)
    assert (spec.source, spec.task, spec.architecture, spec.has_loss) == (
        "module",
        "fill-mask",
        "BertForMaskedLM",
        True,
    )
    assert spec.module is tiny_bert
    inputs = example_inputs(spec, Shapes(sequence_length=3), training=True)
    assert {t.device.type for t in inputs.values()} == {"cpu"}
    assert tiny_bert(**inputs).loss.dim() == 0


def test_a_module_is_for_its_own_task(tiny_bert: BertForMaskedLM) -> None:
    with pytest.raises(UsageError, match="BertForMaskedLM is a class for fill-mask, not for question-answering"):
        resolve(tiny_bert, task="question-answering")
    with pytest.raises(UsageError, match="already built"):
        resolve(tiny_bert, config={"hidden_size": 4})


def test_any_module_with_example_inputs() -> None:
    toy = Toy()
    spec = resolve(toy, example_inputs=(torch.ones(2, 4), torch.ones(4)))
    assert (spec.source, spec.name, spec.task, spec.config) == ("module", "Toy", None, None)
    assert list(example_inputs(spec, Shapes(), training=False)) == ["x", "scale"]
    assert not spec.has_loss
    assert "Toy computes no loss" in spec.loss_note
    with_loss = resolve(toy, example_inputs={"x": torch.ones(2, 4)}, loss=torch.sum)
    assert with_loss.has_loss
    assert with_loss.loss is torch.sum


@pytest.mark.parametrize(
    "inputs", [(), {}, 3, ([1.0],), {"y": torch.ones(1)}, (torch.ones(1),) * 3, {"scale": torch.ones(4)}]
)
def test_example_inputs_that_do_not_fit(inputs: Any) -> None:
    with pytest.raises(UsageError):
        resolve(Toy(), example_inputs=inputs)


@pytest.mark.parametrize("model", [3, None, object(), Toy])
def test_what_is_no_model(model: Any) -> None:
    with pytest.raises(UsageError, match="expected a name"):
        resolve(model)


@pytest.mark.parametrize(
    ("architecture", "model_type", "task"),
    [
        ("BertForQuestionAnswering", "bert", "question-answering"),
        ("BertModel", "bert", "fill-mask"),
        ("Wav2Vec2ForPreTraining", "wav2vec2", "automatic-speech-recognition"),
        ("ViTModel", "vit", "image-classification"),
        ("ElectraForPreTraining", "electra", "pretraining"),
        ("LlamaForCausalLM", "llama", "text-generation"),
    ],
)
def test_default_task(architecture: str, model_type: str, task: str, folder: Callable[..., Path]) -> None:
    assert resolve(folder(model_type=model_type, architectures=[architecture])).task == task


def test_without_an_architecture_an_unknown_family_gets_a_head(folder: Callable[..., Path]) -> None:
    assert resolve(folder(model_type="llama")).architecture == "LlamaForCausalLM"
    assert resolve(folder(model_type="electra")).architecture == "ElectraForPreTraining"
    odd = resolve(folder(model_type="llama", architectures=["SomethingElse"]))
    assert "SomethingElse" in odd.warnings[0]


@pytest.mark.parametrize(
    ("model", "task", "architecture"),
    [
        ("facebook/wav2vec2-base", "automatic-speech-recognition", "Wav2Vec2ForCTC"),
        ("openai/whisper-tiny", "automatic-speech-recognition", "WhisperForConditionalGeneration"),
        ("unc-nlp/lxmert-base-uncased", "visual-question-answering", "LxmertForQuestionAnswering"),
        ("bert-base-uncased", "pretraining", "BertForPreTraining"),
        ("bert-base-uncased", "ner", "BertForTokenClassification"),
        ("t5-small", "translation", "T5ForConditionalGeneration"),
        ("gpt2", "feature-extraction", "GPT2Model"),
    ],
)
def test_tasks_choose_classes(model: str, task: str, architecture: str) -> None:
    assert resolve(model, task=task).architecture == architecture


def test_tasks_that_do_not_exist() -> None:
    with pytest.raises(UsageError, match=r"no task 'fil-mask'. Did you mean fill-mask"):
        resolve("gpt2", task="fil-mask")
    with pytest.raises(UsageError, match=r"visual-question-answering with 'bert'.*fill-mask"):
        resolve("bert-base-uncased", task="visual-question-answering")


@pytest.mark.parametrize("task", ["fill-mask", "pretraining", "question-answering", "multiple-choice"])
def test_heads_compute_a_loss(task: str) -> None:
    assert resolve("bert-base-uncased", task=task).has_loss


def test_why_there_is_no_loss() -> None:
    spec = resolve("bert-base-uncased", task="feature-extraction")
    assert not spec.has_loss
    assert spec.loss_note.startswith("BertModel computes no loss")
    assert "question-answering" in spec.loss_note
    assert "obj_labels" in resolve("lxmert-base-uncased", task="pretraining").loss_note


def test_example_inputs_without_labels_train_nothing() -> None:
    spec = resolve("gpt2", example_inputs={"input_ids": torch.zeros(1, 4, dtype=torch.long)})
    assert not spec.has_loss
    assert "The example inputs hold no labels for GPT2LMHeadModel" in spec.loss_note


def test_a_configuration_given_as_it_is_is_planned_as_it_is() -> None:
    assert resolve(MT5Config(), task="text2text-generation").warnings == ()


def test_trusted_code_of_a_model_runs(
    folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    path = folder(
        model_type="own",
        auto_map={"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"},
        width=4,
    )
    (path / "own.py").write_text(_OWN_CODE)
    spec = resolve(path, task="text-generation", config={"width": "6"}, trust_remote_code=True)
    model, _ = build(spec, training=True)
    assert spec.architecture == "OwnForCausalLM"
    assert model.get_parameter("layer.weight").shape == (6, 6)
    assert set(example_inputs(spec, Shapes(), training=True)) == {"input_ids", "labels"}


_OWN_CODE = """
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

class OwnConfig(PretrainedConfig):
    model_type = "own"
    def __init__(self, width=4, **kwargs):
        self.width = width
        super().__init__(**kwargs)

class OwnForCausalLM(PreTrainedModel):
    config_class = OwnConfig
    def __init__(self, config):
        super().__init__(config)
        self.layer = nn.Linear(config.width, config.width)
        self.post_init()
    def forward(self, input_ids=None, labels=None):
        return self.layer(input_ids)
"""
