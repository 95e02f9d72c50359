"""What the table says, and how its patterns expand."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipu_partition.errors import UsageError
from ipu_partition.families import FamilyRule, default_task, rule_for, rules

TASKS = {
    "text-generation",
    "fill-mask",
    "question-answering",
    "text-classification",
    "token-classification",
    "multiple-choice",
    "text2text-generation",
    "image-classification",
    "automatic-speech-recognition",
    "audio-classification",
    "visual-question-answering",
    "pretraining",
    "feature-extraction",
}
CLASSES = {
    "gpt2": 3,
    "bert": 7,
    "roberta": 5,
    "deberta": 4,
    "distilbert": 5,
    "mpnet": 2,
    "vit": 1,
    "convnext": 1,
    "bart": 2,
    "t5": 2,
    "mt5": 1,
    "whisper": 1,
    "lxmert": 1,
    "hubert": 2,
    "wav2vec2": 2,
}
DEFAULT_TASKS = {
    "gpt2": "text-generation",
    "bert": "fill-mask",
    "roberta": "fill-mask",
    "deberta": "fill-mask",
    "distilbert": "fill-mask",
    "mpnet": "fill-mask",
    "bart": "text2text-generation",
    "t5": "text2text-generation",
    "mt5": "text2text-generation",
    "lxmert": "visual-question-answering",
    "vit": "image-classification",
    "convnext": "image-classification",
    "hubert": "audio-classification",
    "wav2vec2": "automatic-speech-recognition",
    "whisper": "automatic-speech-recognition",
}


def rule(architecture: str) -> FamilyRule:
    found = rule_for(architecture)
    assert found is not None
    return found


def stack(pattern: str, count: int) -> list[str]:
    return [pattern.format(i) for i in range(count)]


def test_every_class_of_optimum_graphcore_is_there():
    assert Counter(r.model_type for r in rules()) == CLASSES
    assert len({r.architecture for r in rules()}) == len(rules())
    assert rule_for("LlamaForCausalLM") is None


def test_default_tasks():
    assert {model_type: default_task(model_type) for model_type in CLASSES} == DEFAULT_TASKS
    assert default_task("llama") is None


@pytest.mark.parametrize("model_type", CLASSES)
def test_the_default_task_has_exactly_one_class(model_type: str):
    tasks = [r.task for r in rules() if r.model_type == model_type]
    assert len(set(tasks)) == len(tasks)
    assert set(tasks) <= TASKS
    assert default_task(model_type) in tasks


@pytest.mark.parametrize("r", rules(), ids=lambda r: r.architecture)
def test_rows_are_consistent(r: FamilyRule):
    rows = (*r.layers, *r.blocks)
    repeated = {user_id for user_id, count in Counter(row.user_id for row in rows).items() if count > 1}
    assert repeated <= {"Embedding"}, "a repeated id is a stage again, on the same IPU"
    assert all(row.ipu == 0 for row in rows if row.user_id in repeated)
    assert all(row.ipu == "layer" for row in r.layers)
    assert all(row.ipu in ("last", "next", "with") or isinstance(row.ipu, int) for row in r.blocks)
    for row in rows:
        assert all("{i}" in row.user_id if "{i}" in pattern else "{" not in row.user_id for pattern in row.modules)
        assert (row.ipu == "with") == (row.with_module is not None)
        assert row.with_module is None or any(row.with_module in other.modules for other in r.blocks)
        assert not isinstance(row.ipu, int) or row.ipu == 0 or (r.ipus is not None and row.ipu < r.ipus)
    assert bool(r.layers) == (r.ipus is None)
    assert r.checkpoints.kind in ("every", "all_but_last", "all_but_index", "always", "ignored")
    assert (r.checkpoints.kind == "ignored") == (not r.checkpoints.modules)
    assert r.source.startswith("huggingface/optimum-graphcore:")


@pytest.mark.parametrize(
    ("architecture", "counted"), [("Wav2Vec2ForCTC", 21), ("HubertForCTC", 21), ("Wav2Vec2ForPreTraining", 23)]
)
def test_speech_classes_count_more_than_encoder_layers(architecture: str, counted: int):
    prefix = "hubert" if architecture == "HubertForCTC" else "wav2vec2"
    names = [
        *stack(prefix + ".feature_extractor.conv_layers.{}", 7),
        f"{prefix}.encoder.pos_conv_embed",
        *stack(prefix + ".encoder.layers.{}", 12),
        *("lm_head", "project_hid", "quantizer", "project_q"),
    ]
    resolved = rule(architecture).resolve(names)
    assert len(resolved.layers) == counted
    assert resolved.blocks == ()
    assert list(resolved.checkpoints) == stack(prefix + ".encoder.layers.{}", 12)


@given(count=st.integers(1, 40), data=st.data())
def test_layers_come_in_numerical_order_whatever_the_order_of_names(count: int, data: st.DataObject):
    layers = stack("transformer.h.{}", count)
    others = [*(f"{path}.attn" for path in layers), "transformer.h", "xtransformer.h.0", "transformer.h.0x"]
    names = data.draw(st.permutations([*layers, *others, "transformer.wte", "transformer.wpe", "lm_head"]))
    resolved = rule("GPT2LMHeadModel").resolve(names)
    assert [b.module for b in resolved.layers] == layers
    assert [b.user_id for b in resolved.layers] == stack("Layer{}", count)
    assert list(resolved.checkpoints) == layers


def test_two_indices_count_stage_by_stage():
    depths = (1, 2, 11)
    names = [f"convnext.encoder.stages.{i}.layers.{j}" for i, depth in enumerate(depths) for j in range(depth)]
    resolved = rule("ConvNextForImageClassification").resolve(
        [*reversed(names), "convnext.embeddings", "convnext.layernorm", "classifier"]
    )
    assert [b.module for b in resolved.layers] == names
    assert resolved.layers[-1].user_id == "Encoder_stage_2_layer_10"


@pytest.mark.parametrize(
    ("here", "there"), [("vit.layers.{}", "vit.encoder.layer.{}"), ("vit.encoder.layer.{}", "vit.layers.{}")]
)
def test_alternatives_keep_the_index(here: str, there: str):
    names = [*stack(here, 12), "vit.embeddings", "vit.layernorm", "classifier"]
    resolved = rule("ViTForImageClassification").resolve(names)
    assert [b.module for b in resolved.layers] == stack(here, 12)
    assert [b.alternatives for b in resolved.layers] == [(path,) for path in stack(there, 12)]
    assert list(resolved.checkpoints) == stack(here, 12)


def test_checkpoints_leave_out_what_the_class_leaves_out():
    encoder, decoder = stack("encoder.block.{}", 3), stack("decoder.block.{}", 5)
    names = [*encoder, *decoder, "encoder.embed_tokens", "decoder", "lm_head"]
    kept = rule("T5ForConditionalGeneration").resolve(names).checkpoints
    assert set(encoder + decoder) - set(kept) == {"encoder.block.2", "decoder.block.2"}
    bert = rule("BertForQuestionAnswering").resolve(
        [*stack("bert.encoder.layer.{}", 4), "bert.embeddings", "qa_outputs"]
    )
    assert list(bert.checkpoints) == stack("bert.encoder.layer.{}", 3)


def test_the_head_of_mt5_moves_where_its_weight_is_tied():
    names = ["encoder.block.0", "decoder.block.0", "encoder.embed_tokens", "decoder", "lm_head"]
    assert rule("MT5ForConditionalGeneration").resolve(names).blocks[-1].ipu == "last"
    assert rule("MT5ForConditionalGeneration").resolve(names, tied=True).blocks[-1].ipu == 0
    assert rule("T5ForConditionalGeneration").resolve(names, tied=False).blocks[-1].ipu == 0


def test_whisper_projection_follows_the_embedding():
    names = ["model.encoder.layers.0", "model.decoder.layers.0", "model.encoder.conv1", "model.encoder.conv2"]
    blocks = rule("WhisperForConditionalGeneration").resolve([*names, "model.decoder.embed_tokens", "proj_out"]).blocks
    assert [(b.module, b.ipu, b.with_module) for b in blocks[2:]] == [
        ("model.decoder.embed_tokens", "next", None),
        ("proj_out", "with", "model.decoder.embed_tokens"),
    ]


def test_lxmert_is_fixed_to_four_ipus():
    rows = {"layer": 1, "r_layers": 2, "x_layers": 3}
    names = [f"lxmert.encoder.{row}.{i}" for row in rows for i in range(2)]
    others = {"lxmert.embeddings": 0, "lxmert.encoder.visn_fc": 0, "lxmert.pooler": 3, "answer_head": 3}
    resolved = rule("LxmertForQuestionAnswering").resolve([*names, *others])
    assert rule("LxmertForQuestionAnswering").ipus == 4
    assert resolved.layers == ()
    placed = {b.module: b.ipu for b in resolved.blocks}
    assert placed == {**others, **{f"lxmert.encoder.{row}.{i}": ipu for row, ipu in rows.items() for i in range(2)}}


def test_a_missing_module_is_named():
    with pytest.raises(UsageError, match=r"BertForMaskedLM has no module 'cls'"):
        rule("BertForMaskedLM").resolve(["bert.embeddings", "bert.encoder.layer.0"])
    with pytest.raises(UsageError, match=r"'vit\.layers\.\{i\}' or 'vit\.encoder\.layer\.\{i\}'"):
        rule("ViTForImageClassification").resolve(["vit.embeddings", "vit.layernorm", "classifier"])


def test_an_optional_module_may_be_missing():
    blocks = rule("BertModel").resolve(["embeddings", "encoder.layer.0"]).blocks
    assert [b.module for b in blocks] == ["embeddings"]


def test_frozen_is_by_module_path():
    ctc = rule("Wav2Vec2ForCTC")
    assert ctc.is_frozen("wav2vec2.feature_extractor.conv_layers.0.conv.weight")
    assert not ctc.is_frozen("wav2vec2.feature_extractor_2.weight")
    assert not ctc.is_frozen("lm_head.weight")
    assert not rule("Wav2Vec2ForPreTraining").is_frozen("wav2vec2.feature_extractor.conv_layers.0.conv.weight")


def test_reading_the_table_needs_no_torch():
    code = "import sys, ipu_partition.families as f; f.rules(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
