"""Plans in a better order than the program's: planned, written, opened again, proved and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ipu_partition import PartitionPlan, UsageError, explain_order, partition
from ipu_partition.cli import main
from ipu_partition.emit.torch_pipelining import open_pipeline
from ipu_partition.engine import Options, run
from ipu_partition.order import price
from ipu_partition.reopen import reopen
from ipu_partition.workload import Mode
from tests.devices.machines import FLAT, ONE
from tests.end_to_end.families import FAMILIES, small_options
from tests.order.towers import GIVEN, Towers

SLOW = {**ONE, "op_overhead_us": 0, "flops_per_s": {"float32": 1e9}, "bytes_per_s": 1e15, "link_latency_us": 0}
"""Products decide, as in models of a real size."""


def machine_file(folder: Path, device: dict[str, Any], count: int = 2) -> str:
    file = folder / "machine.json"
    file.write_text(json.dumps({"name": "test", "count": count, "device": device}))
    return str(file)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> tuple[PartitionPlan, PartitionPlan]:
    """Of the towers: in program order, and in the best."""
    kind = machine_file(tmp_path_factory.mktemp("plans"), {**SLOW, "link_bytes_per_s": 1e15})
    program, best = (partition(Towers(), machine=kind, order=order, **GIVEN) for order in ("program", "best"))
    return program, best


def test_the_better_order_is_planned_and_written(plans: tuple[PartitionPlan, PartitionPlan], tmp_path: Path) -> None:
    program, best = plans
    for name in ("training", "inference"):
        one, other = program.mode(name), best.mode(name)  # type: ignore[arg-type]
        assert one.predicted is not None
        assert other.predicted is not None
        assert one.order is None
        assert other.order is not None
        assert sorted(other.order) == [unit for stage in one.stages for unit in stage.units]
        assert other.predicted.cycle_us is not None
        assert one.predicted.cycle_us is not None
        assert other.predicted.cycle_us < 0.95 * one.predicted.cycle_us
        assert sorted(m for s in other.stages for m in s.modules) == sorted(m for s in one.stages for m in s.modules)
        assert any("In another order than the program's: keeping to program" in text for text in other.warnings)
    best.save(tmp_path)
    again = PartitionPlan.load(tmp_path)
    assert again.fingerprint() == best.fingerprint()
    opened = reopen(again, Towers(), **GIVEN)
    assert opened.requests[Mode.TRAINING].order == "best"
    assert reopen(program, Towers(), **GIVEN).requests[Mode.TRAINING].order == "program"
    prepared = opened.prepared(Mode.TRAINING)
    assert [unit for origin in prepared.origins for unit in origin] == list(best.mode("training").order or ())
    homes = opened.assignment(Mode.TRAINING, prepared)
    assert list(homes) == sorted(homes)
    assert sum(len(u.modules or (u.name,)) for u in prepared.graph.units) == sum(
        len(stage.modules) for stage in best.mode("training").stages
    )


def test_the_better_order_is_proved(plans: tuple[PartitionPlan, PartitionPlan]) -> None:
    proved = plans[1].verify(Towers(), **GIVEN)
    assert proved.passed
    assert proved.training is not None
    assert proved.training.equivalence is not None
    assert proved.training.equivalence.passed


def test_the_better_order_runs_in_two_processes(plans: tuple[PartitionPlan, PartitionPlan]) -> None:
    options = Options(ranks=2, steps=2, micro_batches=2, seed=4, learning_rate=0.01)
    ran = run(plans[1], options, Towers(), **GIVEN)
    assert ran.first_difference is None
    assert ran.compared
    assert ran.change is None
    assert [step.loss for step in ran.steps] == pytest.approx([step.alone_loss for step in ran.steps], rel=1e-6)
    left = [{m.split(".")[0] for m in modules} for _, modules in _stages(plans[1])]
    assert left == [{"left", "right"}, {"left", "right"}]


def _stages(plan: PartitionPlan) -> list[tuple[int, list[str]]]:
    return [(stage.ipu, stage.modules) for stage in plan.mode("training").stages]


@pytest.mark.parametrize("count", [2, 3])
def test_lxmert_on_the_command_line(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = small_options("lxmert")
    config = [f"{key}={value}" for key, value in options["config"].items()]  # type: ignore[attr-defined]
    kind = machine_file(tmp_path, {**SLOW, "link_bytes_per_s": 1e11}, count)
    asked = ["--model", FAMILIES["lxmert"], "--config", *config, "--sequence-length", "16", "--machine", kind]
    assert main([*asked, "--order", "best", "--output", str(tmp_path / "plan")]) == 0
    plan = PartitionPlan.load(tmp_path / "plan")
    assert any(mode.order is not None for mode in plan.modes().values())
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "plan")]) == 0
    assert main(["verify", str(tmp_path / "plan"), "--size", "small"]) == 0
    capsys.readouterr()
    arguments = ["--plan", str(tmp_path / "plan"), "--engine", "torch", "--nproc", str(count), "--steps", "1", "--json"]
    assert main(["run", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_what_is_not_proved_of_all_orders_is_not_optimal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The planner of one order has proved its own; the document speaks of all."""
    kind = machine_file(tmp_path, {**SLOW, "link_bytes_per_s": 1e15})
    known = price._bound

    monkeypatch.setattr(price, "_bound", lambda solution: 0.9 * known(solution))
    part = partition(Towers(), machine=kind, order="best", mode="training", **GIVEN).training
    assert part is not None
    assert part.status == "feasible"
    assert part.solution.lower_bound_us == pytest.approx(0.9 * part.solution.objective_us, rel=1e-3)
    assert part.solution.gap == pytest.approx(0.1, rel=1e-2)
    assert any("at most" in warning for warning in part.warnings)


