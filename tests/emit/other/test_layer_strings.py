"""What vLLM and Megatron are told, read back by their rules, and by their own code where it is installed."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipu_partition.emit.other import megatron, vllm
from ipu_partition.emit.other.megatron_layout import _layout
from ipu_partition.errors import UsageError
from ipu_partition.plan import PartitionPlan

Staged = Callable[..., PartitionPlan]
GPT2 = {"architecture": "GPT2LMHeadModel"}


def gpt2(*layers: int) -> list[list[str]]:
    """So many layers in each stage, the embeddings in the first, the norm and the head in the last."""
    bounds = [sum(layers[:i]) for i in range(len(layers) + 1)]
    stages = [[f"transformer.h.{i}" for i in range(a, b)] for a, b in pairwise(bounds)]
    stages[0] = ["transformer.wte", "transformer.wpe", *stages[0]]
    stages[-1] += ["transformer.ln_f", "lm_head"]
    return stages


def vllm_ranges(value: str, layers: int, ranks: int) -> list[tuple[int, int]]:
    """The rule of `get_pp_indices` with VLLM_PP_LAYER_PARTITION set, in our own words: numbers between commas, one for
    each rank, that add up to the layers; a rank has the next so many. Held against vLLM 0.33.0 itself, whose package
    needs compiled parts and is no dependency here."""
    counts = [int(count) for count in value.split(",")]
    assert len(counts) == ranks
    assert sum(counts) == layers
    return [(sum(counts[:rank]), sum(counts[: rank + 1])) for rank in range(ranks)]


def megatron_stages(layout: str) -> list[str]:
    """The grammar of `parse_str_to_list`, in our own words: commas mean nothing, `(x)*n` and `c*n` repeat, `|` parts.
    Held against Megatron-Core 0.16.1 itself in the tests below, where it is installed."""
    plain = re.sub(r"\(([^)]+)\)\*(\d+)", lambda m: m[1] * int(m[2]), layout.replace(",", ""))
    stages = re.sub(r"(.)\*(\d+)", lambda m: m[1] * int(m[2]), plain).split("|")
    assert set("".join(stages)) <= set("EtL")
    assert "".join(stages)[0] == "E"
    assert "".join(stages)[-1] == "L"
    return stages


def test_vllm_counts_the_layers_of_each_rank(staged: Staged) -> None:
    found = vllm(staged(gpt2(3, 4, 5)))
    assert found.value == "3,4,5"
    assert found.text == "# with --pipeline-parallel-size 3\nVLLM_PP_LAYER_PARTITION=3,4,5\n"
    assert found.notes == ()
    assert vllm_ranges(found.value, 12, 3) == [(0, 3), (3, 7), (7, 12)]


def test_megatron_lays_out_the_layers_of_each_stage(staged: Staged) -> None:
    found = megatron(staged(gpt2(3, 4, 1)))
    assert found.value == "E,t*3|t*4|t,L"
    assert found.text == "E,t*3|t*4|t,L\n"
    assert found.notes == ()
    assert megatron_stages(found.value) == ["Ettt", "tttt", "tL"]


def test_one_rank_has_it_all(staged: Staged) -> None:
    plan = staged(gpt2(2))
    assert vllm(plan).value == "2"
    assert megatron(plan).value == "E,t*2,L"


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_megatron_reads_every_layout_as_it_was_meant(counts: list[int]) -> None:
    stages = megatron_stages(_layout(counts))
    assert [stage.count("t") for stage in stages] == counts


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_megatron_itself_reads_every_layout_as_it_was_meant(counts: list[int]) -> None:
    module: Any = pytest.importorskip("megatron.core.transformer.pipeline_parallel_layer_layout")
    layout = module.PipelineParallelLayerLayout(_layout(counts), len(counts))
    layout.validate_layer_layout(sum(counts), None)
    assert [layout.get_num_layers_to_build(vp_stage=0, pp_rank=rank) for rank in range(len(counts))] == counts


@pytest.mark.parametrize("layers", [(3, 4, 5), (1, 1), (7,)])
def test_vllm_itself_reads_it_as_it_was_meant(
    staged: Staged, layers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    utils: Any = pytest.importorskip("vllm.distributed.utils")
    value, ranks = vllm(staged(gpt2(*layers))).value, range(len(layers))
    monkeypatch.setenv("VLLM_PP_LAYER_PARTITION", value)
    found = [utils.get_pp_indices(sum(layers), rank, len(layers)) for rank in ranks]
    assert found == vllm_ranges(value, sum(layers), len(layers))


def test_megatron_puts_the_embedding_or_the_head_alone(staged: Staged) -> None:
    stages = gpt2(0, 2, 3, 0)
    found = megatron(staged(stages))
    assert found.value == "E|t*2|t*3|L"
    assert found.notes == ()
    stages[2].append(stages[3].pop(0))
    notes = megatron(staged(stages)).notes
    assert notes == ("Megatron runs transformer.ln_f on rank 3; the plan has it on stage 2.",)


@pytest.mark.parametrize(("halves", "counts"), [((1, 3), "1,3"), ((3, 1), "2,2"), ((2, 2), "2,2")])
def test_a_layer_that_is_cut_is_counted_where_most_of_it_is(
    staged: Staged, halves: tuple[int, int], counts: str
) -> None:
    stages = gpt2(2, 2)
    stages[0][-1:] = [f"transformer.h.1.part{i}" for i in range(halves[0])]
    stages[1][:0] = [f"transformer.h.1.rest{i}" for i in range(halves[1])]
    found = vllm(staged(stages))
    assert found.value == counts
    rank = 0 if counts == "2,2" else 1
    what = f"keeps transformer.h.1 whole, on rank {rank}; the plan cuts it, between the stages 0 and 1."
    assert found.notes == (f"vLLM {what}",)
    assert megatron(staged(stages)).notes == (f"Megatron {what}",)


def test_what_the_plan_has_elsewhere_is_said(staged: Staged) -> None:
    stages = gpt2(2, 3)
    stages[0].remove("transformer.wpe")
    first = stages[0].pop(0)
    found = vllm(staged([[first, "transformer.h.0"], ["transformer.h.1", "transformer.ln_f", "lm_head"]]))
    assert found.notes == ()
    found = megatron(staged([[first], ["transformer.wpe", "transformer.h.0", "lm_head"]]))
    assert found.notes == ("Megatron runs transformer.wpe on rank 0; the plan has it on stage 1.",)


@pytest.mark.parametrize("emit", [vllm, megatron])
@pytest.mark.parametrize(
    ("stages", "devices", "model", "said"),
    [
        (gpt2(0, 2, 3, 0), [0, 1, 2, 0], {}, "device 0 runs stage 0 and stage 3 ('transformer.ln_f', 'lm_head')"),
        (gpt2(2, 2), [1, 0], {}, "the 2 stages of this plan are on the devices 1, 0"),
        (gpt2(2, 2), None, {"task": "text2text-generation"}, "this plan is of GPT2LMHeadModel for text2text"),
        ([["a.layers.0", "b.layers.0"], ["b.layers.1"]], None, {}, "run 2 lists ('a.layers', 'b.layers')"),
        ([["embed"], ["head"]], None, {}, "run no list"),
        ([["h.1"], ["h.0"]], None, {}, "run them in the order 1, 0"),
        ([["h.0", "h.2"], ["h.3"]], None, {}, "run them in the order 0, 2, 3"),
        ([["h.0"], ["h.1", "h.0"]], None, {}, "run them in the order 0, 1, 0"),
        ([["h.0"], ["norm"], ["h.1"]], None, {}, "stage 1 of this plan has none"),
    ],
)
def test_what_cannot_be_said_is_refused(
    staged: Staged, emit: Any, stages: Any, devices: Any, model: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as error:
        emit(staged(stages, devices, **GPT2, **model))
    assert "`device_map` can say it" in str(error.value)


def test_the_nearest_is_named(staged: Staged) -> None:
    plan = staged(gpt2(0, 2, 3, 0), [0, 1, 2, 0])
    with pytest.raises(UsageError, match=r"VLLM_PP_LAYER_PARTITION=2,3, on 2 ranks"):
        vllm(plan)
    with pytest.raises(UsageError, match=re.escape('The nearest is "E|t*2|t*3,L".')):
        megatron(plan)
    with pytest.raises(UsageError, match=r"stage 0 of this plan has none.*=2,3, on 2 ranks"):
        vllm(staged(gpt2(0, 2, 3)))


def test_the_mode_is_the_one_of_the_tool(plans: Any) -> None:
    training, inference = (
        plans.mode_plan(
            plans.workload(mode, len(layers)),
            [],
            stages=[{"index": i, "ipu": i, "units": [i], "modules": m} for i, m in enumerate(gpt2(*layers))],
        )
        for mode, layers in (("training", (1, 2)), ("inference", (2, 1)))
    )
    plan = plans.plan(training, inference, model={"task": "text-generation"})
    assert vllm(plan).value == "2,1"
    assert vllm(plan, "training").value == "1,2"
    assert megatron(plan).value == "E,t|t*2,L"
    assert megatron(plan, "inference").value == "E,t*2|t,L"
    assert vllm(plans.plan(training, None, model={"task": "text-generation"})).value == "1,2"
    with pytest.raises(UsageError, match="expected training or inference"):
        vllm(plan, "sleep")  # type: ignore[arg-type]


def test_a_plan_that_places_nothing_has_no_cut(staged: Staged, plans: Any) -> None:
    nothing = plans.mode_plan(plans.workload("training", 2), [], stages=[])
    with pytest.raises(UsageError, match="places nothing in training"):
        vllm(plans.plan(nothing, None))
