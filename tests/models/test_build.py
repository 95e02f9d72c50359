"""Building: on the meta device, as the IPU host builds it, with nothing random in the control flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig

from ipu_partition.errors import UsageError
from ipu_partition.models import build, resolve
from ipu_partition.models.limits import bounded_construction
from ipu_partition.models.table import limits


@pytest.mark.parametrize("name", ["gpt2", "t5-small", "wav2vec2-base", "whisper-tiny", "convnext-base-224"])
def test_nothing_is_allocated(name: str) -> None:
    task = "pretraining" if name == "wav2vec2-base" else None
    model, _ = build(resolve(name, task=task), training=True)
    tensors = [*model.parameters(), *model.buffers()]
    assert {t.device.type for t in tensors} == {"meta"}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_eager_attention_and_no_cache() -> None:
    model, _ = build(resolve("gpt2"), training=False)
    assert model.config._attn_implementation == "eager"
    assert model.config.use_cache is False
    assert model.config.return_dict is True


def test_mt5_is_untied_as_published() -> None:
    spec = resolve("google/mt5-small")
    model, _ = build(spec, training=False)
    names = {name: id(p) for name, p in model.named_parameters(remove_duplicate=False)}
    assert "tie_word_embeddings=False" in spec.warnings[0]
    assert names["encoder.embed_tokens.weight"] == names["decoder.embed_tokens.weight"] == names["shared.weight"]
    assert names["lm_head.weight"] != names["shared.weight"]
    assert sum(p.numel() for p in model.parameters()) == 300_176_768


def test_a_folder_of_mt5_is_untied_too(folder: Callable[..., Path]) -> None:
    fields = dict(resolve("google/mt5-small").config.to_dict(), tie_word_embeddings=False)
    model, _ = build(resolve(folder(fields)), training=False)
    assert model.get_parameter("lm_head.weight") is not model.get_parameter("shared.weight")


def test_untying_the_host_s_way_keeps_the_bias_shared() -> None:
    spec = resolve("microsoft/mpnet-base")
    tied, _ = build(spec, training=True)
    untied, warnings = build(spec, training=True, host_config={"tie_word_embeddings": False})
    assert tied.get_parameter("lm_head.decoder.weight") is tied.get_parameter("mpnet.embeddings.word_embeddings.weight")
    weight = untied.get_parameter("lm_head.decoder.weight")
    assert weight is not untied.get_parameter("mpnet.embeddings.word_embeddings.weight")
    assert untied.get_parameter("lm_head.decoder.bias") is untied.get_parameter("lm_head.bias")
    assert "tie_word_embeddings is True" in warnings[0]
    assert spec.config.tie_word_embeddings is True


def test_untied_models_without_other_ties() -> None:
    config = LlamaConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2, intermediate_size=8, vocab_size=30)
    model, warnings = build(resolve(config, task="text-generation"), training=False)
    assert warnings == ()
    assert len({id(p) for p in model.parameters()}) == len(list(model.named_parameters(remove_duplicate=False)))


@pytest.mark.parametrize("name", ["hubert-base-ls960", "wav2vec2-base"])
def test_random_control_flow_is_switched_off_in_training_alone(name: str) -> None:
    spec = resolve(name)
    model, warnings = build(spec, training=True)
    assert (model.config.layerdrop, model.config.apply_spec_augment) == (0.0, False)
    assert [w.split()[0] for w in warnings] == ["layerdrop", "apply_spec_augment"]
    model, warnings = build(spec, training=False)
    assert (model.config.layerdrop, warnings) == (0.1, ())


def test_neutral_switches_are_not_warned_of() -> None:
    assert build(resolve("facebook/bart-base"), training=True)[1] == ()
    _, warnings = build(resolve("facebook/bart-base", config={"decoder_layerdrop": "0.2"}), training=True)
    assert warnings == (
        "decoder_layerdrop was 0.2; planned with 0.0, because a compiled pipeline cannot skip layers at random.",
    )


def test_gpt2_classifies_batches_with_a_padding_token() -> None:
    model, warnings = build(resolve("gpt2", task="text-classification"), training=True)
    assert model.config.pad_token_id == 50256
    assert warnings[0].startswith("pad_token_id is not set; planned with eos_token_id (50256)")


def test_a_given_module_comes_back_as_it_is() -> None:
    module = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=30)).eval()
    before = {name: p.clone() for name, p in module.named_parameters()}
    built, warnings = build(resolve(module), training=True, host_config={"tie_word_embeddings": False})
    assert built is module
    assert not built.training
    assert "is planned as it is" in warnings[0]
    assert all(torch.equal(p, before[name]) for name, p in module.named_parameters())


def test_sizes_that_do_not_go_together() -> None:
    with pytest.raises(UsageError, match=r"BertForMaskedLM cannot be built.*attention heads"):
        build(resolve(BertConfig(hidden_size=10, num_attention_heads=3), task="fill-mask"), training=False)


def test_construction_stops_at_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="more than 1000000000000 parameters"), bounded_construction("it"):
        nn.ModuleList(nn.Linear(10**6, 10**6, device="meta") for _ in range(3))
    nn.Linear(2 * 10**6, 10**6, device="meta")
    monkeypatch.setattr("ipu_partition.models.limits.limits", lambda: replace(limits(), modules=100))
    with pytest.raises(UsageError, match="more than 100 modules"), bounded_construction("it"):
        nn.ModuleList(nn.Module() for _ in range(101))


def test_building_changes_nothing_in_the_spec() -> None:
    spec = resolve("facebook/wav2vec2-base")
    before = spec.config.to_dict()
    first, _ = build(spec, training=True, host_config={"layerdrop": 0.5})
    second, _ = build(spec, training=False)
    assert spec.config.to_dict() == before
    assert [n for n, _ in first.named_parameters()] == [n for n, _ in second.named_parameters()]
