"""What saves memory, and the cheapest set of changes that makes a plan fit; all of it planned again here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from ipu_partition import UsageError, partition
from ipu_partition.cli import main
from ipu_partition.fit import Fitted, fit
from ipu_partition.levers import SHAPES, Trials, ladders, levers
from ipu_partition.machine import Machine, machine
from ipu_partition.models import resolve
from ipu_partition.plan import PartitionPlan
from ipu_partition.plan_parts import Lever
from ipu_partition.planned import Workshop, plan_modes
from ipu_partition.prepare import Prepared, prepare, target_of
from ipu_partition.rates import throughput
from ipu_partition.request import Request
from ipu_partition.solve import Solved, solve
from ipu_partition.workload import Mode, Target
from planners import evaluate

from .families import FAMILIES, SMALL
from .families import SHAPES as SIZES

MK2 = machine("mk2")
MIDDLE: dict[str, object] = {"vocab_size": 20_000, "n_embd": 128, "n_head": 4, "n_layer": 4}
"""A GPT-2 whose tables, activations and code are of one size."""
ASKED: dict[str, Any] = {"sequence_length": 128, "micro_batch_size": 4, "ipus": 2}


@cache
def _traced(micro_batch_size: int, sequence_length: int, mode: Mode) -> Prepared:
    request = Request(micro_batch_size=micro_batch_size, sequence_length=sequence_length)
    return prepare(resolve("gpt2", config=MIDDLE), request, mode, Target.OPTIMUM, lambda _: None)


def traced(request: Request, mode: Mode = Mode.TRAINING) -> Prepared:
    assert request.sequence_length is not None
    return _traced(request.micro_batch_size, request.sequence_length, mode)


def solved(kind: Machine, mode: Mode = Mode.TRAINING, **options: Any) -> Solved:
    request = Request(**{**ASKED, **options})
    return solve(traced(request, mode), request, kind, Target.OPTIMUM)


def trials(kind: Machine, **options: Any) -> Trials:
    request = Request(**{**ASKED, **options})
    return Trials(request, solve(traced(request), request, kind, Target.OPTIMUM), kind, traced)


def rate(found: Solved) -> float:
    made = throughput(found)
    assert made is not None
    return made.samples_per_second


@cache
def least_tile(**options: Any) -> int:
    """Bytes of a tile with which it fits, to a few hundred."""
    low, high = 1, 2 * MK2.bytes_per_tile
    while high - low > 500:
        middle = (low + high) // 2
        low, high = (low, middle) if _fits(middle, options) else (middle, high)
    return high


def _fits(bytes_per_tile: int, options: Mapping[str, Any]) -> bool:
    try:
        return solved(tile(bytes_per_tile), **{"optimizer_state_offchip": False, **options}).fits
    except UsageError:  # less than nothing can be used of it
        return False


def tile(bytes_: int) -> Machine:
    return replace(MK2, bytes_per_tile=bytes_)


def between(one: Mapping[str, Any], other: Mapping[str, Any], share: float = 0.5) -> Machine:
    """An IPU that holds what `other` needs, and not what `one` needs."""
    least, most = least_tile(**other), least_tile(**one)
    assert least + 2000 < most
    return tile(int(least + share * (most - least)))


@cache
def hopeless() -> Machine:
    """An IPU of which some megabytes can be used."""
    for kind in (tile(n) for n in range(1000, MK2.bytes_per_tile, 1000)):
        try:
            if solved(kind).costing.problem.devices[0].capacity_bytes > 5_000_000:
                return kind
        except UsageError:  # less than nothing can be used of it
            continue
    raise AssertionError


OFF = {"optimizer_state_offchip": True}
PIECES = {"embedding_serialization_factor": 16}
TIGHT = {**OFF, **PIECES}
"""Some pair of changes."""


def fitted(found: Trials) -> Fitted:
    made = fit(found)
    assert made is not None
    return made


# Each change alone


def test_every_lever_is_planned_as_it_says() -> None:
    found = trials(between(OFF, TIGHT))
    assert not found.solved.fits
    suggested = levers(found, everything=True)
    assert {name for lever in suggested for name in lever.options} >= {*OFF, *PIECES, "matmul_proportion"}
    before = found.before
    assert before is not None
    assert before.samples_per_second >= rate(found.solved)  # the nearest cut is not the fastest
    for lever in suggested:
        again = trials(found.machine, **lever.options)
        assert again.solved.fits == lever.fits, lever.name
        assert again.before is not None
        assert lever.samples_per_second == pytest.approx(again.before.samples_per_second, abs=0.001)
        if lever.fits:
            assert lever.samples_per_second == pytest.approx(rate(again.solved), abs=0.001)
        lost = 1 - again.before.samples_per_second / before.samples_per_second
        longer = "sequence_length" not in lever.options  # else the samples are others
        assert lever.time_lost == (pytest.approx(lost, abs=1e-6) if longer else None)


def test_what_fits_comes_first_the_cheapest_first_and_other_work_last() -> None:
    found = trials(between(OFF, TIGHT, 0.9))
    suggested = levers(found, everything=True)
    fitting = [lever for lever in suggested if lever.fits]
    assert 1 < len(fitting) < len(suggested)
    assert suggested[: len(fitting)] == fitting
    same = [lever for lever in fitting if lever.options.keys().isdisjoint(SHAPES)]
    assert fitting[: len(same)] == same
    assert [lever.time_lost for lever in same] == sorted(lever.time_lost or 0.0 for lever in same)
    rest = [lever.bytes_saved for lever in suggested[len(fitting) :]]
    assert rest == sorted(rest, reverse=True)
    assert suggested == levers(trials(found.machine), everything=True)


def test_of_each_ladder_the_first_rung_that_helps() -> None:
    found = trials(between(OFF, TIGHT, 0.9))
    short, all_of_them = levers(found), levers(found, everything=True)
    names = [frozenset(lever.options) for lever in short]
    assert len(names) == len(set(names))
    for lever in short:
        alike = [x for x in all_of_them if frozenset(x.options) == frozenset(lever.options)]
        assert lever.fits == any(x.fits for x in alike)


def test_a_plan_that_fits_says_what_each_change_would_save() -> None:
    found = trials(MK2)
    assert found.solved.fits
    before = found.solved.evaluation
    assert before is not None
    suggested = levers(found)
    assert {"optimizer_state_offchip": True} in [lever.options for lever in suggested]
    assert all(lever.fits and lever.bytes_saved > 0 for lever in suggested)
    state = next(lever for lever in suggested if lever.options == OFF)
    again = evaluate(solved(MK2, **OFF).costing.problem, found.solved.assignment or ())
    assert state.bytes_saved >= before.peak_bytes - again.peak_bytes > 0


def test_levers_are_options_that_can_be_pasted() -> None:
    from ipu_partition.commands.options import keywords
    from ipu_partition.commands.plan import parser

    for lever in levers(trials(between(OFF, TIGHT)), everything=True):
        read = keywords(vars(parser().parse_args(["--model", "gpt2", *lever.name.split()])))
        assert {name: read[name] for name in lever.options} == lever.options


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpoints_are_a_lever_only_where_the_class_looks_at_them(family: str) -> None:
    sizes = SIZES.get(family, {"sequence_length": 16})
    spec, request = resolve(FAMILIES[family], config=SMALL[family]), Request(target="optimum", **sizes)  # type: ignore[arg-type]
    prepared = prepare(spec, request, Mode.TRAINING, target_of(spec, request), lambda _: None)
    found = solve(prepared, replace(request, ipus=4), MK2, Target.OPTIMUM)
    assert prepared.rule is not None
    named = any(ladder.name == "recompute_checkpoint_every_layer" for ladder in ladders(found, request))
    looked_at = prepared.rule.checkpoints.kind not in ("always", "ignored") and bool(prepared.layout.checkpoints)
    assert named == looked_at
    other = replace(request, ipus=4, recompute_checkpoint_every_layer=False)
    assert named == (solve(prepared, other, MK2, Target.OPTIMUM).costing.problem != found.costing.problem)


def test_sharding_needs_replicas() -> None:
    def names(**options: Any) -> set[str]:
        found = trials(MK2, **options)
        return {ladder.name for ladder in ladders(found.solved, found.request)}

    assert names().isdisjoint({"replicated_tensor_sharding", "replicas"})
    assert names(replicas=4) >= {"replicated_tensor_sharding", "replicas"}
    assert "replicated_tensor_sharding" not in names(replicas=4, replicated_tensor_sharding=True)
    assert "optimizer_state_offchip" not in names(optimizer="sgd")


def test_a_proportion_is_lowered_where_it_is_higher_and_never_below_a_twentieth() -> None:
    found = trials(MK2, matmul_proportion=(0.08, 0.3))
    ladder = next(x for x in ladders(found.solved, found.request) if x.name == "matmul_proportion")
    assert [rung.options["matmul_proportion"] for rung in ladder.rungs] == [(0.08, 0.1), (0.05, 0.05)]
    lowest = trials(MK2, matmul_proportion=0.05)
    assert all(x.name != "matmul_proportion" for x in ladders(lowest.solved, lowest.request))


# The cheapest set


def test_the_cheapest_set_of_all_is_found() -> None:
    kind = between(OFF, TIGHT)
    found = trials(kind)
    made = fitted(found)
    assert made.options.keys().isdisjoint(SHAPES)
    by_name = {ladder.name: ladder for ladder in ladders(found.solved, found.request)}
    inner = ["embedding_serialization_factor", "matmul_proportion", "optimizer_state_offchip"]
    rungs: list[list[Mapping[str, object]]] = [[{}, *(r.options for r in by_name[name].rungs)] for name in inner]
    best = 0.0
    for flag, *changes in product((True, False), *rungs):
        options = {"optimizer_state_offchip": False, **{k: v for change in changes for k, v in change.items()}}
        again = solved(kind, recompute_checkpoint_every_layer=flag, **options)
        best = max(best, rate(again) if again.fits else 0.0)
    assert made.trial.samples_per_second >= 0.99 * best


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_nothing_more_is_changed_than_must_be(share: float) -> None:
    kind = between(OFF, TIGHT, share)
    made = fitted(trials(kind))
    options = {"optimizer_state_offchip": False, **made.options}
    assert solved(kind, **options).fits
    for name in made.options:
        less = {k: v for k, v in options.items() if k != name}
        fewer = solved(kind, **{"optimizer_state_offchip": False, **less})
        assert not fewer.fits


def test_what_is_computed_changes_only_where_nothing_else_helps() -> None:
    strongest = {**OFF, "embedding_serialization_factor": 32, "matmul_proportion": 0.05}
    made = fitted(trials(between(strongest, {**strongest, "micro_batch_size": 1})))
    assert {*made.options} & set(SHAPES) == {"micro_batch_size"}
    assert made.options["micro_batch_size"] in (1, 2)


def test_the_hopeless_is_given_up_without_a_trace() -> None:
    def no_trace(_: Request) -> Prepared:
        raise AssertionError("traced in vain")

    found = trials(hopeless())
    found = replace(found, retrace=no_trace)
    assert fit(found) is None
    assert found.count < 40
    assert found.nearest is not None


def test_what_the_user_fixes_stays() -> None:
    kind = between(OFF, TIGHT)
    made = fit(trials(kind, optimizer_state_offchip=False))
    assert made is None or "optimizer_state_offchip" not in made.options
    demanded = trials(kind, ipus=None, layers=(1, 3))
    again = fit(demanded)
    assert again is None or (again.trial.request.layers == (1, 3) and "ipus" not in again.options)
    assert fitted(trials(kind)).trial.solved.workload.ipus == 2


def test_fewest_ipus_where_their_number_is_open() -> None:
    kind = between(OFF, TIGHT)
    open_ = trials(kind, ipus=None)
    assert not open_.solved.fits, "more IPUs must not help by themselves"
    assert fitted(open_).trial.solved.workload.ipus <= 2


# Through the front door


BIG = ["--model", "gpt2", "--config", "vocab_size=50000", "n_embd=1024", "n_head=8", "n_layer=4", "--ipus", "2"]
BIG += ["--sequence-length", "512", "--micro-batch-size", "8"]


def planned(kind: Machine, modes: tuple[Mode, ...], **options: Any) -> Any:
    request = Request(**{**ASKED, **options})
    workshop = Workshop(traced, kind, Target.OPTIMUM, lambda _: None)
    return plan_modes(workshop, dict.fromkeys(modes, request))


def test_the_document_says_what_was_changed() -> None:
    kind = between(OFF, TIGHT)
    one = planned(kind, (Mode.TRAINING,), fit=True)[Mode.TRAINING]
    assert one.plan.fits
    changed = {name: value for applied in one.plan.applied for name, value in applied.options.items()}
    assert changed == dict(fitted(trials(kind)).options)
    assert one.plan.fitting is not None
    assert one.plan.fitting.lacked_bytes == trials(kind).before.shortfall_bytes  # type: ignore[union-attr]
    assert one.plan.workload.optimizer_state_offchip == changed.get("optimizer_state_offchip", False)
    assert [baseline.name for baseline in one.plan.baselines]
    assert not one.plan.levers
    assert planned(kind, (Mode.TRAINING,), fit=True)[Mode.TRAINING].plan == one.plan


def test_what_fits_is_left_alone() -> None:
    as_asked = planned(MK2, (Mode.TRAINING,))[Mode.TRAINING].plan
    assert planned(MK2, (Mode.TRAINING,), fit=True)[Mode.TRAINING].plan == as_asked
    assert (as_asked.applied, as_asked.fitting) == ([], None)


def test_what_cannot_fit_says_what_came_nearest() -> None:
    plan = planned(hopeless(), (Mode.TRAINING,), fit=True)[Mode.TRAINING].plan
    assert not plan.fits
    assert plan.applied == []
    assert plan.fitting is not None
    assert plan.fitting.nearest
    assert plan.shortfall is not None
    assert 0 < plan.fitting.nearest_lacks_bytes < plan.shortfall.bytes
    assert plan.levers


def test_both_modes_share_what_one_setting_serves() -> None:
    kind = between(OFF, {**TIGHT, "matmul_proportion": 0.05}, 0.3)
    found = planned(kind, (Mode.TRAINING, Mode.INFERENCE), fit=True)
    training, inference = found[Mode.TRAINING], found[Mode.INFERENCE]
    assert training.plan.fits
    assert inference.plan.fits
    assert training.request.sequence_length == inference.request.sequence_length
    factors = {one.request.embedding_serialization_factor for one in found.values()}
    assert len(factors) == 1  # the class reads one factor for both


def test_the_command_writes_what_it_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*BIG, "--mode", "training", "--json"]
    assert main(arguments) == 3
    alone = json.loads(capsys.readouterr().out)["training"]
    assert alone["levers"]
    assert alone["fitting"] is None
    assert main([*arguments, "--fit", "--output", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    document = json.loads(text)["training"]
    changed = {name: value for applied in document["applied"] for name, value in applied["options"].items()}
    assert changed
    assert PartitionPlan.from_json(text).to_json() == text
    written = json.loads((tmp_path / "ipu_config.json").read_text())
    fields = set(changed) & set(written)
    assert {name: written[name] for name in fields} == {name: changed[name] for name in fields}
    assert fields | {"micro_batch_size", "sequence_length"} >= set(changed)
    pasted = [word for applied in document["applied"] for word in applied["name"].split()]
    assert main([*arguments, *pasted]) == 0
    again = json.loads(capsys.readouterr().out)["training"]
    assert again["predicted"] == document["predicted"]


def test_levers_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*BIG[:-2], "--micro-batch-size", "1", "--mode", "inference"]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inference"]["levers"] == []
    assert main([*arguments, "--levers", "--json"]) == 0
    found = [Lever.model_validate(x) for x in json.loads(capsys.readouterr().out)["inference"]["levers"]]
    assert found
    assert {name for lever in found for name in lever.options}.isdisjoint({"optimizer_state_offchip"})
    assert main([*arguments, "--levers"]) == 0
    assert "Would save memory" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["fit", "levers"])
def test_flags_are_flags(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 'yes', expected bool"):
        partition("gpt2", **{name: "yes"})


def test_pairs_are_not_named_twice() -> None:
    suggested = levers(trials(between(OFF, TIGHT)), everything=True)
    assert all(one.options != other.options for one, other in combinations(suggested, 2))


@pytest.mark.parametrize("margin", [0, 20_000])
def test_a_plan_near_the_limit_says_that_it_may_not_fit(margin: int) -> None:
    kind = tile(least_tile(**OFF) + margin)
    plan = planned(kind, (Mode.TRAINING,), optimizer_state_offchip=True)[Mode.TRAINING].plan
    fullest = max(ipu.memory.needed_bytes / ipu.memory.capacity_bytes for ipu in plan.ipus)
    assert plan.fits
    assert (fullest > 0.97) == (margin == 0)
    assert any("within the error" in text for text in plan.warnings) == (margin == 0)
