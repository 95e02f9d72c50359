"""Plans for the devices of a machine file, from the command line to the document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ipu_partition import PartitionPlan, UsageError, check, explain, partition
from ipu_partition.cli import main
from ipu_partition.devices.measure import to_toml
from ipu_partition.devices.ranks import machine_of, ranked
from ipu_partition.machine import machine
from ipu_partition.models import resolve
from ipu_partition.plan import PLAN_NAME
from ipu_partition.prepare import prepare
from ipu_partition.request import Request
from ipu_partition.workload import Mode, Target, Workload
from tests.devices.machines import ALIKE, FLAT, LISTED, ONE
from tests.end_to_end.families import FAMILIES, small_options

LAYERS = 12


class Stack(nn.Module):
    """Equal layers; the first one's bias is added at the end too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(256, 256) for _ in range(LAYERS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x + self.layers[0].bias


PAIR = {"name": "two", "count": 2, "device": FLAT}
INPUTS = {"x": torch.zeros(64, 256)}


def stack_plan(folder: Path, data: dict[str, Any], **options: Any) -> PartitionPlan:
    return partition(Stack(), machine=written(folder, data), example_inputs=INPUTS, loss=loss, **options)


def loss(output: torch.Tensor) -> torch.Tensor:
    return output.square().mean()


def written(folder: Path, data: dict[str, Any]) -> str:
    file = folder / "machine.json"
    file.write_text(json.dumps(data))
    return str(file)


def layers(plan: PartitionPlan) -> list[int]:
    assert plan.training is not None
    return [sum(m.startswith("layers.") for m in stage.modules) for stage in plan.training.stages]


def test_equal_devices_get_equal_stages_and_the_document_says_all(tmp_path: Path) -> None:
    plan = stack_plan(tmp_path, PAIR)
    assert plan.fits
    assert (plan.target, plan.expressible, plan.optimum_class) == ("torch", False, None)
    assert plan.machine.devices is not None
    assert [d.kind for d in plan.machine.devices] == ["cuda", "cuda"]
    assert (plan.machine.tiles_per_ipu, plan.machine.capacity_bytes) == (None, 40 << 30)
    assert plan.overrides.planner == "inline"
    for mode in plan.modes().values():
        assert mode.status == "optimal"
        assert mode.workload.precision == "32.32"
        assert [(s.index, s.ipu) for s in mode.stages] == [(0, 0), (1, 1)]
        assert [unit for stage in mode.stages for unit in stage.units] == list(range(LAYERS))
        assert not mode.blocks
        assert {b.name for b in mode.baselines} == {"uniform", "greedy", "parameters", "flops"}
    training, inference = plan.mode("training"), plan.mode("inference")
    assert layers(plan) == [6, 6]
    assert (training.workload.schedule, inference.workload.schedule) == ("1f1b-training", "pipelined-inference")
    assert (training.workload.gradient_accumulation, training.minimum_accumulation) == (16, 2)
    assert PartitionPlan.from_json(plan.to_json()) == plan
    assert stack_plan(tmp_path, PAIR).to_json() == plan.to_json()


def test_the_first_stage_keeps_the_activations_of_both_micro_batches_under_way(tmp_path: Path) -> None:
    """The last stage saves what the loss needs too."""
    first, last = stack_plan(tmp_path, PAIR, mode="training").mode("training").ipus
    layer = 64 * 256 * 4
    assert first.memory.terms["activations"] == 2 * 6 * layer
    assert 6 * layer <= last.memory.terms["activations"] <= 7 * layer
    single = stack_plan(tmp_path, PAIR, mode="training", ipus=1).mode("training")
    assert len(single.stages) == 1


def test_a_device_twice_as_fast_gets_twice_the_layers(tmp_path: Path) -> None:
    fast, slow = {**FLAT, "flops_per_s": 39e12}, {**FLAT, "flops_per_s": 19.5e12}
    for devices, expected in (([slow, fast], [4, 8]), ([fast, slow], [8, 4])):
        plan = stack_plan(tmp_path, {"name": "mixed", "devices": devices}, mode="training")
        assert layers(plan) == expected
        assert not plan.mode("training").warnings


def test_devices_that_differ_otherwise_are_told(tmp_path: Path) -> None:
    odd = {**ONE, "op_overhead_us": 50, "link_bytes_per_s": 1e9}
    warnings = stack_plan(tmp_path, {"name": "odd", "devices": [ONE, odd]}, mode="training").mode("training").warnings
    assert any("planned at the slowest, 1e+09 bytes per second" in warning for warning in warnings)


