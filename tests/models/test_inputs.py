"""Example inputs: which tensors, of which shapes, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from transformers import ResNetConfig

from ipu_partition.errors import UsageError
from ipu_partition.models import Shapes, build, described_shapes, example_inputs, resolve, with_shapes

TEXT = {"input_ids": [1, 128], "attention_mask": [1, 128]}
SEGMENTS = {**TEXT, "token_type_ids": [1, 128]}
CASES: list[tuple[str, str, Mapping[str, list[int]], Mapping[str, list[int]]]] = [
    ("bert-base-uncased", "fill-mask", SEGMENTS, {"labels": [1, 128]}),
    ("bert-base-uncased", "pretraining", SEGMENTS, {"labels": [1, 128], "next_sentence_label": [1]}),
    ("bert-base-uncased", "text-classification", SEGMENTS, {"labels": [1]}),
    ("roberta-base", "token-classification", TEXT, {"labels": [1, 128]}),
    (
        "distilbert-base-uncased",
        "question-answering",
        {"input_ids": [1, 384], "attention_mask": [1, 384]},
        {"start_positions": [1], "end_positions": [1]},
    ),
    ("mpnet-base", "multiple-choice", {"input_ids": [1, 4, 128], "attention_mask": [1, 4, 128]}, {"labels": [1]}),
    ("gpt2", "text-generation", {"input_ids": [1, 1024], "attention_mask": [1, 1024]}, {"labels": [1, 1024]}),
    (
        "unc-nlp/lxmert-base-uncased",
        "visual-question-answering",
        {**SEGMENTS, "visual_feats": [1, 36, 2048], "visual_pos": [1, 36, 4]},
        {"labels": [1]},
    ),
    ("facebook/convnext-base-224", "image-classification", {"pixel_values": [1, 3, 224, 224]}, {"labels": [1]}),
    ("facebook/hubert-base-ls960", "audio-classification", {"input_values": [1, 160_000]}, {"labels": [1]}),
    ("facebook/wav2vec2-base", "automatic-speech-recognition", {"input_values": [1, 160_000]}, {"labels": [1, 249]}),
    (
        "facebook/wav2vec2-base",
        "pretraining",
        {"input_values": [1, 160_000]},
        {"mask_time_indices": [1, 499], "sampled_negative_indices": [1, 499, 100]},
    ),
]


def _shapes(inputs: Mapping[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in inputs.items()}


@pytest.mark.parametrize(("model", "task", "inputs", "labels"), CASES)
def test_default_inputs(model: str, task: str, inputs: Any, labels: Any) -> None:
    spec = resolve(model, task=task)
    training = example_inputs(spec, Shapes(), training=True)
    assert _shapes(training) == {**inputs, **labels}
    assert _shapes(example_inputs(spec, Shapes(), training=False)) == inputs
    assert _shapes(example_inputs(spec, Shapes(), training=True, with_labels=False)) == inputs
    assert {t.device.type for t in training.values()} == {"meta"}


@pytest.mark.parametrize(
    ("model", "encoder", "lengths"),
    [
        ("t5-small", {"input_ids": [1, 512], "attention_mask": [1, 512]}, [1, 512]),
        ("facebook/bart-base", {"input_ids": [1, 512], "attention_mask": [1, 512]}, [1, 512]),
        ("openai/whisper-tiny", {"input_features": [1, 80, 3000]}, [1, 448]),
    ],
)
def test_a_decoder_takes_ids_and_labels_beside_them(model: str, encoder: Any, lengths: list[int]) -> None:
    spec = resolve(model)
    both = {**encoder, "decoder_input_ids": lengths, "labels": lengths}
    assert _shapes(example_inputs(spec, Shapes(), training=True)) == both
    for options in ({"training": False}, {"training": True, "with_labels": False}):
        assert _shapes(example_inputs(spec, Shapes(), **options)) == {**encoder, "decoder_input_ids": lengths}


def test_dtypes() -> None:
    spec = resolve("facebook/wav2vec2-base", task="pretraining")
    dtypes = {name: t.dtype for name, t in example_inputs(spec, Shapes(), training=True).items()}
    assert dtypes == {
        "input_values": torch.float32,
        "mask_time_indices": torch.bool,
        "sampled_negative_indices": torch.int64,
    }


@pytest.mark.parametrize(
    ("overrides", "shape", "dtype"),
    [
        ({"num_labels": 14}, [2], torch.int64),
        ({"num_labels": 1}, [2, 1], torch.float32),
        ({"num_labels": 14, "problem_type": "multi_label_classification"}, [2, 14], torch.float32),
        ({"num_labels": 3, "problem_type": "regression"}, [2, 3], torch.float32),
    ],
)
@pytest.mark.parametrize("model", ["google/vit-base-patch16-224-in21k", "deberta-base"])
def test_labels_follow_the_problem_type(model: str, overrides: Any, shape: list[int], dtype: torch.dtype) -> None:
    task = "image-classification" if "vit" in model else "text-classification"
    labels = example_inputs(resolve(model, task=task, config=overrides), Shapes(2), training=True)["labels"]
    assert (list(labels.shape), labels.dtype) == (shape, dtype)


def test_wishes_are_honoured() -> None:
    t5 = example_inputs(resolve("t5-small"), Shapes(3, sequence_length=1024, target_length=200), training=True)
    ids, targets = [3, 1024], [3, 200]
    assert _shapes(t5) == {"input_ids": ids, "attention_mask": ids, "decoder_input_ids": targets, "labels": targets}
    audio = example_inputs(resolve("wav2vec2-base"), Shapes(audio_seconds=15.6), training=False)
    assert _shapes(audio) == {"input_values": [1, 249_600]}
    image = example_inputs(resolve("convnext-base-224"), Shapes(image_size=384), training=False)
    assert _shapes(image) == {"pixel_values": [1, 3, 384, 384]}


@pytest.mark.parametrize(
    ("model", "wish", "message"),
    [
        ("bert-base-uncased", {"sequence_length": 513}, "sequence_length is 513.*has 512 positions"),
        ("roberta-base", {"sequence_length": 513}, "513.*has 512 positions .514 less 2 that padding takes."),
        ("mpnet-base", {"sequence_length": 514}, "514.*has 512 positions"),
        ("gpt2", {"sequence_length": 1025}, "1025.*1024"),
        ("bart-base", {"target_length": 1025}, "target_length is 1025.*1024"),
        ("whisper-tiny", {"target_length": 449}, "449.*448"),
        ("wav2vec2-base", {"audio_seconds": 0.02}, "0.02.*320 samples.*at least 400 samples"),
        ("wav2vec2-base", {"audio_seconds": 1, "target_length": 50}, "50.*49 frames"),
        ("vit-large-patch16-224", {"image_size": 384}, "image_size is 384.*images of 224"),
        ("convnext-base-224", {"image_size": 226}, "226.*patch size 4"),
        ("convnext-base-224", {"image_size": 16}, "16.*at least 32"),
        ("bert-base-uncased", {"image_size": 224}, "image_size does not apply.*sequence_length"),
        ("bert-base-uncased", {"target_length": 8}, "target_length does not apply"),
        ("gpt2", {"audio_seconds": 1.0}, "audio_seconds does not apply"),
        ("whisper-tiny", {"audio_seconds": 30.0}, "audio_seconds does not apply"),
        ("vit-large-patch16-224", {"sequence_length": 8}, "sequence_length does not apply"),
        ("hubert-base-ls960", {"target_length": 8}, "target_length does not apply"),
        ("t5-small", {"sequence_length": 2**24, "micro_batch_size": 2**20}, "smaller micro-batch"),
    ],
)
def test_impossible_wishes(model: str, wish: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        example_inputs(resolve(model), Shapes(**wish), training=True)


@pytest.mark.parametrize(
    "wish",
    [{"micro_batch_size": 0}, {"sequence_length": -1}, {"image_size": 2.5}, {"target_length": True}]
    + [{"audio_seconds": s} for s in (0, -1, float("nan"), float("inf"), "1")],
)
def test_shapes_are_positive_numbers(wish: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        Shapes(**wish)


@pytest.mark.parametrize(("wish", "length"), [(None, 512), (512, 512)])
def test_the_default_length_is_capped_by_the_positions(wish: int | None, length: int) -> None:
    spec = resolve("roberta-base", task="text-generation")
    assert described_shapes(spec, Shapes(sequence_length=wish))["sequence_length"] == length


def test_published_positions_of_t5_are_no_limit() -> None:
    inputs = example_inputs(resolve("t5-small"), Shapes(sequence_length=4096), training=False)
    assert list(inputs["input_ids"].shape) == [1, 4096]


@pytest.mark.parametrize(
    ("model", "described"),
    [
        ("bert-base-uncased", {"micro_batch_size": 2, "sequence_length": 128}),
        ("bart-base", {"micro_batch_size": 2, "sequence_length": 512, "target_length": 512}),
        ("vit-base-patch16-224-in21k", {"image_size": 224, "micro_batch_size": 2}),
        ("hubert-base-ls960", {"audio_samples": 160_000, "audio_seconds": 10.0, "micro_batch_size": 2}),
        ("whisper-tiny", {"mel_frames": 3000, "micro_batch_size": 2, "target_length": 448}),
        ("lxmert-base-uncased", {"micro_batch_size": 2, "sequence_length": 128, "visual_features": 36}),
    ],
)
def test_effective_shapes_are_described(model: str, described: dict[str, object]) -> None:
    values = described_shapes(resolve(model), Shapes(2))
    assert values == described
    assert list(values) == sorted(values)


def test_an_image_size_is_built_into_learned_positions() -> None:
    shapes = Shapes(image_size=384)
    spec = with_shapes(resolve("google/vit-large-patch16-224"), shapes)
    model, _ = build(spec, training=False)
    assert model.get_parameter("vit.embeddings.position_embeddings").shape == (1, 24 * 24 + 1, 1024)
    assert list(example_inputs(spec, shapes, training=False)["pixel_values"].shape) == [1, 3, 384, 384]
    assert resolve("google/vit-large-patch16-224").config.image_size == 224


def test_a_configuration_without_an_image_size() -> None:
    inputs = example_inputs(resolve(ResNetConfig(), task="image-classification"), Shapes(), training=False)
    assert _shapes(inputs) == {"pixel_values": [1, 3, 224, 224]}


class Scorer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1, device="meta")

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.layer(x)


def test_given_inputs_are_used_as_they_are_on_the_module_s_device() -> None:
    spec = resolve(Scorer(), example_inputs={"x": torch.ones(3, 4), "labels": torch.ones(3)})
    assert spec.has_loss
    training = example_inputs(spec, Shapes(), training=True)
    assert _shapes(training) == {"x": [3, 4], "labels": [3]}
    assert {t.device.type for t in training.values()} == {"meta"}
    assert list(example_inputs(spec, Shapes(), training=False)) == ["x"]
    assert described_shapes(spec, Shapes()) == {
        "example_inputs": {"labels": "float32[3]", "x": "float32[3, 4]"},
        "micro_batch_size": 3,
    }
    for wish in ({"micro_batch_size": 2}, {"sequence_length": 4}):
        with pytest.raises(UsageError):
            example_inputs(spec, Shapes(**wish), training=False)


def test_a_user_s_loss_replaces_labels() -> None:
    spec = resolve("bert-base-uncased", loss=lambda output: output.logits.sum())
    assert "labels" not in example_inputs(spec, Shapes(), training=True)


@pytest.mark.parametrize("model", [Scorer(), "audio-spectrogram-transformer", "speech_to_text"])
def test_inputs_that_cannot_be_inferred(model: Any) -> None:
    from transformers import CONFIG_MAPPING

    spec = resolve(CONFIG_MAPPING[model]() if isinstance(model, str) else model)
    with pytest.raises(UsageError, match=r"cannot be inferred.*example_inputs="):
        example_inputs(spec, Shapes(), training=False)
