"""What the host computes differently, executed on small models: the answers are those of the plain model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ipu_partition.cost.tensors import op_name
from ipu_partition.errors import UsageError
from ipu_partition.families import FamilyRule, rule_for, rules
from ipu_partition.families.resolve import matching
from ipu_partition.host.changes import as_on_host
from ipu_partition.host.masked import GATHER, collator_tokens, gathering, in_host_order, masked_head
from ipu_partition.trace import trace
from ipu_partition.workload import Target

RULES = pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.architecture)
MASKED = pytest.mark.parametrize(
    "rule", [r for r in rules() if r.masked_tokens], ids=lambda rule: rule.architecture
)  # fmt: skip
CHANGED = pytest.mark.parametrize(
    "rule", [r for r in rules() if r.fused or r.single_precision or r.masked_bias], ids=lambda rule: rule.architecture
)


@pytest.fixture(autouse=True)
def _eager() -> Iterator[None]:
    import torch

    with torch.no_grad():
        yield


def _labelled(rule: FamilyRule, tiny: Any, masked: int) -> tuple[Any, dict[str, Any]]:
    """A model and inputs of which each sample has `masked` masked tokens."""
    import torch

    model, inputs = tiny(rule.architecture, rule.model_type, _attn_implementation="eager")
    labels = torch.full_like(inputs["input_ids"], -100)
    for row in range(len(labels)):
        labels[row, torch.randperm(labels.shape[1])[:masked]] = torch.arange(masked) + 5
    more = {"next_sentence_label": torch.tensor([0, 1])} if rule.task == "pretraining" else {}
    return model, {**inputs, "labels": labels, **more}


@RULES
def test_what_the_table_names_exists(rule: FamilyRule, tiny: Any) -> None:
    model, _ = tiny(rule.architecture, rule.model_type)
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for how in rule.serialised.values():
        assert how.parameter in parameters
        assert how.ties_to is None or how.ties_to in parameters
    assert rule.masked_tokens is None or rule.masked_tokens.module in names
    single = rule.single_precision
    for row in (rule.fused, rule.masked_bias):
        for pattern in row.modules if row else ():
            assert matching([pattern], names), pattern
    for pattern in (*single.begins, *single.ends) if single else ():
        assert matching([pattern], names), pattern
    for path in matching(rule.fused.modules, names) if rule.fused else ():
        assert all(hasattr(model.get_submodule(path), product) for product in rule.fused.products)


@pytest.mark.parametrize(
    ("sequence", "tokens"), [(8, 8), (64, 16), (128, 32), (384, 80), (512, 96), (1024, 192)]
)  # fmt: skip
def test_the_data_collator_masks_two_deviations_above_the_mean(sequence: int, tokens: int) -> None:
    assert collator_tokens(sequence) == tokens


@MASKED
def test_the_loss_is_that_of_the_plain_model_where_all_masked_tokens_are_taken(rule: FamilyRule, tiny: Any) -> None:
    import torch

    model, inputs = _labelled(rule, tiny, 2)
    model.config.max_num_masked_tokens = 3
    head = masked_head(rule, model, inputs)
    assert head is not None
    assert head.tokens == (2 if rule.masked_tokens and rule.masked_tokens.share else 3)
    plain = model(**inputs)
    with gathering(model, head):
        gathered = model(**inputs)
    torch.testing.assert_close(gathered.loss, plain.loss)
    logits = next(value for name, value in gathered.items() if "logits" in name)
    assert logits.shape[:2] == (len(inputs["labels"]), head.tokens)


@MASKED
def test_the_model_is_as_it_was(rule: FamilyRule, tiny: Any) -> None:
    import torch

    model, inputs = _labelled(rule, tiny, 2)
    names, before = [name for name, _ in model.named_modules()], model(**inputs)
    with gathering(model, masked_head(rule, model, inputs)):
        assert GATHER in dict(model.named_modules())
    assert [name for name, _ in model.named_modules()] == names
    torch.testing.assert_close(model(**inputs).loss, before.loss)


@MASKED
def test_gathering_comes_right_before_the_head(rule: FamilyRule, tiny: Any) -> None:
    model, inputs = _labelled(rule, tiny, 2)
    head = masked_head(rule, model, inputs)
    assert head is not None
    with gathering(model, head):
        traced = in_host_order(trace(model, inputs, training=True), head)
    nodes = list(traced.nodes)
    assert GATHER not in traced.call_counts
    assert not any(GATHER in path for node in nodes for path in traced.owner(node))
    position = {node: i for i, node in enumerate(nodes)}
    assert all(position[a] < position[b] for b in nodes for a in b.all_input_nodes if a in position)
    start = next(call.position for call in traced.calls if call.module == head.rule.module)
    begin = min(i for i, n in enumerate(nodes) if traced.inputs["labels"] in n.all_input_nodes)
    assert 0 < begin < start
    assert not any(traced.owner(node) for node in nodes[begin:start])
    assert {"topk", "one_hot", "matmul"} <= {op_name(node) for node in nodes[begin:start]}
    assert tuple(traced.inputs["labels"].meta["val"].shape) == tuple(inputs["labels"].shape)


@pytest.mark.parametrize("tokens", [0, 9, True, "20", 2.0])
def test_an_impossible_number_of_masked_tokens_is_refused(tokens: Any, tiny: Any) -> None:
    rule = rule_for("BertForMaskedLM")
    assert rule is not None
    model, inputs = _labelled(rule, tiny, 2)
    model.config.max_num_masked_tokens = tokens
    with pytest.raises(UsageError, match=r"expected a whole number from 1 to 8.*--config max_num_masked_tokens=N"):
        masked_head(rule, model, inputs)


def test_without_labels_nothing_is_gathered(tiny: Any) -> None:
    rule = rule_for("BertForMaskedLM")
    model, inputs = tiny("BertForMaskedLM", "bert")
    assert masked_head(rule, model, inputs) is None
    assert masked_head(rule_for("MPNetForMaskedLM"), model, {"labels": inputs["input_ids"]}) is None


@CHANGED
def test_the_host_computes_the_same_otherwise(rule: FamilyRule, tiny: Any) -> None:
    import torch

    model, inputs = tiny(rule.architecture, rule.model_type, _attn_implementation="eager")
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["attention_mask"][..., -2:] = 0
    plain = model(**inputs)[0]
    with as_on_host(model, rule, Target.OPTIMUM):
        changed = model(**inputs)[0]
    assert changed.dtype == plain.dtype
    torch.testing.assert_close(changed, plain, atol=1e-4, rtol=1e-4)
    after = model(**inputs)[0]
    assert torch.equal(after, plain)
    assert not any("forward" in vars(module) for module in model.modules())


def test_residuals_of_a_t5_encoder_are_in_single_precision(tiny: Any) -> None:
    import torch

    rule = rule_for("T5EncoderModel")
    model, inputs = tiny("T5EncoderModel", "t5", _attn_implementation="eager")
    seen: dict[str, torch.dtype] = {}
    for name in ("encoder.block.1", "encoder.block.1.layer.1.DenseReluDense", "encoder.final_layer_norm"):
        module = model.get_submodule(name)
        module.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0].dtype}))
    for target, wide in ((Target.OPTIMUM, torch.float64), (Target.POPTORCH, torch.float32)):
        with as_on_host(model, rule, target):
            model(**inputs)
        assert list(seen.values()) == [wide, torch.float32, wide]