def test_lack_of_memory_is_reported_with_its_terms(tmp_path: Path) -> None:
    tiny = {**ONE, "memory_gib": 0.0001}
    plan = stack_plan(tmp_path, {"name": "tiny", "devices": [ONE, tiny]}, mode="training")
    training = plan.mode("training")
    assert (plan.fits, training.status, training.solution.proved) == (False, "infeasible", True)
    assert training.shortfall is not None
    assert training.shortfall.ipu == 1
    needed = training.ipus[1].memory
    assert training.shortfall.bytes == needed.total_bytes - needed.capacity_bytes
    assert sum(training.shortfall.terms.values()) == needed.total_bytes


def test_less_memory_moves_layers_away(tmp_path: Path) -> None:
    """Room for some layers of the second half."""
    roomy = stack_plan(tmp_path, PAIR, mode="training").mode("training").ipus[1].memory.total_bytes
    small = {**FLAT, "memory_gib": roomy / 2**30 * 0.6}
    plan = stack_plan(tmp_path, {"name": "small", "devices": [FLAT, small]}, mode="training")
    assert plan.fits
    assert layers(plan)[1] < 6


def test_memory_may_come_first(tmp_path: Path) -> None:
    plan = stack_plan(tmp_path, PAIR, mode="training", prefer="memory")
    assert plan.mode("training").solution.lower_bound_bytes is not None
    assert layers(plan)[0] < 6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_are_planned_as_they_are(family: str, tmp_path: Path) -> None:
    """Without what optimum-graphcore changes; weights that are read in several stages are copied."""
    options: dict[str, Any] = {**small_options(family), "mode": "training"}
    plan = partition(FAMILIES[family], machine=written(tmp_path, LISTED), **options)
    for mode in plan.modes().values():
        assert [stage.ipu for stage in mode.stages] == [0, 1]
        assert mode.status == "optimal"
        for ipu in mode.ipus:
            assert sum(ipu.memory.terms.values()) == ipu.memory.total_bytes
    assert not any("parallelize" in w or "IPU" in w for mode in plan.modes().values() for w in mode.warnings)
    assert PartitionPlan.from_dict(plan.to_dict()) == plan


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ipus": 3}, "3 devices were asked for, machine 'two' has 2"),
        ({"replicas": 2}, "replicas is 2, but it is about IPUs"),
        ({"fit": True}, "fit is True, but it is about IPUs"),
        ({"levers": True}, "levers is True"),
        ({"layers": (6, 6)}, r"layers is \(6, 6\)"),
        ({"pins": {"layers.0": 0}}, "pins is"),
        ({"matmul_proportion": 0.3}, "matmul_proportion is 0.3"),
        ({"target": "poptorch"}, "Target poptorch is about IPUs"),
        ({"gradient_accumulation": 1}, "a 1F1B pipeline of 2 stages needs at least 2"),
        ({"planner": "chain"}, "planner 'chain' does not know the schedule '1f1b-training'"),
        ({"planner": "brute"}, None),
        ({"target": "torch"}, None),
        ({"precision": "16.16"}, None),
    ],
)
def test_options(options: dict[str, Any], words: str | None, tmp_path: Path) -> None:
    """None: it is obeyed."""
    if words is None:
        assert stack_plan(tmp_path, ALIKE, mode="training", **options).fits
        return
    with pytest.raises(UsageError, match=words):
        stack_plan(tmp_path, ALIKE, mode="training", **options)


def test_more_devices_than_places(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"13 devices need at least 13 places .* this model has 12"):
        stack_plan(tmp_path, {**ALIKE, "count": 13})


def test_target_torch_needs_a_machine_file() -> None:
    with pytest.raises(UsageError, match="give one with --machine FILE"):
        partition("gpt2", target="torch")


def test_what_is_about_ipus_is_refused(tmp_path: Path) -> None:
    plan = stack_plan(tmp_path, ALIKE, mode="training")
    asked = [plan.ipu_config, plan.explain, lambda: plan.apply(Stack()), lambda: plan.save_pretrained(tmp_path / "hub")]
    for ask in (*asked, lambda: plan.push_to_hub("a/b", dry_run=True)):
        with pytest.raises(UsageError, match="is about IPUs, and this plan is for the devices of 'two'"):
            ask()
    with pytest.raises(UsageError, match="explain is about IPUs"):
        explain("gpt2", machine=written(tmp_path, ALIKE))
    with pytest.raises(UsageError, match="about IPUs"):
        check("gpt2", {"layers_per_ipu": [6, 6]}, machine=written(tmp_path, ALIKE))
    assert plan.save(tmp_path / "out") == (tmp_path / "out" / PLAN_NAME,)
    assert PartitionPlan.load(tmp_path / "out") == plan


