"""Models that blocks alone cannot pipeline: what the plan says of them, and what the generated code does to them."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from ipu_partition import PartitionPlan, UsageError, partition
from ipu_partition.models import Shapes, resolve, with_shapes
from ipu_partition.structure import structure_of
from ipu_partition.verify import poptorch_standin

from .families import FAMILIES, MORE, SMALL, small_options

MORE_SMALL: dict[str, dict[str, object]] = {
    "whisper": {
        "vocab_size": 120, "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 50,
        "num_mel_bins": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1,
    },
}  # fmt: skip
ALBERT = {
    "vocab_size": 100, "embedding_size": 16, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64,
    "num_hidden_layers": 6,
}  # fmt: skip


@pytest.fixture
def standin() -> Iterator[Any]:
    poptorch_standin.install()
    yield poptorch_standin
    poptorch_standin.uninstall()
    from ipu_partition import emit

    sys.modules.pop("ipu_partition.emit.runtime_template", None)
    vars(emit).pop("runtime_template", None)


@pytest.fixture
def generated(tmp_path: Path, standin: Any) -> Callable[[PartitionPlan], Any]:
    def module(plan: PartitionPlan) -> Any:
        plan.save(tmp_path)
        spec = importlib.util.spec_from_file_location("adapted_parallelize", tmp_path / "parallelize.py")
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
        return found

    return module


def planned(family: str, **options: Any) -> PartitionPlan:
    shapes = {"target_length": 8} if family == "whisper" else {}
    small = {"config": MORE_SMALL[family], **shapes} if family in MORE_SMALL else small_options(family)
    config = {**small["config"], **options.pop("config", {})}  # type: ignore[dict-item]
    return partition({**FAMILIES, **MORE}[family], **{**small, **options, "config": config})  # type: ignore[arg-type]


def live(plan: PartitionPlan, config: type, **fields: Any) -> Any:
    """The plan's class with random weights and eager attention, training."""
    made = config(**fields)
    architecture: Any = getattr(transformers, plan.model.architecture)
    return architecture._from_config(made, attn_implementation="eager").train()


def switched(plan: PartitionPlan, mode: str) -> dict[str | None, Any]:
    return {a.name: a.value for a in plan.mode(mode).adapters if a.kind == "set-attribute"}  # type: ignore[arg-type]


SPEECH = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}


@pytest.mark.parametrize(
    ("family", "config", "switches"),
    [
        ("hubert", transformers.HubertConfig, {"layerdrop": 0.0, **SPEECH}),
        ("wav2vec2", transformers.Wav2Vec2Config, {"layerdrop": 0.0, **SPEECH}),
    ],
)
def test_no_layer_is_skipped_and_no_mask_drawn(
    family: str, config: type, switches: dict[str, float], generated: Any, standin: Any
) -> None:
    plan = planned(family, ipus=2, target="poptorch")
    assert switched(plan, "training") == switches
    assert switched(plan, "inference") == {}
    warnings = plan.mode("training").warnings
    assert any("parallelize.py sets layerdrop=0.0, mask_time_prob=0.0" in w and "IPUTrainer" in w for w in warnings)
    assert not any("parallelize.py sets" in w for w in plan.mode("inference").warnings)
    random_choices = {"layerdrop": 1.0, "mask_time_prob": 0.9, "mask_feature_prob": 0.9, "mask_time_length": 2}
    model = live(plan, config, **SMALL[family], **random_choices)
    code = generated(plan)
    code.parallelize(model)
    with standin.recording(model) as record:
        model(input_values=torch.randn(1, 8000))
    layers = {c.module for c in record.calls if c.module.rpartition(".")[0] == f"{family}.encoder.layers"}
    assert layers == {f"{family}.encoder.layers.{i}" for i in range(4)}
    assert f"{family}.masked_spec_embed" not in record.parameter_ipus()
    code.deparallelize(model)
    assert {name: getattr(model.config, name) for name in random_choices} == random_choices


def test_masks_that_are_given_still_work(generated: Any, standin: Any) -> None:
    """Pretraining gives its masks as inputs; without them it would learn nothing."""
    more = {"codevector_dim": 16, "proj_codevector_dim": 16, "num_codevectors_per_group": 8}
    plan = planned("wav2vec2", ipus=2, target="poptorch", task="pretraining", config=more)
    model = live(plan, transformers.Wav2Vec2Config, **SMALL["wav2vec2"], **more)
    generated(plan).parallelize(model)
    frames = int(model._get_feat_extract_output_lengths(8000))
    mask = torch.zeros(1, frames, dtype=torch.bool)
    mask[:, ::2] = True
    with standin.recording(model) as record:
        model(input_values=torch.randn(1, 8000), mask_time_indices=mask)
    assert "wav2vec2.masked_spec_embed" in record.parameter_ipus()


