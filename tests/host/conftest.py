"""Prepared small models of the catalogue's classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from ipu_partition.models import resolve
from ipu_partition.prepare import Prepared, prepare, target_of
from ipu_partition.request import Request
from ipu_partition.workload import Mode

VOCABULARY = 96
SMALL: dict[str, dict[str, object]] = {
    "google/mt5-small": {
        "vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2,
        "num_heads": 4,
    },
    "gpt2": {"vocab_size": VOCABULARY + 1, "n_embd": 32, "n_head": 2, "n_layer": 3},
    "bert-base-uncased": {
        "vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64,
        "num_hidden_layers": 3,
    },
    "microsoft/mpnet-base": {
        "vocab_size": VOCABULARY, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64,
        "num_hidden_layers": 3,
    },
    "openai/whisper-tiny": {
        "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2,
    },
}  # fmt: skip
SHAPES: dict[str, dict[str, int]] = {
    "google/mt5-small": {"sequence_length": 16, "target_length": 16},
    "openai/whisper-tiny": {"target_length": 16},
}


@cache
def _prepared(
    name: str, mode: Mode, task: str | None, target: str | None, more: tuple[tuple[str, object], ...]
) -> Prepared:
    shapes = SHAPES.get(name, {"sequence_length": 32})
    request = Request(task=task, target=target, micro_batch_size=2, config={**SMALL[name], **dict(more)}, **shapes)  # type: ignore[arg-type]
    spec = resolve(name, task=task, config=request.config)
    return prepare(spec, request, mode, target_of(spec, request), lambda _: None)


@pytest.fixture
def small() -> Callable[..., Prepared]:
    def make(
        name: str, *, training: bool = True, task: str | None = None, target: str | None = None, **config: object
    ) -> Prepared:
        return _prepared(
            name, Mode.TRAINING if training else Mode.INFERENCE, task, target, tuple(sorted(config.items()))
        )

    return make
