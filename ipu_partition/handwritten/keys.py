"""Keys of published `ipu_config.json` files that are no fields of optimum-graphcore 0.7.1."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

RENAMED: Mapping[str, str] = {"embedding_serialization": "embedding_serialization_factor"}
"""Old name -> the field it became."""

DEPRECATED: Mapping[str, str] = {
    "sharded_execution_for_inference": "inference is always sharded",
    "enable_half_first_order_momentum": "the trainer's option decides, see --first-order-momentum-accum-type",
}
"""Keys that 0.7.1 reads with a warning -> what holds instead. Source: optimum/graphcore/ipu_configuration.py."""

REMOVED: Mapping[str, str] = {
    "compile_only": "an argument of the trainer",
    "decompose_grad_sum": "not known to this release",
    "profile_dir": "POPLAR_ENGINE_OPTIONS says where profiles go",
    "synthetic_data": "not known to this release",
    "use_popdist": "an argument of the trainer",
}
"""Keys of earlier releases that say nothing about memory or time -> what replaced them. 0.7.1 refuses the file."""

MODEL_KEYS = frozenset(
    {
        "_name_or_path",
        "add_cross_attention",
        "architectures",
        "bad_words_ids",
        "begin_suppress_tokens",
        "bos_token_id",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "eos_token_id",
        "exponential_decay_length_penalty",
        "finetuning_task",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "id2label",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "pad_token_id",
        "prefix",
        "problem_type",
        "pruned_heads",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict",
        "return_dict_in_generate",
        "sep_token_id",
        "suppress_tokens",
        "task_specific_params",
        "temperature",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torch_dtype",
        "torchscript",
        "typical_p",
        "use_bfloat16",
    }
)
"""Keys of a model's configuration, which 0.7.1 drops without a word.

Source: `sorted(BaseConfig().to_dict())` of optimum 1.6.1 with transformers 4.29.2, less the fields of IPUConfig.
"""


def why_not(key: str) -> str:
    """The end of a sentence that refuses `key`: what became of it, or what may have been meant."""
    if key in RENAMED:
        return f"; it is an old name of {RENAMED[key]}"
    if key in DEPRECATED:
        return f"; it is deprecated and does nothing: {DEPRECATED[key]}"
    if key in REMOVED:
        return f"; it belongs to earlier releases ({REMOVED[key]})"
    if key in MODEL_KEYS:
        return "; it belongs to a model's configuration, and optimum-graphcore drops it without a word"
    from ..ipu_config import Fields

    close = difflib.get_close_matches(key[:80], Fields.model_fields, 1)
    return f"; did you mean {close[0]}?" if close else ""