@pytest.mark.parametrize(
    ("family", "config"), [("bart", transformers.BartConfig), ("whisper", transformers.WhisperConfig)]
)
def test_layerdrop_that_modules_keep_themselves(family: str, config: type, generated: Any) -> None:
    plan = planned(family, ipus=2, target="poptorch", config={"encoder_layerdrop": 0.3})
    expected = {"encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "layerdrop": 0.0}
    assert expected.items() <= switched(plan, "training").items()
    fields = {**(MORE_SMALL.get(family) or SMALL[family]), "encoder_layerdrop": 0.3, "decoder_layerdrop": 1.0}
    model = live(plan, config, **fields)
    code = generated(plan)
    code.parallelize(model)
    assert (model.model.encoder.layerdrop, model.model.decoder.layerdrop) == (0.0, 0.0)
    code.deparallelize(model)
    assert (model.model.encoder.layerdrop, model.model.decoder.layerdrop) == (0.3, 1.0)


def test_a_live_model_with_layerdrop_is_planned_as_it_will_run() -> None:
    config = transformers.BartConfig(**SMALL["bart"], encoder_layerdrop=0.9, decoder_layerdrop=0.9)
    model = transformers.BartForConditionalGeneration._from_config(config, attn_implementation="eager")
    random.seed(0)
    plan = partition(model, ipus=2, sequence_length=16, target_length=8, mode="training", task="text2text-generation")
    units = [m for stage in plan.mode("training").stages for m in stage.modules]
    assert {f"model.{s}.layers.{i}" for s in ("encoder", "decoder") for i in range(3)} <= set(units)
    assert (model.model.encoder.layerdrop, model.config.decoder_layerdrop) == (0.9, 0.9)


def test_a_table_in_pieces_is_made_by_the_plain_model_too(
    generated: Any, standin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned("bert", ipus=2, target="optimum", embedding_serialization_factor=4)
    adapter = {"kind": "serialised-linear", "module": "cls.predictions.decoder", "value": 4}
    for mode in plan.modes().values():
        assert [a.model_dump(exclude_defaults=True) for a in mode.adapters] == [adapter]
        assert not any("leaves them whole" in w for w in mode.warnings)
    pieces, multiply = [], standin.serializedMatMul
    monkeypatch.setattr(standin, "serializedMatMul", lambda *a: pieces.append(a[3]) or multiply(*a))
    model = live(plan, transformers.BertConfig, **SMALL["bert"]).eval()
    ids = torch.ones(1, 16, dtype=torch.long)
    expected = model(ids).logits
    code = generated(plan)
    code.parallelize(model)
    with standin.recording(model) as record:
        found = model(ids).logits
    assert torch.allclose(found, expected, atol=1e-6)
    assert pieces == [4]
    assert record.parameter_ipus()["bert.embeddings.word_embeddings.weight"] == (0,)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("gpt2", {"embedding_serialization_factor": 7}),  # pads the table, which is tied
        ("bert", {"embedding_serialization_factor": 4, "task": "question-answering"}),
    ],
)
def test_a_table_the_plain_model_cannot_make_in_pieces_is_warned_of(family: str, options: dict[str, Any]) -> None:
    plan = planned(family, ipus=2, target="optimum", mode="training", **options)
    assert not [a for a in plan.mode("training").adapters if a.kind == "serialised-linear"]
    assert any("parallelize.py leaves them whole" in w for w in plan.mode("training").warnings)


@pytest.mark.parametrize("ipus", [1, 4])
def test_layers_that_share_weights_are_warned_of(ipus: int) -> None:
    config = transformers.AlbertConfig(**ALBERT, architectures=["AlbertForMaskedLM"])
    plan = partition(config, ipus=ipus, sequence_length=16)
    for mode in plan.modes().values():
        found = [w for w in mode.warnings if "albert.encoder.albert_layer_groups.0" in w]
        assert len(found) == (ipus > 1)
        for warning in found:
            assert "called 6 times with one set of weights" in warning
            assert "4 IPUs are little faster than one" in warning
            assert "fewer IPUs and more replicas" in warning
            assert "num_hidden_groups=6 (it is 1)" in warning


