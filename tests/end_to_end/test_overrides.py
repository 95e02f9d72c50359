"""Users overrule the planner: layers per IPU, pins, what comes first, which planner.

What is asked for holds exactly; what cannot hold is refused with both sides named.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from ipu_partition import UsageError, partition
from ipu_partition.assemble import layers_per_ipu, mode_plan
from ipu_partition.cli import main
from ipu_partition.conflicts import check, in_words
from ipu_partition.demands import demands
from ipu_partition.layout import layer_units
from ipu_partition.levers import Trials, levers
from ipu_partition.machine import machine, peak_bytes
from ipu_partition.models import resolve
from ipu_partition.modules import units_running
from ipu_partition.plan import PartitionPlan
from ipu_partition.prepare import Prepared, prepare, target_of
from ipu_partition.report.terminal import render_plan, to_text
from ipu_partition.request import Request
from ipu_partition.solve import BASELINES, Solved, attempt, solve, solve_for, workload
from ipu_partition.workload import Mode, Target
from planners import Evaluation, Feasible, Optimal, Problem, SharedGroup, evaluate
from planners.registry import BUILT_IN
from planners.uniform import layer_counts

from .families import FAMILIES, SHAPES, SMALL

MK2 = machine("mk2")
CRAMPED = replace(MK2, bytes_per_tile=30_000)
"""An IPU that the small models do not fit."""
GPT2 = ["--model", "gpt2", "--sequence-length", "16", "--config", *(f"{k}={v}" for k, v in SMALL["gpt2"].items())]
BERT = ["--model", "bert-base-uncased", "--sequence-length", "16", "--config"]
BERT += [f"{k}={v}" for k, v in SMALL["bert"].items()]


@cache
def small(family: str, mode: Mode = Mode.TRAINING, target: str = "optimum", task: str | None = None) -> Prepared:
    request = Request(target=target, **SHAPES.get(family, {"sequence_length": 16}))  # type: ignore[arg-type]
    spec = resolve(FAMILIES[family], config=SMALL[family], task=task)
    return prepare(spec, request, mode, target_of(spec, request), lambda _: None)


def planned(family: str, mode: Mode = Mode.TRAINING, target: str = "optimum", **options: Any) -> Solved:
    prepared = small(family, mode, target, options.pop("task", None))
    return solve(prepared, Request(target=target, **options), MK2, Target(target))


def counts(solved: Solved) -> list[int]:
    """Layers on each IPU, in a free plan too."""
    assert solved.assignment is not None
    homes = [solved.assignment[unit] for unit in sorted(layer_units(solved.prepared.layout, solved.prepared.graph))]
    assert all(a <= b for a, b in pairwise(homes))
    return [homes.count(ipu) for ipu in range(solved.workload.ipus)]


def best(solved: Solved) -> Evaluation:
    assert solved.assignment is not None
    assert isinstance(solved.solution, Optimal)
    judged = evaluate(solved.costing.problem, solved.assignment)
    assert judged == solved.evaluation
    assert judged.valid
    return judged


# Layers


LISTS = [
    ("gpt2", (3, 1, 1)), ("gpt2", (0, 5)), ("bert", (1, 4)), ("vit", (4, 1)),
    ("t5", (4, 2)), ("bart", (1, 5)), ("wav2vec2", (3, 6, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("family", "layers"), LISTS)
@pytest.mark.parametrize("mode", list(Mode))
def test_an_exact_list_holds_exactly(family: str, layers: tuple[int, ...], mode: Mode) -> None:
    solved = planned(family, mode, layers=layers)
    best(solved)
    assert solved.workload.ipus == len(layers)
    assert counts(solved) == list(layers)
    assert layers_per_ipu(solved.prepared, solved.assignment, len(layers)) == list(layers)


@pytest.mark.parametrize(("family", "layers"), [("gpt2", (1, 2, 2)), ("t5", (4, 2)), ("vit", (2, 3))])
def test_the_family_s_layers_count_in_a_free_plan_too(family: str, layers: tuple[int, ...]) -> None:
    solved = planned(family, target="poptorch", layers=layers)
    best(solved)
    assert counts(solved) == list(layers)
    assert layers_per_ipu(solved.prepared, solved.assignment, len(layers)) is None


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("layers", "fillings"),
    [
        ((2, -1, -1), [(2, a, 3 - a) for a in range(4)]),
        ((-1, 1, -1), [(a, 1, 4 - a) for a in range(5)]),
        ((-1, -1), [(a, 5 - a) for a in range(6)]),
    ],
)
def test_wildcards_are_filled_as_well_as_they_can_be(
    layers: tuple[int, ...], fillings: list[tuple[int, ...]], mode: Mode
) -> None:
    found = planned("gpt2", mode, layers=layers)
    others = []
    for filling in fillings:
        try:
            others.append(best(planned("gpt2", mode, layers=filling)).objective_us)
        except UsageError:  # an IPU without any unit
            assert 0 in filling
    assert all(asked in (n, -1) for asked, n in zip(layers, counts(found), strict=True))
    assert best(found).objective_us == pytest.approx(min(others), rel=1e-9)


def test_an_ipu_may_be_left_without_layers_but_not_without_work() -> None:
    assert counts(planned("gpt2", layers=(0, 5))) == [0, 5]  # the embeddings and the head are on IPU 0
    with pytest.raises(UsageError, match="There is no plan for training on 3 IPUs with --layers 5,0,0: "):
        planned("gpt2", layers=(5, 0, 0))


# Pins


@pytest.mark.parametrize(
    ("family", "module", "modules"),
    [
        ("gpt2", "transformer.h.3", ["transformer.h.3"]),
        ("gpt2", "transformer.h", [f"transformer.h.{i}" for i in range(5)]),
        ("gpt2", "transformer.ln_f", ["transformer.h.4"]),  # begins no block: the unit that runs it goes along
        ("gpt2", "transformer.h.2.attn.c_attn", ["transformer.h.2"]),
        ("gpt2", "Layer3", ["transformer.h.3"]),  # the block's id
        ("gpt2", "LM head", ["lm_head"]),
        ("vit", "vit.layers.1", ["vit.layers.1"]),
        ("vit", "vit.encoder.layer.1", ["vit.layers.1"]),  # the name on the IPU host
        ("vit", "vit.encoder.layer.1.attention.attention.query", ["vit.layers.1"]),
        ("vit", "vit.encoder", [f"vit.layers.{i}" for i in range(5)]),
        ("t5", "decoder", ["encoder.embed_tokens", "encoder.block.2", *(f"decoder.block.{i}" for i in range(3))]),
        ("wav2vec2", "(declared loss)", ["(declared loss)"]),
    ],
)
def test_which_units_run_a_module(family: str, module: str, modules: list[str]) -> None:
    prepared = small(family)
    assert [prepared.graph.units[i].name for i in sorted(units_running(prepared, module))] == modules


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("h.3", "Did you mean 'transformer.h.3'?"),
        ("transformer.h.3.atn", "Did you mean 'transformer.h.3.attn'"),
        ("transformer.h.9", "Did you mean 'transformer.h.4'"),
        ("moon", "The plan's stage table lists the modules."),
    ],
)
def test_an_unknown_module_is_refused_with_near_names(module: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"^gpt2 runs no module '{module}'. ") as error:
        planned("gpt2", pins={module: 0}, ipus=2)
    assert words in str(error.value)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_pinned_layer_is_where_it_was_pinned(mode: Mode) -> None:
    solved = planned("gpt2", mode, ipus=3, pins={"transformer.h.3": 1, "transformer.h.0": 0})
    best(solved)
    assert solved.assignment is not None
    homes = {u.name: ipu for u, ipu in zip(solved.prepared.graph.units, solved.assignment, strict=True)}
    assert (homes["transformer.h.0"], homes["transformer.h.3"]) == (0, 1)


def test_a_free_head_goes_where_it_is_pinned_and_its_stage_returns() -> None:
    options: dict[str, Any] = {"ipus": 2, "task": "question-answering"}
    with pytest.raises(UsageError, match=r"'qa_outputs' on IPU 1\. Leave it out, or try --target poptorch"):
        planned("bert", pins={"qa_outputs": 0}, **options)
    solved = planned("bert", pins={"qa_outputs": 0}, target="poptorch", **options)
    assert [stage.device for stage in best(solved).stages] == [0, 1, 0]


def test_pins_decide_the_least_number_of_ipus() -> None:
    assert planned("gpt2").workload.ipus == 1
    assert planned("gpt2", pins={"transformer.h.3": 2}).workload.ipus == 4


def test_a_pin_that_the_class_allows_on_some_counts_only_is_planned_on_one_of_them() -> None:
    solved = planned("vit", pins={"classifier": 1})  # on the last IPU: so there are two
    assert solved.workload.ipus == 2


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(4))
        self.hook = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.hook(x)


def stack(**options: Any) -> PartitionPlan:
    return partition(Stack(), example_inputs=(torch.zeros(5, 64),), mode="inference", **options)


def test_a_pin_of_a_module_without_work_is_said_to_change_nothing() -> None:
    plan = stack(ipus=2, pins={"hook": 0, "layers.2": 1})
    assert plan.inference is not None
    idle = [w for w in plan.inference.warnings if "changes nothing" in w]
    assert idle == ["--pin hook=0 changes nothing: the module does no work in inference."]
    homes = {m: s.ipu for s in plan.inference.stages for m in s.modules}
    assert homes["layers.2"] == 1


# Contradictions: both sides are named


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--layers", "3,7,7,7", "--ipus", "8"],
            "--layers names 4 IPUs, --ipus says 8. Leave one out, or make them agree.",
        ),
        (["--layers", "5", "--ipus", "2"], "--layers names 1 IPU, --ipus says 2. Leave one out, or make them agree."),
        (
            ["--layers", ",".join(["1"] * 65)],
            "65 IPUs x 1 replicas = 65 IPUs were asked for, but one process can hold at most 64. Ask for fewer IPUs or "
            "replicas.",
        ),
        (["--layers", "3,x"], "--layers got '3,x', expected one number for each IPU such as 3,7,7,7 or 3,-1."),
        (["--layers", ""], "--layers got '', expected one number for each IPU such as 3,7,7,7 or 3,-1."),
        (["--layers", "-2,3"], "layers names -2, expected counts of at least 0, or -1 where the planner chooses."),
        (["--pin", "lm_head"], "--pin got 'lm_head', expected MODULE=IPU such as lm_head=0."),
        (["--pin", "lm_head=x"], "--pin got 'lm_head=x', expected MODULE=IPU such as lm_head=0."),
        (["--pin", "lm_head=-1"], "'lm_head' is pinned to -1, expected an IPU counted from 0."),
        (
            ["--pin", "lm_head=0", "--pin", "lm_head=1"],
            "--pin lm_head=0 and --pin lm_head=1 contradict each other. Leave one out.",
        ),
        (["--pin", "lm_head=4", "--ipus", "4"], "--pin lm_head=4 names IPU 4, but the IPUs are 0 to 3."),
        (["--pin", "lm_head=1", "--ipus", "1"], "--pin lm_head=1 names IPU 1, but the only IPU is 0."),
        (["--pin", "lm_head=2", "--layers", "2,3"], "--pin lm_head=2 names IPU 2, but the IPUs are 0 to 1."),
        (["--pin", "lm_head=20", "--replicas", "3"], "--pin lm_head=20 names IPU 20, but the IPUs are 0 to 15."),
        (["--prefer", "speed"], "prefer is 'speed', expected one of time, memory."),
        (["--planner", "chain{"], "planner 'chain{' is not understood, expected a form such as "),
        (["--planner", "chain{time=3}"], "planner 'chain' has no option 'time'; it has "),
    ],
)  # fmt: skip
def test_what_needs_no_model_is_refused_before_one_is_read(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipu_partition.api.resolve", None)
    assert main(["--model", "gpt2", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"ipu-partition: {words}")
    assert words.endswith(" ") or err == f"ipu-partition: {words}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [*GPT2, "--layers", "3,7,7,7"],
            "--layers 3,7,7,7 adds up to 24, but gpt2 has 5 layers (training). Put -1 where the planner shall "
            "choose the number.",
        ),
        (
            [*GPT2, "--layers", "2,2"],
            "--layers 2,2 adds up to 4, but gpt2 has 5 layers (training). Put -1 where the planner shall "
            "choose the number.",
        ),
        (
            [*GPT2, "--layers", "6,-1"],
            "--layers 6,-1 adds up to 6, but gpt2 has 5 layers (training). Put -1 where the planner shall "
            "choose the number.",
        ),
        (
            [*GPT2, "--ipus", "2", "--pin", "lm_head=1"],
            "--pin lm_head=1 contradicts the rule that PipelinedGPT2LMHeadModel begins 'lm_head' on IPU 0. Leave it "
            "out, or try --target poptorch, which places blocks freely.",
        ),
        (
            [*GPT2, "--ipus", "2", "--pin", "transformer.drop=1"],
            "--pin transformer.drop=1 contradicts the rule that PipelinedGPT2LMHeadModel begins 'transformer.wpe' on "
            "IPU 0, where 'transformer.drop' runs. Leave it out, or try --target poptorch, which places blocks freely.",
        ),
        (
            [*GPT2, "--ipus", "2", "--pin", "transformer.h=1", "--pin", "transformer.h.2=0"],
            "--pin transformer.h=1 and --pin transformer.h.2=0 contradict each other: both place the unit that begins "
            "at 'transformer.h.2'. Leave one out.",
        ),
        (
            [*GPT2, "--target", "poptorch", "--ipus", "2", "--pin", "transformer.wte=0", "--pin", "lm_head=1"],
            "--pin transformer.wte=0 contradicts --pin lm_head=1: weight transformer.wte.weight is held by both, and "
            "in a pipeline that is one IPU's. Pin both to one IPU, or only one of them.",
        ),
        (
            [*GPT2, "--layers", "1,2,2", "--pin", "transformer.h.0=1"],
            "--pin transformer.h.0=1 contradicts --layers 1,2,2, which puts layers 1 to 2 on IPU 1: 'transformer.h.0' "
            "is layer 0, counted from 0.",
        ),
        (
            [*GPT2, "--layers", "-1,2,2", "--pin", "transformer.h.4=0"],
            "--pin transformer.h.4=0 contradicts --layers -1,2,2, which leaves at most layer 0 on IPU 0: "
            "'transformer.h.4' is layer 4, counted from 0.",
        ),
        (
            [*BERT, "--layers", "0,5", "--pin", "bert.encoder.layer.0=0"],
            "--pin bert.encoder.layer.0=0 contradicts --layers 0,5, which puts no layer on IPU 0: "
            "'bert.encoder.layer.0' is layer 0, counted from 0.",
        ),
        (
            ["--model", "unc-nlp/lxmert-base-uncased", "--config", *(f"{k}={v}" for k, v in SMALL["lxmert"].items()),
             "--layers", "2,2,2,2"],
            "--layers 2,2,2,2 means the layers that layers_per_ipu counts in a class of optimum-graphcore, and "
            "unc-nlp/lxmert-base-uncased has none of them. Try --pin MODULE=IPU to place its modules.",
        ),
    ],
)  # fmt: skip
def test_contradictions_name_both_sides(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[-1]) == ("", f"ipu-partition: {words}")


def test_a_module_without_a_class_has_no_layers_to_count() -> None:
    with pytest.raises(UsageError, match=r"^--layers 2,2 means the layers .* Stack has none of them\. Try --pin"):
        stack(layers=(2, 2))


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ({"layers": (1, -1, -1), "pins": {"transformer.h.1": 2}}, ["--layers 1,-1,-1", "--pin transformer.h.1=2"]),
        ({"ipus": 3, "pins": {"transformer.h.1": 2, "transformer.h.4": 1}},
         ["--pin transformer.h.1=2", "--pin transformer.h.4=1"]),
        ({"ipus": 3, "pins": {"lm_head": 2}, "target": "poptorch"}, ["--pin lm_head=2", "'transformer.wte'", "ties"]),
        ({"layers": (5, 0, 0)}, ["--layers 5,0,0", "IPU"]),
    ],
)  # fmt: skip
def test_what_the_planner_finds_impossible_is_said_in_the_user_s_words(
    options: dict[str, Any], sides: list[str]
) -> None:
    with pytest.raises(UsageError, match=r"^There is no plan for training on 3 IPUs with --") as error:
        planned("gpt2", **options)
    reason = str(error.value).partition(": ")[2]
    assert all(side in reason for side in sides), reason
    assert "device" not in reason


def test_a_reason_is_translated() -> None:
    solved = planned("gpt2", ipus=2)
    asked = demands((4, 1), {"lm_head": 0}, "time")
    decided = {solved.prepared.graph.units.index(u): "--pin lm_head=0" for u in solved.prepared.graph.units[-1:]}
    reason = "unit 'lm_head' is pinned to device 0; group 'weight w' must be on one device; devices [1] hold no unit"
    assert in_words(reason, solved.costing.problem, decided, asked) == (
        "--pin lm_head=0; weight w must be on one IPU; IPUs [1] hold no unit"
    )


def test_what_a_class_begins_on_one_ipu_cannot_be_pinned_apart() -> None:
    problem = planned("gpt2", ipus=2).costing.problem
    together = replace(problem, groups=(SharedGroup("units 2 and 6", (2, 6), 0, True),), pins=((2, 0), (6, 1)))
    asked = demands(None, {"a": 0, "b": 1}, "time")
    with pytest.raises(
        UsageError, match=r"^--pin a=0 contradicts --pin b=1: the model's class begins both on one IPU\."
    ):
        check(together, {2: "--pin a=0", 6: "--pin b=1"}, asked)


# What comes first


def test_memory_first_needs_less_memory_and_says_what_it_proved() -> None:
    time_first, memory_first = (planned("t5", ipus=2, prefer=prefer) for prefer in ("time", "memory"))
    assert best(memory_first).peak_bytes <= best(time_first).peak_bytes
    assert best(memory_first).objective_us >= best(time_first).objective_us
    plan = mode_plan(memory_first, [], [])
    found = plan.solution
    peak = peak_bytes(memory_first.evaluation)
    assert (found.prefer, found.gap, found.refined) == ("memory", 0.0, True)
    assert found.peak_bytes == found.lower_bound_bytes == peak == max(ipu.memory.total_bytes for ipu in plan.ipus)
    assert found.lower_bound_us is None
    other = mode_plan(time_first, [], []).solution
    assert (other.prefer, other.lower_bound_bytes, other.lower_bound_us) == ("time", None, other.objective_us)


def test_each_preference_is_the_best_of_all_cuts_in_its_own_criterion() -> None:
    every = [best(planned("gpt2", layers=(a, b, 5 - a - b))) for a in range(4) for b in range(1, 5 - a)]
    assert best(planned("gpt2", ipus=3, prefer="memory")).peak_bytes == min(cut.peak_bytes for cut in every)
    least_us = min(cut.objective_us for cut in every)
    assert best(planned("gpt2", ipus=3, prefer="time")).objective_us == pytest.approx(least_us, rel=1e-9)


# Planners


@pytest.mark.parametrize("spec", [*BASELINES, "uniform{layers=1,2,2}", "brute", "brute{limit=100000}", " chain { } "])
def test_every_planner_can_be_chosen(spec: str) -> None:
    solved = planned("gpt2", ipus=3, planner=spec)
    assert solved.solution.planner == spec.partition("{")[0].strip()
    assert solved.fits
    chain = best(planned("gpt2", ipus=3))
    assert solved.evaluation is not None
    assert solved.evaluation.objective_us >= chain.objective_us * (1 - 1e-9)
    plan = mode_plan(solved, [], [])
    assert plan.status == ("optimal" if isinstance(solved.solution, Optimal) else "feasible")
    if plan.status == "feasible" and isinstance(solved.solution, Feasible) and not solved.solution.lower_bound:
        assert (plan.solution.lower_bound_us, plan.solution.gap) == (None, None)


def test_uniform_fills_wildcards_as_optimum_does_and_the_solver_better() -> None:
    for layers in ((1, -1, -1), (-1, 2, -1)):
        even = planned("gpt2", layers=layers, planner="uniform")
        assert counts(even) == layer_counts(layers, 3, 5)
        assert even.evaluation is not None
        assert best(planned("gpt2", layers=layers)).objective_us <= even.evaluation.objective_us * (1 + 1e-9)


def test_a_baseline_that_finds_nothing_proves_nothing() -> None:
    found = [mode_plan(solve(small("gpt2"), Request(ipus=2, planner=p), CRAMPED, Target.OPTIMUM), [], [])
             for p in ("chain", "uniform")]  # fmt: skip
    assert [(plan.status, plan.solution.proved) for plan in found] == [("infeasible", True), ("infeasible", False)]


@pytest.mark.parametrize("spec", ["milp", "milp{time_limit=30}"])
def test_milp_agrees(spec: str) -> None:
    pytest.importorskip("highspy")
    for options in ({"ipus": 3}, {"layers": (1, -1, -1)}, {"ipus": 2, "prefer": "memory"}):
        found, chain = planned("gpt2", planner=spec, **options), planned("gpt2", **options)
        assert best(found).leading == pytest.approx(best(chain).leading, rel=1e-9)


def test_a_planner_whose_library_is_missing_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    assert main([*GPT2, "--ipus", "2", "--mode", "inference", "--planner", "milp"]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("ipu-partition: ")
    assert "highspy" in err


@dataclass(frozen=True)
class Liar:
    """Everything on device 0, and called optimal."""

    def __call__(self, problem: Problem) -> Optimal:
        everywhere = (0,) * len(problem.units)
        return Optimal(everywhere, evaluate(problem, everywhere), "liar")


def test_an_answer_that_the_judge_rejects_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BUILT_IN, "liar", f"{__name__}:Liar")
    assert main([*GPT2, "--ipus", "2", "--mode", "inference", "--planner", "liar"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "ipu-partition: Planner 'liar' cannot plan this: planner 'liar' gave an answer that the judge rejects: devices "
        "[1] hold no unit."
    )


# Baselines and levers


def test_baselines_stand_beside_every_plan_and_know_no_demands() -> None:
    free, asked = planned("gpt2", ipus=3), planned("gpt2", layers=(3, 1, 1), pins={"transformer.h.0": 0})
    assert tuple(name for name, _ in free.baselines) == BASELINES
    assert asked.baselines == free.baselines
    for _, solution in free.baselines:
        assert solution.assignment is not None
        assert evaluate(free.costing.problem, solution.assignment) == solution.evaluation
    assert [b.name for b in mode_plan(asked, [], []).baselines] == list(BASELINES)


def test_a_baseline_that_is_no_plan_says_why() -> None:
    prepared = small("bert", task="fill-mask")
    work = workload(prepared, Request(ipus=6), 6, Target.OPTIMUM)
    plan = mode_plan(solve_for(prepared, work, MK2, "chain"), [], [])
    uniform = plan.baselines[0]
    assert (uniform.name, uniform.fits, uniform.cycle_us, uniform.peak_bytes) == ("uniform", False, None, 0)
    assert "hold no unit" in uniform.violations[0]
    assert plan.layers_per_ipu == [0, 1, 1, 1, 1, 1]


def test_levers_keep_the_demands(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Solved] = []

    def spy(*arguments: Any, **keywords: Any) -> Solved:
        tried.append(attempt(*arguments, **keywords))
        return tried[-1]

    monkeypatch.setattr("ipu_partition.levers.trials.attempt", spy)
    request = Request(layers=(3, 1, 1), prefer="memory", planner="chain{time_limit=7}")
    solved = solve(small("gpt2"), request, CRAMPED, Target.OPTIMUM)
    assert not solved.fits
    named = [lever.name for lever in levers(Trials(request, solved, CRAMPED))]
    assert named
    assert not any(name.startswith("--ipus") for name in named)
    assert all(counts(one) == [3, 1, 1] for one in tried)
    assert all(one.costing.problem.prefer.value == "memory" for one in tried)


def test_a_lever_that_the_demands_forbid_is_not_named() -> None:
    request = Request(ipus=2, pins={"classifier": 1})  # the class puts it on the last IPU, whichever that is
    solved = solve(small("vit"), request, CRAMPED, Target.OPTIMUM)
    assert not solved.fits
    assert not any(lever.name.startswith("--ipus") for lever in levers(Trials(request, solved, CRAMPED)))


# The document


def test_the_document_says_what_was_decided(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*GPT2, "--layers", "2,-1", "--pin", "lm_head=0", "--pin", "transformer.h.1=0", "--prefer", "memory"]
    arguments += ["--planner", "chain{time_limit=30}", "--json"]
    texts = []
    for _ in range(2):
        assert main(arguments) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    document = json.loads(texts[0])
    assert document["overrides"] == {
        "layers": [2, -1],
        "pins": {"lm_head": 0, "transformer.h.1": 0},
        "planner": "chain{time_limit=30}",
        "prefer": "memory",
    }
    assert document["training"]["layers_per_ipu"] == document["inference"]["layers_per_ipu"] == [2, 3]
    plan = PartitionPlan.from_json(texts[0])
    assert plan.to_json() == texts[0]
    shown = to_text(render_plan(plan, 120), 120)
    assert (
        "Overruled  layers 2,-1, lm_head on IPU 0, transformer.h.1 on IPU 0, memory before time, planner "
        "chain{time_limit=30}"
    ) in " ".join(shown.split()).replace("Overruled ", "Overruled  ")
    assert "optimal: peak " in shown


def test_a_wildcard_first_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GPT2, "--mode", "inference", "--json", "--layers", "-1,3"]) == 0
    assert json.loads(capsys.readouterr().out)["inference"]["layers_per_ipu"] == [2, 3]


def test_what_was_decided_is_part_of_the_fingerprint_and_may_be_missing_in_older_documents() -> None:
    plan = partition("gpt2", config=SMALL["gpt2"], sequence_length=16, layers=[2, 3], mode="inference")
    data = plan.to_dict()
    del data["overrides"]
    for name in ("prefer", "peak_bytes", "lower_bound_bytes", "refined", "proved"):
        del data["inference"]["solution"][name]
    del data["basis"], data["fingerprint"], data["verified"]
    older = PartitionPlan.from_dict({**data, "schema_version": 1}, stale=True)
    assert (older.overrides.layers, older.overrides.prefer, older.overrides.planner) == (None, "time", "chain")
    assert older.fingerprint() != plan.fingerprint()


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"layers": "3,7"}, "layers is '3,7', expected one number for each IPU"),
        ({"layers": ()}, r"layers is \(\), expected"),
        ({"layers": 3}, "layers is 3, expected"),
        ({"layers": (True, 2)}, "layers names True"),
        ({"layers": (1.0, 2)}, "layers names 1.0"),
        ({"pins": [("lm_head", 0)]}, "pins is .*, expected a mapping"),
        ({"pins": {3: 0}}, "pins names the module 3"),
        ({"pins": {"": 0}}, "pins names the module ''"),
        ({"pins": {"lm_head": True}}, "'lm_head' is pinned to True"),
        ({"pins": {"lm_head": 10**30}}, "the IPUs are 0 to 63"),
        ({"prefer": None}, "prefer is None"),
    ],
)
def test_wrong_keywords_are_clear_errors(keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        partition("gpt2", **keywords)