def test_edited_documents_are_refused(tmp_path: Path) -> None:
    data = stack_plan(tmp_path, ALIKE, mode="training").to_dict()
    for change in (
        {"target": "poptorch"},
        {"machine": {**data["machine"], "devices": None}},
        {"machine": {**data["machine"], "devices": data["machine"]["devices"][:1]}},
        {"machine": {**data["machine"], "capacity_bytes": 5}},
    ):
        with pytest.raises(UsageError):
            PartitionPlan.from_dict({**data, **change})


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gpus.toml"
    file.write_text(to_toml(ALIKE))
    small = ["--model", "gpt2", "--config", "n_layer=3", "n_embd=32", "n_head=2", "vocab_size=120"]
    asked = [*small, "--sequence-length", "16", "--machine", str(file)]
    out = tmp_path / "plan"
    assert main([*asked, "--output", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "two, 2 x cuda with 40,960.0 MiB" in shown
    assert "torch; one stage on each device, in order" in shown
    assert "device 1" in shown
    assert "IPU" not in shown
    assert [f.name for f in out.iterdir()] == [PLAN_NAME]
    assert main(["show", str(out)]) == 0
    assert main(["diff", str(out), str(out)]) == 0
    capsys.readouterr()
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "torch"
    assert main([*asked, "--save-pretrained", str(tmp_path / "hub"), "--output", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "hub").exists()
    assert not (tmp_path / "new").exists()
    assert main(["batch", "--catalogue", "gpt2", "--machines", str(file), "--output", str(tmp_path / "new")]) == 2
    assert "A batch is about IPUs" in capsys.readouterr().err
    assert main([*asked, "--replicas", "2"]) == 2
    assert main(["push", str(out), "--repo", "a/b", "--dry-run"]) == 2
    assert main([*small, "--machine", str(tmp_path / "nowhere.toml")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_names_of_ipus_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mk2").write_text("")
    (tmp_path / "mine").write_text("")
    assert not Request(machine="mk2").machine_file
    assert Request(machine="mine").machine_file
    assert Request(machine="gpus.TOML").machine_file
    assert (Request().planner, Request().precision) == ("chain", "16.16")
    assert (Request(machine="a.json").planner, Request(machine="a.json", precision="16.32").precision) == (
        "inline",
        "16.32",
    )


def test_a_plan_for_ipus_is_planned_again_with_a_stage_on_each_rank() -> None:
    """GPT-2's tied head returns to the first IPU; a rank is not visited twice."""
    request = Request(mode="training", sequence_length=16, config={"n_layer": 6, "n_embd": 32, "n_head": 2})
    spec = resolve("gpt2", config=request.config)
    prepared = prepare(spec, request, Mode.TRAINING, Target.OPTIMUM, lambda _: None)
    work = Workload(mode=Mode.TRAINING, ipus=4)
    found = ranked(prepared, work, machine("mk2"), 3)
    assert sorted({*found.assignment}) == [0, 1, 2]
    assert list(found.assignment) == sorted(found.assignment)
    assert found.fits
    assert found.copied == ("transformer.wte.weight",)
    assert ranked(prepared, work, machine("mk2"), 1).copied == ()
    assert found.objective_us < ranked(prepared, work, machine("mk2"), 1).objective_us
    with pytest.raises(UsageError, match="99 ranks were asked for"):
        ranked(prepared, work, machine("mk2"), 99)


def test_a_plan_for_devices_is_planned_again_for_fewer(tmp_path: Path) -> None:
    plan = stack_plan(tmp_path, {**PAIR, "count": 4}, mode="training")
    again = machine_of(plan.machine)
    spec = resolve(Stack(), example_inputs=INPUTS, loss=loss)
    prepared = prepare(spec, Request(precision="32.32"), Mode.TRAINING, Target.TORCH, lambda _: None)
    work = Workload(mode=Mode.TRAINING, ipus=4, gradient_accumulation=32, target=Target.TORCH)
    assert ranked(prepared, work, again, 2).assignment == (0,) * 6 + (1,) * 6
    with pytest.raises(UsageError, match="5 devices were asked for"):
        ranked(prepared, work, again, 5)
