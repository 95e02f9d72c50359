"""Which tables a class works on in pieces, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.families import rule_for, rules
from ipu_partition.host.tables import serialisation_choices, tables
from ipu_partition.prepare import Prepared
from ipu_partition.workload import Serialisation

Small = Callable[..., Prepared]
DIVISORS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Of the small vocabulary, up to 64."""


def choices(prepared: Prepared) -> dict[str, tuple[int, ...]]:
    return serialisation_choices(prepared.rule, prepared.graph)


def test_choices_divide_the_rows_unless_the_class_pads(small: Small) -> None:
    both = {"embedding_serialization_factor": DIVISORS, "projection_serialization_factor": DIVISORS}
    assert choices(small("bert-base-uncased")) == {"embedding_serialization_factor": DIVISORS}
    assert choices(small("google/mt5-small")) == both
    assert choices(small("gpt2")) == {"embedding_serialization_factor": tuple(range(2, 65))}
    assert choices(small("openai/whisper-tiny")) == {"projection_serialization_factor": DIVISORS}
    tied = small("google/mt5-small", tie_word_embeddings=True)
    assert choices(tied) == {"projection_serialization_factor": DIVISORS}
    assert choices(small("bert-base-uncased", target="poptorch")) == {}


@pytest.mark.parametrize(
    ("name", "config", "wanted", "message"),
    [
        ("bert-base-uncased", {}, Serialisation(5), "96 rows they do not divide. Those that do: 2, 3, 4, 6, 8, 12, "),
        ("bert-base-uncased", {}, Serialisation(1, 4), "ignores projection_serialization_factor.* obeys embedding_ser"),
        ("bert-base-uncased", {}, Serialisation(4, embedding_splits=(4, 0)), "fails with serialized_embedding_splits"),
        ("openai/whisper-tiny", {}, Serialisation(4), "ignores embedding_serialization_factor"),
        ("openai/whisper-tiny", {}, Serialisation(1, 4, (), (2, 2)), "all pieces on one IPU.*names 2"),
        ("google/mt5-small", {"tie_word_embeddings": True}, Serialisation(4), "refuses embedding_serialization_factor"),
        ("google/mt5-small", {"tie_word_embeddings": True}, Serialisation(1, 4, (), (2, 2)), "refuses serialized_proj"),
        ("google/mt5-small", {}, Serialisation(1, 7), "projection_serialization_factor asks for 7 pieces of lm_head"),
    ],
)  # fmt: skip
def test_what_a_class_cannot_do_is_refused(
    name: str, config: dict[str, object], wanted: Serialisation, message: str, small: Small
) -> None:
    prepared = small(name, **config)
    with pytest.raises(UsageError, match=message):
        tables(prepared.rule, prepared.graph, wanted)


def test_a_plan_without_a_class_has_no_pieces(small: Small) -> None:
    free = small("bert-base-uncased", target="poptorch")
    assert tables(free.rule, free.graph, Serialisation()) == ()
    with pytest.raises(UsageError, match="classes of optimum-graphcore, and this plan obeys none"):
        tables(free.rule, free.graph, Serialisation(4))


def test_a_class_that_fails_says_why(small: Small) -> None:
    deberta = rule_for("DebertaForQuestionAnswering")
    assert deberta is not None
    graph = small("bert-base-uncased").graph
    parameter = graph.parameters["bert.embeddings.word_embeddings.weight"]
    named = {
        **graph.parameters,
        "x": type(parameter)("deberta.embeddings.word_embeddings.weight", (), 96 * 32, 6144, True, 96),
    }
    graph = type(graph)(graph.units, named, graph.tensors, graph.audit, True)
    assert serialisation_choices(deberta, graph) == {}
    with pytest.raises(UsageError, match="deparallelize needs a module cls"):
        tables(deberta, graph, Serialisation(4))


def test_only_two_classes_obey_a_factor_of_inference() -> None:
    own = {rule.architecture for rule in rules() if any(how.per_mode for how in rule.serialised.values())}
    assert own == {"MT5ForConditionalGeneration", "WhisperForConditionalGeneration"}


def test_classes_that_ignore_every_factor() -> None:
    assert {rule.architecture for rule in rules() if not rule.serialised} == {
        "BartForSequenceClassification", "ConvNextForImageClassification", "HubertForCTC",
        "HubertForSequenceClassification", "LxmertForQuestionAnswering", "MPNetModel", "T5EncoderModel",
        "ViTForImageClassification", "Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining",
    }  # fmt: skip
