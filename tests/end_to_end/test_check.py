"""`check` and `compare`: a configuration by hand is judged by the ruler of our plans, and never beats them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import ipu_partition
from ipu_partition import PartitionPlan, UsageError, check, compare, partition
from ipu_partition.cli import main
from ipu_partition.compared import Verdict
from ipu_partition.ipu_config import IPUConfig

from .families import FAMILIES, SMALL

CONFIG: dict[str, object] = {
    "num_hidden_layers": 6,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 120,
}
BERT: dict[str, Any] = {"task": "fill-mask", "config": CONFIG, "sequence_length": 16}
COMMAND = [
    *("--model", "bert-base-uncased", "--task", "fill-mask", "--sequence-length", "16"),
    *("--config", *(f"{key}={value}" for key, value in CONFIG.items())),
]


def _bert(config: Any, **options: Any) -> PartitionPlan:
    return check("bert-base-uncased", config, **{**BERT, **options})


def _fatal(plan: PartitionPlan) -> list[tuple[str | None, str]]:
    return [(finding.mode, finding.field) for finding in plan.findings if finding.fatal]


def _file(folder: Path, config: dict[str, Any]) -> str:
    (folder / "ipu_config.json").write_text(json.dumps(config))
    return str(folder)


def test_names_are_functions_whatever_was_imported() -> None:
    assert ipu_partition.check is check
    assert ipu_partition.compare is compare
    assert callable(check)
    assert callable(compare)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_our_own_files_are_predicted_as_they_were_planned(family: str) -> None:
    """Every class: bytes by term, times and layers of both modes."""
    options: Any = {"config": SMALL[family], "replicas": 2, "micro_batch_size": 2}
    plan = partition(
        FAMILIES[family], 4, optimizer_state_offchip=True, replicated_tensor_sharding=True,
        matmul_proportion=(0.1, 0.2, 0.3, 0.4), **options,
    )  # fmt: skip
    found = check(FAMILIES[family], plan.ipu_config(), **options)
    assert found.findings == []
    for name, ours in plan.modes().items():
        theirs = found.mode(name)
        assert theirs.ipus == ours.ipus
        assert theirs.predicted == ours.predicted
        assert theirs.layers_per_ipu == ours.layers_per_ipu
        assert theirs.blocks == ours.blocks
        assert theirs.workload == ours.workload
        assert theirs.status == "feasible"
        assert theirs.solution.gap is None


def test_serialisation_comes_back_from_the_file_too() -> None:
    plan = partition("bert-base-uncased", 2, embedding_serialization_factor=4, **BERT)
    found = _bert(plan.ipu_config().to_dict())
    assert found.training is not None
    assert plan.training is not None
    assert found.training.workload.embedding_serialization_factor == 4
    assert found.training.ipus == plan.training.ipus


@pytest.mark.parametrize(
    ("layers", "counts"),
    [
        ([-1], [1, 1, 1, 3]),
        ([0, -1, -1, 2], [0, 2, 2, 2]),
        ([1, -1, -1, 2], [1, 1, 2, 2]),
        ([5, -1, -1, 5], [5, 0, 0, 1]),
        ([0, 6, 0, 0], [0, 6, 0, 0]),
        ([3, 0, 0, 3], [3, 0, 0, 3]),
    ],
)
def test_layers_are_where_optimum_puts_them(layers: list[int], counts: list[int]) -> None:
    config = {"layers_per_ipu": layers, "ipus_per_replica": 4, "gradient_accumulation_steps": 64}
    plan = _bert(config, mode="training")
    assert plan.training is not None
    assert plan.training.layers_per_ipu == counts
    assert plan.sound
    idle = [f.text for f in plan.findings if "no work" in f.text]
    assert bool(idle) is (0 in counts[1:])


def test_a_wrong_sum_leaves_the_other_mode_predicted() -> None:
    plan = _bert({"layers_per_ipu": [2, 2, 3], "inference_layers_per_ipu": [3, 3]})
    assert _fatal(plan) == [("training", "layers_per_ipu")]
    assert "adds up to 7" in plan.findings[0].text
    assert list(plan.modes()) == ["inference"]
    assert (plan.fits, plan.sound) == (True, False)


def test_nothing_predictable_is_still_a_document(tmp_path: Path) -> None:
    plan = _bert({"layers_per_ipu": [2, 2, 3]})
    assert _fatal(plan) == [(None, "layers_per_ipu")]
    assert (plan.fits, plan.sound, plan.modes()) == (False, False, {})
    assert PartitionPlan.from_json(plan.to_json()) == plan
    with pytest.raises(UsageError, match="no plan"):
        plan.save(tmp_path)
    with pytest.raises(UsageError, match="only findings"):
        plan.mode("training")


def test_a_document_without_a_plan_needs_a_reason() -> None:
    data = _bert({"layers_per_ipu": [2, 2, 3]}).to_dict()
    with pytest.raises(UsageError, match="neither training nor inference"):
        PartitionPlan.from_dict({**data, "findings": []})


@pytest.mark.parametrize(("given", "used", "fatal"), [(None, 9, False), (1, 9, False), (8, 9, True), (9, 9, None)])
def test_too_little_accumulation_is_predicted_with_enough(given: int | None, used: int, fatal: bool | None) -> None:
    config: dict[str, Any] = {"layers_per_ipu": [1, 1, 2, 2]}
    config |= {} if given is None else {"gradient_accumulation_steps": given}
    plan = _bert(config, mode="training")
    assert plan.training is not None
    assert plan.training.workload.gradient_accumulation == used
    said = [f.fatal for f in plan.findings if f.field == "gradient_accumulation_steps"]
    assert said == ([] if fatal is None else [fatal])
    if fatal is not None:
        assert "needs at least 9" in plan.findings[0].text


def test_the_command_line_wins_over_the_file_as_in_iputrainer() -> None:
    config = {"layers_per_ipu": [3, 3], "gradient_accumulation_steps": 16, "replication_factor": 4}
    plan = _bert(config, gradient_accumulation=32, replicas=2)
    assert plan.training is not None
    assert plan.inference is not None
    assert (plan.training.workload.gradient_accumulation, plan.training.workload.replicas) == (32, 2)
    assert plan.inference.workload.replicas == 2


@pytest.mark.parametrize(("factor", "used"), [(4, 4), (7, 6), (121, 120)])
def test_a_factor_must_divide_the_vocabulary(factor: int, used: int) -> None:
    plan = _bert({"layers_per_ipu": [3, 3], "embedding_serialization_factor": factor})
    assert plan.training is not None
    assert plan.inference is not None
    assert plan.training.workload.embedding_serialization_factor == used
    assert plan.inference.workload.embedding_serialization_factor == used, "inference obeys the training key"
    assert _fatal(plan) == ([] if factor == used else [(None, "embedding_serialization_factor")])
    if factor != used:
        assert "1, 2, 3, 4, 5, 6, 8, 10, ..." in plan.findings[0].text


@pytest.mark.parametrize(
    ("config", "fatal", "said"),
    [
        ({"inference_embedding_serialization_factor": 4}, False, "obeys embedding_serialization_factor, 1, in both"),
        ({"serialized_embedding_splits_per_ipu": [1, 1]}, True, "fails with serialized_embedding_splits_per_ipu"),
        ({"projection_serialization_factor": 4}, False, "does not look at it"),
    ],
)
def test_what_the_class_makes_of_serialisation(config: dict[str, Any], fatal: bool, said: str) -> None:
    plan = _bert({"layers_per_ipu": [3, 3], "gradient_accumulation_steps": 8, **config})
    assert [(f.fatal, said in f.text) for f in plan.findings] == [(fatal, True)]
    assert all(mode.workload.embedding_serialization_factor == 1 for mode in plan.modes().values())


MT5: dict[str, object] = {**SMALL["t5"], "tie_word_embeddings": False}


def test_layers_may_return_to_the_ipus_of_a_table_in_pieces() -> None:
    """No plan of ours does that, but the class does."""
    config = {
        "layers_per_ipu": [2, 1, 2, 1],
        "serialized_embedding_splits_per_ipu": [2, 2, 0, 0],
        "projection_serialization_factor": 3,
        "gradient_accumulation_steps": 64,
    }
    plan = check("google/mt5-small", config, config=MT5, mode="training", sequence_length=16)
    assert plan.findings == []
    assert plan.training is not None
    assert plan.training.layers_per_ipu == [2, 1, 2, 1]
    assert [stage.ipu for stage in plan.training.stages][:4] == [0, 1, 0, 1]
    assert plan.training.workload.serialized_embedding_splits_per_ipu == [2, 2, 0, 0]


def test_what_the_class_refuses_is_not_predicted_and_says_which_key() -> None:
    config = {"layers_per_ipu": [3, 3], "embedding_serialization_factor": 4}
    tied = {**MT5, "tie_word_embeddings": True}
    plan = check("google/mt5-small", config, config=tied, mode="training", sequence_length=16)
    assert _fatal(plan) == [("training", "embedding_serialization_factor")]
    assert plan.modes() == {}


def test_a_class_of_fixed_ipus_keeps_its_own_layers() -> None:
    plan = check("unc-nlp/lxmert-base-uncased", {"layers_per_ipu": [1, 1]}, mode="inference", config=SMALL["lxmert"])
    assert plan.inference is not None
    assert plan.inference.workload.ipus == 4
    assert plan.inference.workload.matmul_proportion == [0.2, 0.2, 0.6, 0.6]
    assert [f.field for f in plan.findings] == ["layers_per_ipu", "inference_ipus_per_replica"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (3, 3)}, "The configuration says it"),
        ({"matmul_proportion": 0.1}, "The configuration says it"),
        ({"bogus": 1}, "Unknown option 'bogus'"),
        ({"mode": "neither"}, "mode"),
        ({"replicas": 0}, "replicas"),
        ({"gradient_accumulation": -1}, "gradient_accumulation"),
        ({"pod": "pod4"}, "no table by machine"),
    ],
)
def test_options_are_checked(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _bert({"layers_per_ipu": [3, 3]}, **options)


def test_a_class_that_optimum_does_not_have_is_refused() -> None:
    from transformers import BertConfig

    config = BertConfig(**CONFIG, architectures=["BertLMHeadModel"], is_decoder=True)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no pipelined class for BertLMHeadModel"):
        check(config, {"layers_per_ipu": [3, 3]}, task="text-generation", sequence_length=16)


@pytest.mark.parametrize("layers", [[3, 3], [6, 0], [-1], [0, 0, 3, 3], [1, 1, 1, 1, 1, 1, 0, 0]])
def test_theirs_is_never_better(layers: list[int]) -> None:
    ipus = len(layers) if layers != [-1] else 4
    proportions = [0.4] * (ipus - 1) + [0.05]
    config = {"layers_per_ipu": layers, "ipus_per_replica": ipus, "matmul_proportion": proportions}
    found = compare("bert-base-uncased", config, **BERT)
    for name, (ours, theirs) in found.modes().items():
        assert theirs is not None
        assert (ours.solution.objective_us or 0.0) <= (theirs.solution.objective_us or 0.0) * (1 + 1e-6)
        free = {"gradient_accumulation"}  # ours may need more where theirs leaves an IPU idle
        assert ours.workload.model_dump(exclude=free) == theirs.workload.model_dump(exclude=free)
        assert found.verdict(name) in (Verdict.EQUAL, Verdict.TIED, Verdict.BETTER)
        assert (found.gain(name) > 1e-6) == (found.verdict(name) is Verdict.BETTER)


def test_our_own_file_is_equal() -> None:
    plan = partition("bert-base-uncased", 4, **BERT)
    found = compare("bert-base-uncased", plan.ipu_config(), **BERT)
    assert [found.verdict(name) for name in found.modes()] == [Verdict.EQUAL, Verdict.EQUAL]
    assert found.ours.mode("training").status == "optimal"
    assert found.theirs.mode("training").status == "feasible"


def test_where_theirs_is_no_plan_ours_stands_alone() -> None:
    found = compare("bert-base-uncased", {"layers_per_ipu": [1, 2]}, **BERT)
    assert found.theirs.modes() == {}
    assert [found.verdict(name) for name in found.modes()] == [Verdict.NO_PLAN] * 2


def test_without_a_workload_there_is_nothing_to_compare() -> None:
    with pytest.raises(UsageError, match=r"nothing to compare with: layers_per_ipu has 2 values"):
        compare("bert-base-uncased", {"layers_per_ipu": [3, 3], "ipus_per_replica": 4}, mode="training", **BERT)


def test_only_ours_fits() -> None:
    config = {"layers_per_ipu": [12, 0, 0, 0], "optimizer_state_offchip": True, "gradient_accumulation_steps": 64}
    found = compare("gpt2", {**config, "recompute_checkpoint_every_layer": True}, mode="training")
    assert found.verdict("training") is Verdict.OURS_FITS
    assert found.theirs.training is not None
    assert found.theirs.training.shortfall is not None
    assert found.theirs.training.levers
    assert found.ours.training is not None
    assert found.ours.training.workload == found.theirs.training.workload


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"layers_per_ipu": [1, 5], "gradient_accumulation_steps": 8}
    assert main(["check", *COMMAND, "--ipu-config", _file(tmp_path, config)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("FITS: training fits")
    assert {"Training", "Inference"} <= set(out.split())
    fullest = out[out.index("Training") : out.index("Inference")]
    rows = [line.split() for line in fullest.splitlines() if line.startswith("IPU ")]
    assert sorted(row[1] for row in rows) == ["0", "1"]
    total, used, free = ([float(row[column]) for row in rows] for column in (2, 3, 4))
    assert used == sorted(used, reverse=True)
    assert total == pytest.approx([u + f for u, f in zip(used, free, strict=True)], abs=0.11)


def test_json_is_the_document_and_the_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _file(tmp_path, {"layers_per_ipu": [1, 4], "inference_layers_per_ipu": [3, 3]})
    assert main(["check", *COMMAND, "--ipu-config", folder, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["training"] is None
    assert document["inference"]["fits"]
    assert document["checked"] == str(tmp_path / "ipu_config.json")
    assert PartitionPlan.from_dict(document).findings[0].fatal
    assert main(["check", *COMMAND, "--ipu-config", folder, "--json", "--mode", "inference"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_names_in_the_file_are_shown_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _file(tmp_path, {"layers_per_ipu": [3, 3], "[red]\x1b[31m\u202e": 1, "gradient_accumulation_steps": 5})
    assert main(["check", *COMMAND, "--ipu-config", folder]) == 3
    out = capsys.readouterr().out
    assert "[red]" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--ipu-config", "nowhere"],
        ["--ipu-config", ""],
        ["--ipu-config", "FOLDER", "--ipus", "4"],
        ["--ipu-config", "FOLDER", "--output", "x"],
        ["--ipu-config", "FOLDER", "--pod", "pod4"],
    ],
)
@pytest.mark.parametrize("command", ["check", "compare"])
def test_usage_errors(command: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _file(tmp_path, {"layers_per_ipu": [3, 3]})
    assert main([command, *COMMAND, *(folder if a == "FOLDER" else a for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ipu-partition: ")
    assert len(err.splitlines()) == 1


def test_compare_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _file(tmp_path, {"layers_per_ipu": [1, 5], "gradient_accumulation_steps": 8})
    arguments = ["compare", *COMMAND, "--ipu-config", folder]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sorted(document) == ["ours", "theirs"]
    ours, theirs = (PartitionPlan.from_dict(document[name]) for name in ("ours", "theirs"))
    assert theirs.training is not None
    assert theirs.training.layers_per_ipu == [1, 5]
    assert ours.checked is None
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "ours is better" in out
    assert "[1, 5]" in out
    assert str(ours.training and ours.training.layers_per_ipu) in out


def test_two_readings_of_one_file_are_the_same_bytes(tmp_path: Path) -> None:
    config = IPUConfig.from_dict({"layers_per_ipu": [2, 4]})
    config.save_pretrained(tmp_path)
    one, other = (check("bert-base-uncased", tmp_path, mode="inference", **BERT) for _ in range(2))
    assert one.to_json() == other.to_json()


def test_levers_are_keys_of_the_file_and_do_what_they_say() -> None:
    config: dict[str, Any] = {"layers_per_ipu": [1, 1], "gradient_accumulation_steps": 16, "matmul_proportion": 0.4}
    model: dict[str, Any] = {"config": {"n_layer": 2}, "mode": "training", "micro_batch_size": 2}
    plan = check("gpt2", config, **model)
    assert plan.training is not None
    assert not plan.fits
    keys = [lever for lever in plan.training.levers if not lever.name.startswith("--")]
    assert keys
    for lever in keys:
        changed = json.loads("{" + ", ".join(f'"{key}": {value}' for key, value in _pairs(lever.name)) + "}")
        again = check("gpt2", {**config, **changed}, **model)
        assert again.fits == lever.fits
        assert again.training is not None
        assert again.training.solution.peak_bytes is not None
        assert lever.bytes_saved == (plan.training.solution.peak_bytes or 0) - again.training.solution.peak_bytes


def _pairs(name: str) -> list[tuple[str, str]]:
    """`key: value` pairs of a lever; values may hold commas."""
    parts = re.split(r"(?:^|, )([a-z_]+): ", name)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_a_shorter_cycle_that_makes_fewer_samples_is_not_ours() -> None:
    """With little accumulation, filling more stages takes longer than the cycle saves."""
    config = {"layers_per_ipu": [12, 0], "gradient_accumulation_steps": 8, "optimizer_state_offchip": True}
    found = compare("t5-small", config, mode="training", sequence_length=64, target_length=64)
    ours, theirs = found.ours.training, found.theirs.training
    assert ours is not None
    assert theirs is not None
    assert ours.predicted is not None
    assert theirs.predicted is not None
    assert ours.predicted.samples_per_second >= theirs.predicted.samples_per_second
    assert found.verdict("training") is Verdict.EQUAL


@pytest.mark.parametrize(
    "config",
    [
        {"layers_per_ipu": [1, 1], "serialized_embedding_splits_per_ipu": [0, 0]},
        {"layers_per_ipu": [2**31 - 1, -1]},
        {"layers_per_ipu": [1, 1], "replication_factor": {"pod4": None, "pod16": "x"}},
    ],
    ids=["no pieces at all", "as many layers as a number holds", "a table of other things"],
)
def test_hostile_numbers_are_refused_or_found_wrong(config: dict[str, Any]) -> None:
    try:
        plan = check("google/mt5-small", config, config=SMALL.get("mt5"), sequence_length=16)
    except UsageError:
        return
    assert plan.findings


def test_inference_looks_at_the_training_factor_alone_where_the_class_does() -> None:
    base: dict[str, Any] = {"layers_per_ipu": [3, 3], "gradient_accumulation_steps": 64}
    ignored = _bert(
        {**base, "embedding_serialization_factor": 2, "inference_serialized_embedding_splits_per_ipu": [1, 1]}
    )
    assert not _fatal(ignored)
    assert ignored.inference is not None
    assert ignored.inference.workload.embedding_serialization_factor == 2
    assert any("does nothing" in finding.text for finding in ignored.findings)
    broken = _bert({**base, "serialized_embedding_splits_per_ipu": [1, 1]})
    assert {field for _, field in _fatal(broken)} == {"serialized_embedding_splits_per_ipu"}
    assert {mode for mode, _ in _fatal(broken)} == {None}
