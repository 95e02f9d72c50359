"""What is compared: every class of the family table, small, on several numbers of IPUs, with what it can be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ipu_partition.families import rules
from ipu_partition.families.table import FamilyRule

from ..end_to_end.families import FAMILIES, MORE, SHAPES, SMALL

_TARGETS = ("optimum", "poptorch")
IPUS = (1, 2, 4)
MANY_IPUS = 8
MASKED_TOKENS = 4
"""Of a sample, for the classes whose head is given the masked tokens alone; optimum's data collator sets it."""

_SMALL_MORE: dict[str, dict[str, object]] = {
    "distilbert": {"vocab_size": 120, "dim": 32, "n_heads": 2, "hidden_dim": 64, "n_layers": 5},
    "mpnet": {
        "vocab_size": 120, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 5,
    },
    "convnext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 2, 3, 1], "image_size": 64},
    "mt5": SMALL["t5"],
    "whisper": {
        "vocab_size": 120, "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 50,
        "num_mel_bins": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1,
        "suppress_tokens": None, "begin_suppress_tokens": None,
    },
}  # fmt: skip
_SHAPES_MORE: dict[str, dict[str, int | float]] = {"convnext": {}, "whisper": {"target_length": 8}, "mt5": SHAPES["t5"]}
_OF_CLASS: dict[str, dict[str, object]] = {
    "Wav2Vec2ForPreTraining": {"codevector_dim": 16, "proj_codevector_dim": 16, "num_codevectors_per_group": 8},
}
"""More configuration fields of one class."""
_WITHOUT_TARGET = ("T5EncoderModel", "BartForSequenceClassification")

_STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
_VARIANTS: dict[str, tuple[dict[str, object], ...]] = {
    "MT5ForConditionalGeneration": ({"tie_word_embeddings": True},),
    "T5ForConditionalGeneration": ({"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"},),
    "HubertForSequenceClassification": (_STABLE,),
    "HubertForCTC": (_STABLE,),
    "Wav2Vec2ForCTC": (_STABLE,),
    "Wav2Vec2ForPreTraining": (_STABLE,),
}
"""Configurations with which a class is made otherwise, on 4 IPUs."""
_LARGE: dict[str, dict[str, object]] = {
    "BertForMaskedLM": {"num_hidden_layers": 9},
    "BartForConditionalGeneration": {"encoder_layers": 5, "decoder_layers": 5},
    "Wav2Vec2ForCTC": {},
}
"""Classes that are also cut for 8 IPUs, with enough layers."""
_SPLITS = {
    "MT5ForConditionalGeneration": (
        {"serialized_embedding_splits_per_ipu": (2, 2, 0, 0)},
        {"serialized_projection_splits_per_ipu": (0, 0, 2, 2)},
        {"serialized_embedding_splits_per_ipu": (0, 4, 0, 0), "serialized_projection_splits_per_ipu": (0, 3, 3, 0)},
    ),
    "WhisperForConditionalGeneration": ({"serialized_projection_splits_per_ipu": (0, 0, 4, 0)},),
}
"""Pieces on each of 4 IPUs, for the classes that take them."""
WITHOUT_LOSS = ("BertModel", "MPNetModel", "T5EncoderModel")
"""Classes that are planned for inference alone."""
_OPTIONS: Mapping[str, Any] = {
    "ipus": 2, "replicas": 2, "gradient_accumulation": 24, "precision": "16.32", "matmul_proportion": (0.1, 0.3),
    "optimizer_state_offchip": True, "replicated_tensor_sharding": True,
}  # fmt: skip
"""What a plan hands on to PopTorch's options, each other than by default."""
_WITH_OPTIONS = ("BertForMaskedLM", "BertModel", "GPT2LMHeadModel")


@dataclass(frozen=True)
class Case:
    """One class in one configuration, and the plans to make of it."""

    rule: FamilyRule
    model: str
    """Of the catalogue."""
    config: Mapping[str, object]
    """Fields that differ from the catalogue's."""
    shapes: Mapping[str, int | float]
    plans: tuple[tuple[str, Mapping[str, Any]], ...]
    """(target, keywords of a request)"""
    label: str = field(default="")

    @property
    def name(self) -> str:
        return self.rule.architecture + (f" ({self.label})" if self.label else "")


def modes_of(rule: FamilyRule) -> tuple[str, ...]:
    """The modes that a class must be planned for."""
    return ("inference",) if rule.architecture in WITHOUT_LOSS else ("training", "inference")


def all_cases() -> tuple[Case, ...]:
    """Those of every class of the table; KeyError for a class whose family has no small configuration."""
    return tuple(case for rule in rules() for case in cases_of(rule))


def cases_of(rule: FamilyRule) -> Iterator[Case]:
    """The class as published but small, then its variants, then the one that is large enough for 8 IPUs."""
    yield _case(rule, {}, (*_counts(rule), *_serialised(rule)))
    for variant in _VARIANTS.get(rule.architecture, ()):
        label = ", ".join(f"{name} {value}" for name, value in variant.items())
        yield _case(rule, variant, (("optimum", {"ipus": 4}),), label)
    if rule.architecture in _WITH_OPTIONS:
        other = {"ipus": 4, "recompute_checkpoint_every_layer": False}
        yield _case(rule, {}, tuple((t, _OPTIONS) for t in _TARGETS) + tuple((t, other) for t in _TARGETS), "options")
    if rule.architecture in _LARGE:
        both = tuple((target, {"ipus": MANY_IPUS}) for target in _TARGETS)
        yield _case(rule, _LARGE[rule.architecture], both, "8 IPUs")


def _case(
    rule: FamilyRule, more: Mapping[str, object], plans: tuple[tuple[str, Mapping[str, Any]], ...], label: str = ""
) -> Case:
    family = rule.model_type
    config = {**{**SMALL, **_SMALL_MORE}[family], **_OF_CLASS.get(rule.architecture, {}), **more}
    if rule.masked_tokens is not None and rule.masked_tokens.config_field is not None:
        config[rule.masked_tokens.config_field] = MASKED_TOKENS
    shapes = dict({**SHAPES, **_SHAPES_MORE}.get(family, {"sequence_length": 16}))
    if "image_size" in shapes:
        config["image_size"] = shapes.pop("image_size")
    if rule.architecture in _WITHOUT_TARGET:
        shapes.pop("target_length")
    return Case(rule, {**FAMILIES, **MORE}[family], config, shapes, plans, label)


def _counts(rule: FamilyRule) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for ipus in IPUS if rule.ipus is None else (rule.ipus,):
        yield "optimum", {"ipus": ipus}
    for ipus in IPUS:
        yield "poptorch", {"ipus": ipus}


def _serialised(rule: FamilyRule) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every factor that the table says the class obeys; 3 divides the 120 rows of the small tables."""
    for layer, how in rule.serialised.items():
        if how.fails is None:
            yield "optimum", {"ipus": 4, f"{layer}_serialization_factor": 3}
    for splits in _SPLITS.get(rule.architecture, ()):
        yield "optimum", {"ipus": 4, **splits}