def test_layers_with_weights_of_their_own_are_spread_over_the_ipus() -> None:
    config = transformers.AlbertConfig(**ALBERT, num_hidden_groups=6, architectures=["AlbertForMaskedLM"])
    plan = partition(config, ipus=2, sequence_length=16, mode="training")
    assert plan.mode("training").warnings == []
    groups = [{m.split(".")[3] for m in s.modules if "layer_groups" in m} for s in plan.mode("training").stages]
    assert sum(bool(group) for group in groups) > 1


class Twins(torch.nn.Module):
    """One tower for two inputs, behind a part of its own."""

    def __init__(self, own: int) -> None:
        super().__init__()
        self.own = torch.nn.ModuleList(torch.nn.Linear(64, 64) for _ in range(own))
        self.tower = torch.nn.Sequential(*[torch.nn.Linear(64, 64) for _ in range(4)])

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        for layer in self.own:
            a = layer(a)
        return torch.cat([self.tower(a), self.tower(b)], -1)


def test_a_tower_that_is_called_twice_is_warned_of() -> None:
    inputs = (torch.zeros(64, 64), torch.zeros(64, 64))
    with pytest.raises(UsageError, match=r"has 2 .*None is in 'tower', called several times.*one call of all"):
        partition(Twins(2), ipus=4, mode="inference", example_inputs=inputs)
    plan = partition(Twins(2), ipus=2, mode="inference", example_inputs=inputs)
    (warning,) = [w for w in plan.mode("inference").warnings if "'tower' is called 2 times" in w]
    assert "make one call of all inputs, joined along the batch" in warning
    assert "num_hidden" not in warning


