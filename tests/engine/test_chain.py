"""The stages that ranks are handed train as the whole model does, one process or many."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
import torch

from ipu_partition import partition
from ipu_partition.emit import torch_pipelining
from ipu_partition.emit.torch_pipelining import Pipeline, open_pipeline
from ipu_partition.emit.torch_pipelining.module import moved
from ipu_partition.engine.handed import Job, Source
from ipu_partition.engine.reference import train_alone

from .chained import modules, train_chained
from .small import ROTARY, cut, odd, own, planned

JOB = Job(steps=2, micro_batches=3, schedule="1f1b", seed=1, learning_rate=1e-3, device="cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def compared(opened: Pipeline) -> list[torch_pipelining.module.StageModule]:  # type: ignore[name-defined]
    """The trained stages, whose losses and weights are those of the model trained whole."""
    stages, alone = modules(opened), own(opened)
    mine = list(train_chained(opened, stages, JOB))
    whole = [done.loss for done in train_alone(alone, JOB, lambda _: None)]
    assert mine == pytest.approx(whole, abs=1e-6)
    assert mine[0] != mine[1]
    held, expected = {}, alone.model.state_dict()
    for stage in stages:
        for name, value in stage.state_dict().items():
            torch.testing.assert_close(value, held.setdefault(name, value), rtol=0, atol=0)
    assert held.keys() <= expected.keys()
    if opened.reopened.spec.module is None:
        for name, value in held.items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5)
    return stages


@pytest.mark.parametrize("kind", ROTARY)
def test_rotary_models(kind: str) -> None:
    opened = cut(kind, 2)
    compared(opened)
    assert [carried.differentiable for carried in opened.chain[0].sends].count(False) >= 2  # sines and cosines


def test_a_head_for_masked_tokens() -> None:
    compared(cut("bert", 2))


def test_skips_are_handed_on() -> None:
    opened = cut("bart", 4)
    compared(opened)
    encoded = [{c.name for c in link.receives} & {c.name for c in link.sends} for link in opened.chain]
    assert encoded[2], "what the encoder makes goes through the first stage of the decoder"


def test_a_stage_between_hands_gradients_back() -> None:
    opened = cut("t5", 3)
    stages = compared(opened)
    assert [stage.ipu_link.last for stage in stages] == [False, False, True]


def test_tied_weights() -> None:
    opened = cut("gpt2", 2)
    assert opened.change is not None
    assert opened.change.copied == ("transformer.wte.weight",)
    assert opened.change.copied_bytes == 120 * 32 * 4
    stages = compared(opened)
    assert all("transformer.wte.weight" in stage.state_dict() for stage in stages)
    assert "lm_head.weight" in stages[1].state_dict()


def test_a_copy_that_is_left_out_of_the_sum_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.engine.chained._sum_copies", lambda stages: None)
    opened = cut("gpt2", 2)
    mine = list(train_chained(opened, modules(opened), JOB))
    whole = [done.loss for done in train_alone(own(opened), JOB, lambda _: None)]
    assert mine[0] == pytest.approx(whole[0], abs=1e-6)
    assert abs(mine[1] - whole[1]) > 1e-4


def test_an_odd_module() -> None:
    module, given = odd()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    plan = partition(module, mode="training", ipus=3, target="poptorch", **given)
    opened = open_pipeline(plan, 3, module, **given)
    stages = compared(opened)
    assert "target" in stages[-1].ipu_link.inputs
    assert torch_pipelining.keyword("target") == "target_"
    assert not any(p.requires_grad for p in stages[0].first.parameters())  # type: ignore[union-attr]
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(
        parameter.requires_grad == (not name.startswith("first")) for name, parameter in module.named_parameters()
    )


def test_a_plan_of_one_stage_for_each_rank_is_run_as_it_is() -> None:
    plan, _ = planned("llama")
    opened = cut("llama", 2)
    assert opened.change is None
    assert [list(names) for names in opened.modules] == [stage.modules for stage in plan.training.stages]  # type: ignore[union-attr]


def test_stages_are_modules_that_call_each_other() -> None:
    plan, config = planned("llama")
    first, last = torch_pipelining.stages(plan, config)
    ids = torch.randint(0, 60, (1, 8))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    expected = cut("llama", 2).model(**inputs).loss
    torch.testing.assert_close(last(*first(**inputs), **inputs), expected)


def test_a_program_survives_being_written() -> None:
    opened = cut("llama", 2)
    source = Source.of(opened.split.pieces[0].module)
    assert source.parts, "the sines are computed in a program inside the program"
    assert callable(source.program())


@pytest.mark.parametrize(("name", "ranks"), [("bart", 4), ("llama", 2)])
def test_constants_are_made_where_the_stage_is(name: str, ranks: int) -> None:
    """On a device that nothing else is on: what is made on the CPU does not go together with it."""
    for piece in cut(name, ranks).split.pieces:
        held = [n.meta["val"] for n in piece.module.graph.nodes if n.op == "placeholder"]
        given = [torch.empty(value.shape, dtype=value.dtype, device="meta") for value in held]
        assert {made.device.type for made in moved(piece.module, "meta")(*given)} == {"meta"}
        assert moved(piece.module, "cpu") is piece.module


def test_reserved_names_are_those_of_the_schedule() -> None:
    from torch.distributed.pipelining.schedules import PipelineScheduleSingle

    from ipu_partition.emit.torch_pipelining.chain import RESERVED

    assert set(inspect.signature(PipelineScheduleSingle.step).parameters) <= RESERVED
