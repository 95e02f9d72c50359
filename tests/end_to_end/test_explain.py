"""Why a plan cuts where it does: every statement is checked by planning, or by a model that has the layers."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from ipu_partition import UsageError, explain, partition
from ipu_partition.cli import main
from ipu_partition.explanation import Explanation, ModeExplanation, explain_mode
from ipu_partition.explanation.longer import longer
from ipu_partition.explanation.rows import layer_rows
from ipu_partition.layout import layer_units
from ipu_partition.machine import Machine, device_terms, gaps_beside, machine
from ipu_partition.models import resolve
from ipu_partition.plan import PartitionPlan
from ipu_partition.prepare import Prepared, prepare, target_of
from ipu_partition.report.explanation import render_explanation
from ipu_partition.report.terminal import to_text
from ipu_partition.request import Request
from ipu_partition.solve import Solved, solve
from ipu_partition.workload import Mode, Target
from planners import Infeasible, Problem, evaluate, preferred

from .families import FAMILIES, SHAPES, SMALL, small_options

MK2 = machine("mk2")


@cache
def _traced(family: str, mode: Mode, target: str, changed: tuple[tuple[str, object], ...]) -> Prepared:
    request = Request(target=target, **SHAPES.get(family, {"sequence_length": 16}))  # type: ignore[arg-type]
    spec = resolve(FAMILIES[family], config={**SMALL[family], **dict(changed)})
    return prepare(spec, request, mode, target_of(spec, request), lambda _: None)


def solved(
    family: str,
    mode: Mode = Mode.TRAINING,
    kind: Machine = MK2,
    changed: tuple[tuple[str, object], ...] = (),
    **options: Any,
) -> tuple[Request, Solved]:
    target = str(options.pop("target", "optimum"))
    request = Request(target=target, **options)
    return request, solve(_traced(family, mode, target, changed), request, kind, Target(target))


def explained(family: str, mode: Mode = Mode.TRAINING, kind: Machine = MK2, **options: Any) -> ModeExplanation:
    return explain_mode(*solved(family, mode, kind, **options))


# What binds


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("family", "target"), [("gpt2", "optimum"), ("t5", "optimum"), ("vit", "poptorch")])
def test_the_ipu_that_binds_and_what_it_does(family: str, target: str, mode: Mode) -> None:
    request, found = solved(family, mode, ipus=3 if family == "vit" else 2, target=target)
    said, evaluation = explain_mode(request, found), found.evaluation
    assert evaluation is not None
    times = [device.time_us for device in evaluation.devices]
    assert said.slowest.us == pytest.approx(max(times), abs=0.001)
    assert times[said.slowest.ipu] == max(times)
    assert sum(part.us for part in said.slowest.parts) == pytest.approx(said.slowest.us, abs=0.01)
    assert (said.objective_us == said.slowest.us) == (said.goal == "cycle")
    for worker in said.slowest.workers:
        assert 0 < sum(worker.kinds.values()) <= worker.us + 0.01
    bytes_ = [device.memory.total for device in evaluation.devices]
    assert said.fullest.used_bytes == max(bytes_) + gaps_beside(found.costing, max(bytes_))
    assert said.fullest.used_bytes + said.fullest.free_bytes == found.costing.machine.capacity_bytes
    assert bytes_[said.fullest.ipu] == max(bytes_)
    terms = device_terms(found.costing, evaluation, said.fullest.ipu)
    assert [term.bytes for term in said.fullest.terms] == sorted(terms.values(), reverse=True)[
        : len(said.fullest.terms)
    ]
    assert all(terms[term.name] == term.bytes and term.source for term in said.fullest.terms)
    assert said.fullest.free_bytes >= 0


def test_workers_are_all_the_work_where_there_are_few() -> None:
    said = explained("gpt2", ipus=1)
    copies = sum(part.us for part in said.slowest.parts if part.name == "copies")
    assert len(said.slowest.workers) == 3  # embeddings, layers and head are more
    assert sum(worker.us for worker in said.slowest.workers) <= said.slowest.us - copies + 0.01


# The cuts that were not taken


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("family", "ipus"), [("gpt2", 3), ("bert", 2), ("t5", 2)])
def test_the_runner_up_is_the_best_of_all_other_cuts(family: str, ipus: int, mode: Mode) -> None:
    request, found = solved(family, mode, ipus=ipus)
    said = explain_mode(request, found)
    assert said.runner_up is not None
    assert said.runner_up.proved
    assert said.layers_per_ipu is not None
    count = len(layer_units(found.prepared.layout, found.prepared.graph))
    others = []
    for first in product(range(count + 1), repeat=ipus - 1):
        layers = [*first, count - sum(first)]
        if layers[-1] < 0 or layers == said.layers_per_ipu:
            continue
        try:
            others.append(solved(family, mode, layers=tuple(layers))[1])
        except UsageError:  # an IPU without work
            continue
    best = others[preferred([other.evaluation for other in others if other.evaluation])]
    assert best.evaluation is not None
    assert said.runner_up.objective_us == pytest.approx(best.evaluation.objective_us, abs=0.001)
    assert said.runner_up.peak_bytes == best.evaluation.peak_bytes
    assert said.runner_up.slower_us >= -0.001
    moved = {module for move in said.runner_up.moves for module in move.modules}
    assert moved


def test_a_runner_up_keeps_what_was_asked_for() -> None:
    said = explained("gpt2", layers=(2, -1, -1))
    assert said.runner_up is not None
    assert said.runner_up.layers_per_ipu is not None
    assert said.runner_up.layers_per_ipu[0] == 2
    fixed = explained("gpt2", layers=(3, 1, 1))
    assert fixed.runner_up is None
    assert fixed.no_runner_up == "The layers on each IPU are those asked for."
    assert explained("gpt2", ipus=1).no_runner_up == "There is one IPU."


def test_a_free_plan_has_neighbours() -> None:
    request, found = solved("vit", ipus=3, target="poptorch")
    said = explain_mode(request, found)
    assert said.runner_up is not None
    assert not said.runner_up.proved
    assert found.assignment is not None
    moved = {module for move in said.runner_up.moves for module in move.modules}
    assignment = [
        next((m.to_ipu for m in said.runner_up.moves if unit.name in m.modules), old) if unit.name in moved else old
        for unit, old in zip(found.costing.problem.units, found.assignment, strict=True)
    ]
    judged = evaluate(found.costing.problem, assignment)
    assert judged.valid
    assert said.runner_up.objective_us == pytest.approx(judged.objective_us, abs=0.001)


def test_without_a_limit_of_memory() -> None:
    roomy = explained("wav2vec2", ipus=2)
    assert roomy.memory_decides is False
    assert roomy.unlimited is None
    said = explained("wav2vec2", kind=_just_holding("wav2vec2", 2), ipus=2, optimizer_state_offchip=False)
    assert said.memory_decides is True
    assert said.unlimited is not None
    assert not said.unlimited.fits
    assert said.unlimited.layers_per_ipu == roomy.layers_per_ipu
    assert said.unlimited.slower_us < 0
    assert said.runner_up is not None
    assert said.runner_up.slower_us >= 0 or not said.runner_up.fits


@cache
def _just_holding(family: str, ipus: int) -> Machine:
    """The smallest IPU, to a few bytes a tile, that some cut fits."""
    low, high = 1, MK2.bytes_per_tile
    while high - low > 50:
        middle = (low + high) // 2
        low, high = (low, middle) if _fits(family, ipus, middle) else (middle, high)
    return replace(MK2, bytes_per_tile=high)


def _fits(family: str, ipus: int, bytes_per_tile: int, changed: tuple[tuple[str, object], ...] = ()) -> bool:
    kind = replace(MK2, bytes_per_tile=bytes_per_tile)
    try:
        return solved(family, Mode.TRAINING, kind, changed, ipus=ipus, optimizer_state_offchip=False)[1].fits
    except UsageError:  # less than nothing of such an IPU can be used
        return False


# More layers


def as_numbers(problem: Problem) -> Problem:
    """Without names, in an order that does not depend on them."""
    units = tuple(replace(unit, name="") for unit in problem.units)
    tensors = sorted(
        (replace(t, name="") for t in problem.tensors), key=lambda t: (t.producer or -1, t.readers, t.bytes)
    )
    groups = sorted((replace(g, name="") for g in problem.groups), key=lambda g: (g.members, g.bytes))
    return replace(problem, units=units, tensors=tuple(tensors), groups=tuple(groups))


OTHERS = {"decoder_layers": (("encoder_layers", 9),), "num_decoder_layers": (("num_layers", 9),)}


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("family", "field", "row"),
    [
        ("gpt2", "n_layer", "transformer.h"),
        ("bert", "num_hidden_layers", "bert.encoder.layer"),
        ("vit", "num_hidden_layers", "vit.layers"),
        ("t5", "num_layers", "encoder.block"),
        ("t5", "num_decoder_layers", "decoder.block"),
        ("bart", "decoder_layers", "model.decoder.layers"),
    ],
)
@pytest.mark.parametrize("copies", [1, 3])
def test_a_longer_problem_is_that_of_a_longer_model(family: str, field: str, row: str, copies: int, mode: Mode) -> None:
    """Layers that share their code, and no checkpoint that is left out by its number."""
    _, short = solved(family, mode, changed=((field, 4), *OTHERS.get(field, ())), ipus=2)
    _, long = solved(family, mode, changed=((field, 4 + copies), *OTHERS.get(field, ())), ipus=2)
    rows = layer_rows(short.prepared)[row]
    assert len(rows) == 4
    made = as_numbers(longer(short.costing.problem, rows[-2], copies))
    assert made == as_numbers(long.costing.problem)


def test_one_more_layer_on_each_ipu() -> None:
    request, found = solved("gpt2", ipus=3, layers=(0, 2, 3))
    said, before = explain_mode(request, found), found.evaluation
    assert before is not None
    assert [more.ipu for more in said.one_more] == [0, 1, 2]
    for more, layers in zip(said.one_more, ((1, 2, 3), (0, 3, 3), (0, 2, 4)), strict=True):
        _, long = solved("gpt2", changed=(("n_layer", 6),), layers=layers)
        assert long.evaluation is not None
        assert more.objective_us == pytest.approx(long.evaluation.objective_us, abs=0.001)
        there, was = (e.devices[more.ipu].memory.total for e in (long.evaluation, before))
        assert more.used_bytes == there + gaps_beside(found.costing, there)
        assert more.more_bytes == more.used_bytes - was - gaps_beside(found.costing, was) > 0
        assert more.fits


def test_how_many_more_layers_there_is_room_for() -> None:
    kind = replace(MK2, bytes_per_tile=_just_holding("gpt2", 2).bytes_per_tile + 2_000)
    request, found = solved("gpt2", kind=kind, ipus=2, optimizer_state_offchip=False)
    (room,) = explain_mode(request, found).room
    assert room.like == "transformer.h"
    assert not room.at_least
    assert _fits("gpt2", 2, kind.bytes_per_tile, (("n_layer", 5 + room.more),))
    assert not _fits("gpt2", 2, kind.bytes_per_tile, (("n_layer", 6 + room.more),))
    (plenty,) = explained("gpt2", ipus=2).room
    assert (plenty.more, plenty.at_least) == (5, True)


# What keeps a model from fitting


def test_what_cannot_be_parted_and_what_is_too_much() -> None:
    kind = replace(MK2, bytes_per_tile=_just_holding("gpt2", 2).bytes_per_tile * 3 // 5)
    request, found = solved("gpt2", kind=kind, ipus=2)
    assert isinstance(found.solution, Infeasible)
    said = explain_mode(request, found)
    assert said.obstacles
    assert said.fullest.free_bytes < 0
    assert (said.one_more, said.room, said.runner_up) == ([], [], None)
    text = to_text(render_explanation(_whole(said)), 80)
    assert "What keeps it from fitting" in text


def test_a_lack_that_is_nobody_s_alone() -> None:
    kind = replace(MK2, bytes_per_tile=_just_holding("gpt2", 2).bytes_per_tile - 100)
    said = explained("gpt2", kind=kind, ipus=2, optimizer_state_offchip=False)
    assert not said.fits
    assert said.obstacles[-1].startswith("In every cut some IPU lacks memory; the nearest lacks")


def _whole(mode: ModeExplanation) -> Explanation:
    return Explanation(
        model="m", architecture="M", machine="mk2", target="optimum", fits=mode.fits, training=mode, inference=None
    )


# All kinds of models, and the front door


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_explained(family: str) -> None:
    for mode in Mode:
        said = explained(family, mode, ipus=4)
        assert said.fits
        assert (said.runner_up is None) == bool(said.no_runner_up)
        text = to_text(render_explanation(_whole(said)), 100)
        assert "IPU" in text
        assert max(map(len, text.splitlines())) <= 100


class NoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.one(x).relu())


def test_a_model_without_layers() -> None:
    made = explain(NoLayers(), 2, example_inputs={"x": torch.zeros(4, 8)}, loss=lambda out: out.sum())
    assert made.training is not None
    assert made.training.one_more == []
    assert made.training.room == []
    assert "fits" in str(made)


def test_a_plan_explains_itself_but_a_file_does_not() -> None:
    plan = partition("gpt2", 2, mode="training", **small_options("gpt2"))  # type: ignore[arg-type]
    made = plan.explain()
    assert made == explain("gpt2", 2, mode="training", **small_options("gpt2"))  # type: ignore[arg-type]
    assert made.inference is None
    assert Explanation.model_validate_json(made.to_json()).to_json() == made.to_json()
    read = PartitionPlan.from_json(plan.to_json())
    assert read == plan
    for other in (read, pickle.loads(pickle.dumps(plan))):
        assert other == plan
        with pytest.raises(UsageError, match=r"Try ipu_partition\.explain"):
            other.explain()
    assert copy.deepcopy(plan) == plan


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explain", "--model", "gpt2", "--ipus", "2", "--sequence-length", "16", "--config"]
    arguments += [f"{k}={v}" for k, v in SMALL["gpt2"].items()]
    texts = []
    for _ in range(2):
        assert main([*arguments, "--json"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert set(json.loads(texts[0])) == {*Explanation.model_fields}
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "sets the cycle" in shown
    assert "Next best" in shown
    assert main(["explain", "--model", "gpt2", "--layers", "1,2"]) == 2
    assert "adds up to 3" in capsys.readouterr().err


def test_what_does_not_fit_exits_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--model", "gpt2", "--ipus", "1", "--mode", "training", "--micro-batch-size", "8"]) == 3
    assert "does not fit" in capsys.readouterr().out


def test_what_depends_on_the_ipu_is_not_guessed() -> None:
    """Where proportions differ, other cuts would have to be costed anew: nothing is said of them."""
    request, found = solved("gpt2", ipus=2, layers=(2, 3), matmul_proportion=(0.6, 0.02))
    said = explain_mode(request, found)
    assert (said.memory_decides, said.unlimited, said.one_more, said.room) == (None, None, [], [])