class Tied(torch.nn.Module):
    """Layers of their own, then layers that are tied to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(64, 64, bias=False) for _ in range(8))
        for layer in self.layers[3:]:
            layer.weight = self.layers[2].weight  # type: ignore[assignment]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_layers_tied_to_each_other_are_warned_of() -> None:
    plan = partition(Tied(), ipus=2, mode="inference", example_inputs=(torch.zeros(64, 64),))
    (warning,) = plan.mode("inference").warnings
    assert warning.startswith("'layers.2.weight' is read in 6 places with one set of weights (4,096 parameters")
    assert "75% of the time is spent on IPU 1" in warning


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bart"])
def test_tied_embeddings_are_not_warned_of(family: str) -> None:
    plan = planned(family, ipus=4, mode="training")
    assert not any("one set of weights" in w for w in plan.mode("training").warnings)


def test_deberta_and_bart_carry_what_transformers_4_29_needs() -> None:
    def static(family: str) -> set[tuple[Any, ...]]:
        plan = planned(family, ipus=2, mode="inference")
        rows = [a for a in plan.mode("inference").adapters if a.kind == "static-function"]
        return {(a.class_name, a.method, a.name, a.value) for a in rows}

    assert static("deberta") == {
        ("StableDropout", "forward", "XDropout", "dropout"),
        ("DisentangledSelfAttention", "forward", "XSoftmax", "masked-softmax"),
    }
    assert static("bart") == {
        ("BartDecoder", "_prepare_decoder_attention_mask", "_make_causal_mask", "causal-mask"),
        ("BartEncoderLayer", "forward", "torch", "no-finite-check"),
    }


@pytest.mark.parametrize(
    ("family", "options", "modes"),
    [
        ("bart", {"task": "text-classification"}, {"training", "inference"}),
        ("wav2vec2", {}, {"training"}),
        ("bert", {}, set()),
    ],
)
def test_what_the_plain_class_cannot_do_is_said(family: str, options: dict[str, Any], modes: set[str]) -> None:
    shapes = {"sequence_length": 16} if family != "wav2vec2" else {"audio_seconds": 0.5}
    plan = partition(FAMILIES[family], ipus=2, config=SMALL[family], **shapes, **options)  # type: ignore[arg-type]
    said = {m for m, p in plan.modes().items() if any("parallelize.py: " in w and "compiled" in w for w in p.warnings)}
    assert said == modes


@pytest.mark.parametrize("target", ["optimum", "poptorch"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 6}, "'bert.encoder.layer' has 6 items, expected 5"),
        ({"num_hidden_layers": 4}, "lacks a module at|'bert.encoder.layer' has 4 items, expected 5"),
        ({"hidden_size": 64}, "parameters, expected"),
        ({"intermediate_size": 128}, "parameters, expected"),
        ({"vocab_size": 121}, "parameters, expected"),
    ],
)
def test_a_plan_refuses_another_model(
    change: dict[str, int], message: str, target: str, generated: Any, standin: Any
) -> None:
    plan = planned("bert", ipus=4, target=target)
    code = generated(plan)
    other = live(plan, transformers.BertConfig, **{**SMALL["bert"], **change})
    for model in (other, other.eval()):
        with pytest.raises(code.PlanMismatchError, match=message):
            code.parallelize(model)
        with pytest.raises(UsageError, match="not the model the plan was made for"):
            plan.apply(model)
        assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())
    own = live(plan, transformers.BertConfig, **SMALL["bert"])
    assert plan.remove(plan.apply(own)) is own
    assert code.parallelize(own) is own


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plan_knows_its_own_model_again(family: str, standin: Any) -> None:
    plan = planned(family, ipus=4 if family == "lxmert" else 2, mode="inference")
    shapes: dict[str, Any] = {name: value for name, value in small_options(family).items() if name != "config"}
    spec = with_shapes(resolve(FAMILIES[family], config=SMALL[family]), Shapes(**shapes))
    architecture: Any = spec.model_class
    model = architecture._from_config(spec.config, attn_implementation="eager").eval()
    assert plan.model.fingerprint == structure_of(model)
    begun = plan.apply(model)
    with pytest.raises(UsageError, match="cut already"):
        plan.apply(begun)
    plan.remove(begun)
    assert not any(m._forward_pre_hooks or m._forward_hooks or "forward" in vars(m) for m in model.modules())
    with pytest.raises(UsageError, match="no training part"):
        plan.apply(model.train())


NAMES = ['say "x"', "it's", "line\nbreak", "{0!r}", "%(x)s", "\u2028", "__import__('os')", "\\", "#", "é", "7"]


class Odd(torch.nn.Module):
    """Children whose names no one should give them."""

    def __init__(self) -> None:
        super().__init__()
        for name in NAMES:
            self.add_module(name, torch.nn.Sequential(torch.nn.Linear(32, 32), torch.nn.Tanh()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in NAMES:
            x = self._modules[name](x)  # type: ignore[misc]
        return x


@pytest.mark.parametrize("ipus", [2, 4])
def test_modules_with_hostile_names_are_placed(ipus: int, generated: Any, standin: Any) -> None:
    model = Odd()
    inputs = (torch.randn(4, 32),)
    plan = partition(model, ipus=ipus, mode="inference", example_inputs=inputs)
    code = generated(plan)
    code.parallelize(model.eval())
    with standin.recording(model) as record, torch.no_grad():
        model(*inputs)
    assert standin.violations(record, code.options(training=False), training=False) == []
    ipu_of = {m: s.ipu for s in plan.mode("inference").stages for m in s.modules}
    for name in NAMES:
        expected = ipu_of.get(name, ipu_of.get(f"{name}.0"))
        assert record.parameter_ipus()[f"{name}.0.weight"] == (expected,)
    assert len(set(ipu_of.values())) == ipus


@pytest.mark.parametrize("target", ["optimum", "poptorch"])
def test_labels_alone_are_shifted_before_the_encoder_runs(target: str, standin: Any) -> None:
    """Left to the model, T5's decoder would get its ids from the last stage of the encoder."""
    plan = planned("t5", ipus=4, mode="training", target=target)
    model = live(plan, transformers.T5Config, **SMALL["t5"], decoder_start_token_id=0)
    ids, labels = torch.ones(1, 16, dtype=torch.long), torch.ones(1, 8, dtype=torch.long)
    expected = model.eval()(input_ids=ids, labels=labels).loss
    plan.apply(model.train())
    with standin.recording(model) as record:
        model(input_ids=ids, labels=labels)
    from ipu_partition.emit import poptorch_live

    assert standin.violations(record, poptorch_live.options(plan, "training"), training=True) == []
    assert torch.equal(model.eval()(input_ids=ids, labels=labels).loss, expected)


def test_tied_weights_are_part_of_what_a_model_is(standin: Any) -> None:
    plan = planned("gpt2", ipus=2, mode="training", target="poptorch", config={"tie_word_embeddings": False})
    tied = live(plan, transformers.GPT2Config, **SMALL["gpt2"])
    with pytest.raises(UsageError, match="not the model the plan was made for"):
        plan.apply(tied)
    untied = live(plan, transformers.GPT2Config, **SMALL["gpt2"], tie_word_embeddings=False)
    assert plan.apply(untied) is untied


def test_a_plan_knows_the_model_whose_class_on_the_host_differs(standin: Any) -> None:
    """MPNet's head is untied in optimum-graphcore's class alone."""
    config = {
        "vocab_size": 120, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 3,
        "max_position_embeddings": 40,
    }  # fmt: skip
    plan = partition(MORE["mpnet"], ipus=2, config=config, sequence_length=16, mode="training")
    model = live(plan, transformers.MPNetConfig, **config)
    assert plan.apply(model) is model
