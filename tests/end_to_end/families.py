"""The ten families: catalogue names, and small configurations of the same classes that run on a CPU."""

from __future__ import annotations

from functools import cache

from ipu_partition.models import resolve
from ipu_partition.prepare import Prepared, prepare, target_of
from ipu_partition.request import Request
from ipu_partition.workload import Mode

FAMILIES = {
    "bert": "bert-base-uncased",
    "roberta": "roberta-base",
    "deberta": "microsoft/deberta-base",
    "gpt2": "gpt2",
    "bart": "facebook/bart-base",
    "t5": "t5-small",
    "lxmert": "unc-nlp/lxmert-base-uncased",
    "vit": "google/vit-base-patch16-224-in21k",
    "hubert": "facebook/hubert-base-ls960",
    "wav2vec2": "facebook/wav2vec2-base",
}
MORE = {
    "distilbert": "distilbert-base-uncased",
    "mpnet": "microsoft/mpnet-base",
    "convnext": "facebook/convnext-base-224",
    "mt5": "google/mt5-small",
    "whisper": "openai/whisper-tiny",
}
"""Other classes that optimum-graphcore pipelines."""
LAYERS = {
    "bert": 12, "roberta": 12, "deberta": 12, "gpt2": 12, "bart": 12, "t5": 12, "lxmert": None, "vit": 12,
    "hubert": 12, "wav2vec2": 21, "distilbert": 6, "mpnet": 12, "convnext": 36, "mt5": 16, "whisper": 8,
}  # fmt: skip
"""What layers_per_ipu counts in the published model, by the family's rule."""

_TEXT = {"vocab_size": 120, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
_SPEECH = {
    "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 4,
    "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
SMALL: dict[str, dict[str, object]] = {
    "bert": {**_TEXT, "num_hidden_layers": 5},
    "roberta": {**_TEXT, "num_hidden_layers": 5},
    "deberta": {**_TEXT, "num_hidden_layers": 5},
    "gpt2": {"vocab_size": 120, "n_embd": 32, "n_head": 2, "n_layer": 5},
    "bart": {
        "vocab_size": 120, "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
    },
    "t5": {
        "vocab_size": 120, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3, "num_decoder_layers": 3,
        "num_heads": 4,
    },
    "lxmert": {**_TEXT, "l_layers": 2, "x_layers": 2, "r_layers": 2, "num_qa_labels": 7},
    "vit": {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 2, "intermediate_size": 64},
    "hubert": {**_SPEECH, "classifier_proj_size": 16},
    "wav2vec2": _SPEECH,
}  # fmt: skip
SHAPES: dict[str, dict[str, int | float]] = {
    "vit": {"image_size": 32},
    "bart": {"sequence_length": 16, "target_length": 8},
    "t5": {"sequence_length": 16, "target_length": 8},
    "hubert": {"audio_seconds": 0.5},
    "wav2vec2": {"audio_seconds": 0.5},
}
"""Text models take 16 tokens."""


def small_options(family: str) -> dict[str, object]:
    """Keywords of `partition` for the small model of a family."""
    return {"config": SMALL[family], **SHAPES.get(family, {"sequence_length": 16})}


@cache
def prepared(family: str, mode: Mode, target: str | None = None) -> Prepared:
    """The published model, traced and costed once per test process."""
    request = Request(target=target)
    spec = resolve({**FAMILIES, **MORE}[family])
    return prepare(spec, request, mode, target_of(spec, request), lambda _: None)
