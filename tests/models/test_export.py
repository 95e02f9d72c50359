"""What the whole room is for: `torch.export` accepts the model with the inputs, in both modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ipu_partition.models import Shapes, build, example_inputs, resolve

ONE = {"num_hidden_layers": 1}
SEQ2SEQ = {"num_layers": 1, "num_decoder_layers": 1}
BART = {"encoder_layers": 1, "decoder_layers": 1}
CASES: list[tuple[str, str | None, dict[str, Any]]] = [
    ("gpt2", None, ONE),
    ("gpt2", "text-classification", ONE),
    ("bert-base-uncased", "pretraining", ONE),
    ("bert-base-uncased", "multiple-choice", ONE),
    ("roberta-base", "question-answering", ONE),
    ("microsoft/deberta-base", None, ONE),
    ("microsoft/deberta-base", "text-classification", ONE),
    ("distilbert-base-uncased", "token-classification", {"n_layers": 1}),
    ("microsoft/mpnet-base", None, ONE),
    ("facebook/bart-base", None, BART),
    ("facebook/bart-base", "text-classification", BART),
    ("t5-small", None, SEQ2SEQ),
    ("google/mt5-small", None, SEQ2SEQ),
    ("unc-nlp/lxmert-base-uncased", None, {"l_layers": 1, "x_layers": 1, "r_layers": 1}),
    ("google/vit-base-patch16-224-in21k", None, ONE),
    (
        "google/vit-base-patch16-224-in21k",
        None,
        {**ONE, "problem_type": "multi_label_classification", "num_labels": 14},
    ),
    ("facebook/convnext-base-224", None, {"depths": [1, 1, 1, 1]}),
    ("facebook/hubert-base-ls960", None, ONE),
    ("openai/whisper-tiny", None, BART),
]


def _export(name: str, task: str | None, config: dict[str, Any], training: bool, **options: Any) -> Any:
    spec = resolve(name, task=task, config=config)
    model, _ = build(spec, training=training)
    model.train(training)
    inputs = example_inputs(spec, Shapes(micro_batch_size=2), training=training, model=model, **options)
    return torch.export.export(model, (), inputs, strict=False)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("name", "task", "config"), CASES)
def test_export(name: str, task: str | None, config: dict[str, Any], training: bool) -> None:
    program = _export(name, task, config, training)
    outputs = next(node for node in program.graph.nodes if node.op == "output").args[0]
    scalars = [node for node in outputs if node is not None and node.meta["val"].dim() == 0]
    assert len(scalars) == (1 if training else 0)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("task", ["automatic-speech-recognition", "pretraining"])
def test_speech_models_export_to_their_logits(task: str, training: bool) -> None:
    program = _export("facebook/wav2vec2-base", task, ONE, training, with_labels=False)
    assert len(program.graph.nodes) > 50