def test_orders_know_no_demands(tmp_path: Path) -> None:
    for given in ({"layers": (1, 1)}, {"prefer": "memory"}, {"planner": "uniform"}, {"pins": {"left.0": 0}}):
        with pytest.raises(UsageError, match=f"{next(iter(given))} is .* Leave it out"):
            explain_order(Towers(), 2, **given, **GIVEN)  # type: ignore[arg-type]


def test_a_chain_keeps_its_order(tmp_path: Path) -> None:
    kind = machine_file(tmp_path, FLAT)
    plan = partition(FAMILIES["bert"], machine=kind, order="best", **small_options("bert"))  # type: ignore[arg-type]
    for mode in plan.modes().values():
        assert mode.order is None
        assert "The program's order is kept: no other is faster, proven." in mode.warnings


def test_what_has_no_other_order(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="PopTorch begins its blocks in the order in which the model calls its modules"
    ):
        partition(Towers(), 2, order="best", **GIVEN)
    with pytest.raises(UsageError, match="order is 'fast', expected one of program, best"):
        partition(Towers(), 2, order="fast", **GIVEN)
    kind = machine_file(tmp_path, FLAT)
    with pytest.raises(UsageError, match="Orders are compared by time"):
        partition(Towers(), machine=kind, order="best", prefer="memory", **GIVEN)
    assert main(["--model", "gpt2", "--ipus", "4", "--order", "best"]) == 2


def test_split_points_are_for_program_order(plans: tuple[PartitionPlan, PartitionPlan]) -> None:
    from ipu_partition.emit.other.torch_split import split_spec

    with pytest.raises(UsageError, match="runs a model in the order of its program"):
        split_spec(plans[1], "training", model=Towers(), **GIVEN)


def test_a_plan_of_another_model_is_refused(plans: tuple[PartitionPlan, PartitionPlan]) -> None:
    with pytest.raises(UsageError, match="is not the model the plan was made for"):
        open_pipeline(plans[1], 2, Towers((6, 6, 1), (4, 4)), **GIVEN)


def test_explain_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = [f"{key}={value}" for key, value in small_options("lxmert")["config"].items()]  # type: ignore[attr-defined]
    kind = machine_file(tmp_path, {**SLOW, "link_bytes_per_s": 1e11})
    asked = ["explain", "--order", "--model", FAMILIES["lxmert"], "--config", *config, "--sequence-length", "16"]
    assert main([*asked, "--machine", kind, "--time-limit", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for mode in (found["training"], found["inference"]):
        assert mode["lower_bound_us"] <= mode["best_us"] <= mode["program_us"]
        assert mode["words"].startswith("keeping to program order costs")
        assert sorted(unit for stage in mode["stages"] for unit in stage["units"]) == list(range(mode["units"]))
    assert main([*asked, "--machine", kind, "--time-limit", "5", "--granularity", "op"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Keeping to program order costs" in shown
    assert "the order of operations" in shown
    assert main(["explain", "--model", "gpt2", "--granularity", "op"]) == 2
    assert "--granularity is about --order, which is not given" in capsys.readouterr().err
