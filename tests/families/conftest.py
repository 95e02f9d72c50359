"""Tiny random models of every class of the table, as this environment's transformers defines them."""

from __future__ import annotations

from typing import Any

import pytest

V, B, S = 60, 2, 8
TEXT = {
    "vocab_size": V,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
SEQ2SEQ = {
    "vocab_size": V,
    "d_model": 16,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "use_cache": False,
}
T5 = {
    "vocab_size": V,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 2,
    "decoder_start_token_id": 0,
    "use_cache": False,
}
SPEECH = {
    "vocab_size": V,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8),
    "conv_stride": (2, 2),
    "conv_kernel": (4, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
    "classifier_proj_size": 8,
}
CODEBOOK = {
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "num_codevectors_per_group": 6,
    "num_codevector_groups": 2,
    "num_negatives": 3,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": TEXT,
    "roberta": TEXT,
    "deberta": dict(TEXT, relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False),
    "mpnet": TEXT,
    "distilbert": {
        "vocab_size": V,
        "dim": 16,
        "n_layers": 3,
        "n_heads": 2,
        "hidden_dim": 32,
        "max_position_embeddings": 32,
    },
    "gpt2": {
        "vocab_size": V,
        "n_positions": 32,
        "n_embd": 16,
        "n_layer": 3,
        "n_head": 2,
        "pad_token_id": 0,
        "use_cache": False,
    },
    "vit": {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": 32,
        "patch_size": 16,
    },
    "convnext": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 2, 3, 1], "patch_size": 2},
    "bart": dict(SEQ2SEQ, max_position_embeddings=32),
    "t5": T5,
    "mt5": T5,
    "whisper": dict(SEQ2SEQ, num_mel_bins=4, max_source_positions=10, max_target_positions=16),
    "lxmert": {
        "vocab_size": V,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_qa_labels": 7,
        "intermediate_size": 32,
        "l_layers": 3,
        "x_layers": 2,
        "r_layers": 2,
        "visual_feat_dim": 12,
        "max_position_embeddings": 32,
    },
    "hubert": SPEECH,
    "wav2vec2": dict(SPEECH, **CODEBOOK),
}


def _inputs(architecture: str, model_type: str) -> dict[str, Any]:
    import torch

    tokens = torch.arange(S).repeat(B, 1) + 3
    if model_type in ("vit", "convnext"):
        return {"pixel_values": torch.randn(B, 3, 32, 32)}
    if model_type in ("hubert", "wav2vec2"):
        return {"input_values": torch.randn(B, 80)}
    if model_type == "whisper":
        return {"input_features": torch.randn(B, 4, 20), "decoder_input_ids": tokens}
    if model_type == "lxmert":
        return {"input_ids": tokens, "visual_feats": torch.randn(B, 3, 12), "visual_pos": torch.rand(B, 3, 4)}
    if architecture == "BartForSequenceClassification":
        return {"input_ids": torch.cat([tokens, torch.full((B, 1), 2)], dim=1)}
    if architecture.endswith("ForConditionalGeneration"):
        return {"input_ids": tokens, "decoder_input_ids": tokens[:, :-1]}
    return {"input_ids": tokens.unsqueeze(1).repeat(1, 2, 1) if architecture.endswith("MultipleChoice") else tokens}


@pytest.fixture
def tiny():
    """A function from class name and model type to a random model in inference mode and its inputs."""
    import torch
    import transformers

    def make(architecture: str, model_type: str, **fields: Any):
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(model_type, **CONFIGS[model_type])
        for key, value in fields.items():
            setattr(config, key, value)
        return getattr(transformers, architecture)(config).eval(), _inputs(architecture, model_type)

    return make
