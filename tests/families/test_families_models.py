"""The table against the models this environment's transformers builds: what it names exists and runs in its order."""

from __future__ import annotations

import pytest

from ipu_partition.families import FamilyRule, rule_for, rules

RULES = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.architecture)


def _names(model) -> list[str]:
    return [name for name, _ in model.named_modules(remove_duplicate=False)]


def _order(model, inputs, paths) -> list[str]:
    """The given modules in the order of their calls."""
    import torch

    order: list[str] = []
    for path in paths:
        model.get_submodule(path).register_forward_pre_hook(lambda module, args, path=path: order.append(path))
    with torch.no_grad():
        model(**inputs)
    return order


@RULES
def test_blocks_begin_once_each_in_the_order_of_the_table(rule: FamilyRule, tiny):
    model, inputs = tiny(rule.architecture, rule.model_type)
    resolved = rule.resolve(_names(model))
    layers, blocks = [b.module for b in resolved.layers], [b.module for b in resolved.blocks]
    order = _order(model, inputs, layers + blocks)
    assert [path for path in order if path in layers] == layers
    assert [path for path in order if path in blocks] == blocks


@RULES
def test_every_layer_of_the_model_is_counted(rule: FamilyRule, tiny):
    """The repeated modules of the model are exactly those the table indexes."""
    model, _ = tiny(rule.architecture, rule.model_type)
    resolved = rule.resolve(_names(model))
    counted = [b.module for b in (*resolved.layers, *resolved.blocks)]
    config, rows = model.config, [m for m in counted if m.rsplit(".", 1)[-1].isdigit()]
    expected = {
        "convnext": lambda: sum(config.depths),
        "lxmert": lambda: config.l_layers + config.r_layers + config.x_layers,
        "bart": lambda: config.encoder_layers + config.decoder_layers,
        "whisper": lambda: config.encoder_layers + config.decoder_layers,
        "t5": lambda: config.num_layers + (0 if rule.architecture == "T5EncoderModel" else config.num_decoder_layers),
        "mt5": lambda: config.num_layers + config.num_decoder_layers,
        "hubert": lambda: config.num_hidden_layers + (len(config.conv_dim) if rule.declared_loss else 0),
        "wav2vec2": lambda: config.num_hidden_layers + len(config.conv_dim),
    }.get(rule.model_type, lambda: config.num_hidden_layers)()
    assert len(rows) == expected


@RULES
def test_modules_of_the_other_columns_exist(rule: FamilyRule, tiny):
    model, _ = tiny(rule.architecture, rule.model_type)
    names, parameters = _names(model), dict(model.named_parameters(remove_duplicate=False))
    assert set(rule.resolve(names).checkpoints) <= set(names)
    assert bool(rule.frozen) == any(rule.is_frozen(name) for name in parameters)
    assert rule.host_tie is None or rule.host_tie.parameter in parameters
    for adapter in rule.adapters:
        assert getattr(model.get_submodule(adapter.module), adapter.method)() is parameters[adapter.parameter]


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("architecture", ["HubertForCTC", "Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining"])
def test_speech_models_with_norms_first(architecture: str, stable: bool, tiny):
    rule = rule_for(architecture)
    assert rule is not None
    norm = "layer" if stable else "group"
    model, inputs = tiny(architecture, rule.model_type, do_stable_layer_norm=stable, feat_extract_norm=norm)
    layers = [b.module for b in rule.resolve(_names(model)).layers]
    assert _order(model, inputs, layers) == layers


def test_mpnet_host_config_unties_the_decoder(tiny):
    rule = rule_for("MPNetForMaskedLM")
    assert rule is not None
    tied, _ = tiny("MPNetForMaskedLM", "mpnet")
    host, _ = tiny("MPNetForMaskedLM", "mpnet", **dict(rule.host_config))
    assert tied.lm_head.decoder.weight is tied.get_input_embeddings().weight
    assert host.lm_head.decoder.weight is not host.get_input_embeddings().weight
