"""A batch in this process: pods, folders, going on where it was, and what stands in the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ipu_partition import IPUConfig, PartitionPlan, partition
from ipu_partition.batch import SUMMARY_NAME, Batch, Entry, Summary
from ipu_partition.batch import run as running
from ipu_partition.batch.rules import rules, rules_of
from ipu_partition.errors import UsageError

from .small import run, small, tree, wide
from .small import times as mtimes

ROOT = Path(__file__).parents[2]


def idle(*_: Any) -> None:
    raise AssertionError("nothing is left to do")


def untouched(monkeypatch: pytest.MonkeyPatch, *args: Any, **options: Any) -> Batch:
    """A batch that finds everything done."""
    monkeypatch.setattr(running, "work", idle)
    return run(*args, **options)


def statuses(batch: Batch) -> list[str]:
    return [result.status for result in batch.results]


def test_folders_are_what_partition_and_the_hub_write(tmp_path: Path) -> None:
    done = run([small("gpt2")], tmp_path, pods=(4, 16))
    assert done.complete
    for pod in (4, 16):
        folder = tmp_path / done.summary.results[pod == 16].folder
        assert folder.parent == tmp_path / f"pod{pod}"
        assert sorted(path.name for path in folder.iterdir()) == [
            "README.md", "ipu_config.json", "ipu_partition_plan.json",
        ]  # fmt: skip
        plan, config = PartitionPlan.load(folder), IPUConfig.from_pretrained(folder)
        ipus = plan.mode("training").workload.ipus
        same = partition("gpt2", ipus, replicas=pod // ipus, **small("gpt2").options)
        assert plan.to_json() == same.to_json()
        assert config == plan.ipu_config()
        assert config.replication_factor * config.ipus_per_replica == pod
        assert config.inference_replication_factor * config.inference_ipus_per_replica == pod


def test_the_card_has_the_rates_of_both_machines(tmp_path: Path) -> None:
    (result,) = run([small("gpt2")], tmp_path).results
    card = (tmp_path / result.folder / "README.md").read_text()
    assert result.training is not None
    rates = result.training.samples_per_second
    assert list(rates) == ["mk2", "bow"]
    assert rates["bow"] > rates["mk2"]  # type: ignore[operator]
    for rate in rates.values():
        assert f"{rate:,.1f}" in card


def test_the_other_machine_is_predicted_with_the_same_cut(tmp_path: Path) -> None:
    """Planned for Bow with the layers of the plan for Mk2."""
    (result,) = run([wide()], tmp_path, pods=(8,), options={"mode": "training"}).results
    mode = result.training
    assert mode is not None
    assert mode.ipus > 1
    there = partition(
        "gpt2", mode.ipus, machine="bow", mode="training", replicas=mode.replicas, layers=mode.layers_per_ipu,
        **wide().options,
    ).mode("training")  # fmt: skip
    assert there.predicted is not None
    assert mode.samples_per_second["bow"] == there.predicted.samples_per_second


def test_the_first_machine_is_planned_for(tmp_path: Path) -> None:
    (result,) = run([small("gpt2")], tmp_path, machines=("bow",)).results
    assert PartitionPlan.load(tmp_path / result.folder).machine.name == "bow"
    assert result.training is not None
    assert list(result.training.samples_per_second) == ["bow"]


def test_replicas_get_the_ipus_that_are_fastest_on_the_pod(tmp_path: Path) -> None:
    """Of all powers of two, with pod / IPUs replicas; each mode has its own."""
    small_pod, pod = run([wide()], tmp_path, pods=(1, 4)).results
    assert small_pod.status == "does not fit"
    assert not (tmp_path / small_pod.folder).exists()
    assert pod.training is not None
    assert pod.inference is not None
    config = IPUConfig.from_pretrained(tmp_path / pod.folder)
    assert (config.ipus_per_replica, config.replication_factor) == (pod.training.ipus, pod.training.replicas)
    assert config.inference_ipus_per_replica == pod.inference.ipus
    assert config.inference_replication_factor == pod.inference.replicas
    rates: dict[str, dict[int, float]] = {"training": {}, "inference": {}}
    for ipus in (1, 2, 4):
        for name, plan in partition("gpt2", ipus, replicas=4 // ipus, **wide().options).modes().items():
            if plan.fits and plan.predicted is not None:
                rates[name][ipus] = plan.predicted.samples_per_second
    for name, mode in pod.modes().items():
        best = max(rates[name], key=lambda ipus: rates[name][ipus])
        assert (mode.ipus, mode.replicas) == (best, 4 // best)
    assert 1 not in rates["training"]
    assert pod.training.ipus > pod.inference.ipus


def test_what_does_not_fit_says_how_much_is_lacking_and_what_helps(tmp_path: Path) -> None:
    (result,) = run([wide()], tmp_path, pods=(1,)).results
    assert (result.status, result.error, result.plan, result.files) == ("does not fit", None, None, [])
    assert result.training is not None
    assert result.training.lacks_bytes > 0
    assert result.training.fullest > 1
    assert result.training.lever is not None
    assert not result.training.lever.startswith(("--ipus", "--replicas"))
    assert result.inference is not None
    assert result.inference.fits


def test_fit_changes_options_within_the_pod(tmp_path: Path) -> None:
    config = {"n_layer": 2, "n_embd": 512, "n_head": 2, "vocab_size": 120}
    entry = Entry("gpt2", {"config": config, "micro_batch_size": 64, "sequence_length": 512, "mode": "training"})
    plain, fitted = (
        run([entry], tmp_path / str(fit), pods=(1,), options={"fit": fit}).results[0] for fit in (False, True)
    )
    assert (plain.status, fitted.status) == ("does not fit", "fits")
    assert fitted.training is not None
    assert fitted.training.applied
    assert fitted.training.ipus * fitted.training.replicas == 1
    assert PartitionPlan.load(tmp_path / "True" / fitted.folder).fits


def test_a_class_that_always_uses_four_ipus(tmp_path: Path) -> None:
    small_pod, pod = run([small("lxmert")], tmp_path, pods=(2, 16)).results
    assert small_pod.status == "does not fit"
    assert small_pod.reason is not None
    assert "needs 4 IPUs, and the pod has 2" in small_pod.reason
    assert {(mode.ipus, mode.replicas) for mode in pod.modes().values()} == {(4, 4)}


def test_ipus_that_the_list_asks_for(tmp_path: Path) -> None:
    found = run([small("gpt2", ipus=2), small("gpt2", layers=(1, 1))], tmp_path, pods=(1, 4)).results
    assert [result.status for result in found] == ["does not fit", "fits"] * 2
    assert [[(m.ipus, m.replicas) for m in r.modes().values()] for r in found] == [[], [(2, 2)] * 2] * 2


def test_a_model_without_a_loss_is_planned_for_inference(tmp_path: Path) -> None:
    (result,) = run([small("bert", task="feature-extraction")], tmp_path).results
    assert (result.status, result.training) == ("fits", None)
    assert result.inference is not None


def test_lengths_for_all_are_for_the_models_that_have_them(tmp_path: Path) -> None:
    image = Entry("google/vit-base-patch16-224-in21k", small("vit").options)
    text = Entry("gpt2", {"config": small("gpt2").options["config"]})
    done = run([image, text], tmp_path, options={"sequence_length": 24})
    assert statuses(done) == ["fits", "fits"]
    assert PartitionPlan.load(tmp_path / done.results[1].folder).model.shapes["sequence_length"] == 24
    own = run([Entry(image.model, {**image.options, "sequence_length": 24})], tmp_path)
    assert own.results[0].error == "usage"
    assert "sequence_length does not apply" in (own.results[0].reason or "")


def test_one_failure_never_stops_the_rest(tmp_path: Path, anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from ipu_partition import prepare

    build = prepare.build

    def broken(spec: Any, **options: Any) -> Any:
        if spec.architecture.startswith("Bert"):
            raise ZeroDivisionError("a defect\nof ours")
        return build(spec, **options)

    monkeypatch.setattr(prepare, "build", broken)
    done = run([small("gpt2"), Entry("nowhere/at-all"), small("bert"), small("t5")], tmp_path, pods=(4, 16))
    assert statuses(done) == ["fits"] * 2 + ["failed"] * 4 + ["fits"] * 2
    assert [result.error for result in done.results[2:6]] == ["usage"] * 2 + ["internal"] * 2
    assert done.results[4].reason == "ZeroDivisionError: a defect of ours"
    assert not done.complete
    assert sorted(path.name for path in (tmp_path / "pod4").iterdir()) == sorted(
        Path(done.results[i].folder).name for i in (0, 6)
    )


def test_each_mode_is_traced_once_for_all_pods_and_machines(
    tmp_path: Path, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ipu_partition import prepare

    traced: list[bool] = []
    trace = prepare.trace

    def counted(*args: Any, **options: Any) -> Any:
        traced.append(options["training"])
        return trace(*args, **options)

    monkeypatch.setattr(prepare, "trace", counted)
    assert run([small("gpt2")], tmp_path, pods=(1, 2, 4, 16, 64)).complete
    assert sorted(traced) == [False, True]


def test_again_nothing_is_done_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [small("gpt2"), wide()]
    first = run(entries, tmp_path, pods=(1, 4))
    assert "does not fit" in statuses(first)
    before = mtimes(tmp_path)
    second = untouched(monkeypatch, entries, tmp_path, pods=(1, 4))
    assert (second.results, second.summary, second.kept) == (first.results, first.summary, 4)
    after = mtimes(tmp_path)
    del before[SUMMARY_NAME], after[SUMMARY_NAME]
    assert after == before


def test_what_is_new_is_done_and_the_rest_is_kept(tmp_path: Path) -> None:
    run([small("gpt2")], tmp_path)
    before = mtimes(tmp_path)
    done = run([small("gpt2"), small("bert"), Entry("nowhere/at-all")], tmp_path)
    assert (done.kept, statuses(done)) == (1, ["fits", "fits", "failed"])
    more = run([small("gpt2"), Entry("nowhere/at-all")], tmp_path, pods=(4, 8))
    assert (more.kept, statuses(more)) == (1, ["fits", "fits", "failed", "failed"])
    assert len(more.summary.results) == 5  # BERT's is kept although it is not in this list
    assert {name: mtimes(tmp_path)[name] for name in before if name != SUMMARY_NAME} == {
        name: time for name, time in before.items() if name != SUMMARY_NAME
    }


@pytest.mark.parametrize("name", ["ipu_config.json", "ipu_partition_plan.json", "README.md"])
@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_a_folder_that_is_not_whole_is_done_again(tmp_path: Path, name: str, harm: str) -> None:
    (result,) = run([small("gpt2")], tmp_path).results
    whole = tree(tmp_path)
    file = tmp_path / result.folder / name
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-100])
    again = run([small("gpt2")], tmp_path, force=False)
    if (name, harm) == ("README.md", "truncated"):  # the user's to edit
        assert again.kept == 1
        return
    assert again.kept == 0
    assert tree(tmp_path) == whole


@pytest.mark.parametrize(
    "options", [{"options": {"precision": "32.32"}}, {"machines": ("mk2",)}, {"options": {"fit": True}}]
)
def test_another_request_is_done_again(tmp_path: Path, options: dict[str, Any]) -> None:
    (before,) = run([small("gpt2")], tmp_path).results
    done = run([small("gpt2")], tmp_path, **options)
    assert done.kept == 0
    assert (done.results[0].folder, done.results[0].status) == (before.folder, "fits")
    assert done.results[0].request != before.request


def test_other_sources_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run([small("gpt2")], tmp_path)
    monkeypatch.setattr("ipu_partition.batch.job.rules", lambda: "0" * 16)
    assert run([small("gpt2")], tmp_path).kept == 0


@pytest.mark.parametrize(
    "changed",
    ["ipu_partition/batch/pods.py", "ipu_partition/emit/files.py", "ipu_partition/hub/model_card.py",
     "ipu_partition/cost/graph.py", "planners/chain/__init__.py", "planners/greedy.py"],
)  # fmt: skip
def test_all_sources_are_in_the_rules(tmp_path: Path, changed: str) -> None:
    """What selects and what writes, not only what costs."""
    packages = [tmp_path / name for name in ("ipu_partition", "planners")]
    for package in packages:
        shutil.copytree(ROOT / package.name, package, ignore=shutil.ignore_patterns("__pycache__"))
    same = rules_of(*packages)
    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")
    assert (same, rules_of(*packages) == same) == (rules(), False)
    numbers = tmp_path / "ipu_partition/machine/data/bow.json"
    before = rules_of(*packages)
    numbers.write_text(numbers.read_text() + "\n")
    assert rules_of(*packages) == before  # a request has those of its own machines


def test_a_configuration_that_changed_on_disk_is_done_again(tmp_path: Path) -> None:
    model = tmp_path / "mine"
    model.mkdir()
    config = {"model_type": "gpt2", **small("gpt2").options["config"]}
    entry = Entry(str(model), {"sequence_length": 16})
    for layers, kept in ((2, 0), (2, 1), (3, 0)):
        (model / "config.json").write_text(json.dumps({**config, "n_layer": layers}))
        done = run([entry], tmp_path / "out")
        assert done.kept == kept
        assert (
            sum(PartitionPlan.load(tmp_path / "out" / done.results[0].folder).mode("training").layers_per_ipu or [])
            == layers
        )


def test_force_does_everything_again(tmp_path: Path, anew: None) -> None:
    run([small("gpt2"), small("bert")], tmp_path)
    whole = tree(tmp_path)
    done = run([small("gpt2")], tmp_path, force=True)
    assert done.kept == 0
    assert tree(tmp_path) == whole


def test_a_card_that_is_there_stays(tmp_path: Path) -> None:
    (result,) = run([small("gpt2")], tmp_path).results
    card = tmp_path / result.folder / "README.md"
    card.write_text("mine")
    (tmp_path / result.folder / "weights.txt").write_text("mine too")
    done = run([small("gpt2")], tmp_path, options={"precision": "32.32"}, force=True)
    assert card.read_text() == (tmp_path / result.folder / "weights.txt").read_text()[:4] == "mine"
    assert done.results[0].notes == ["README.md was there and was left as it is; it may describe an earlier plan."]
    assert PartitionPlan.load(tmp_path / result.folder).mode("training").workload.precision == "32.32"


def test_a_configuration_that_is_not_ours_stays(tmp_path: Path) -> None:
    (result,) = run([small("gpt2")], tmp_path / "first").results
    theirs = tmp_path / "out" / result.folder / "ipu_config.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("{}")
    done = run([small("gpt2"), small("bert")], tmp_path / "out")
    assert statuses(done) == ["failed", "fits"]
    assert done.results[0].error == "output"
    assert "is not ours" in (done.results[0].reason or "")
    assert theirs.read_text() == "{}"
    assert statuses(run([small("gpt2")], tmp_path / "out", force=True)) == ["fits"]


def test_a_folder_of_another_model_stays(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "same").mkdir(parents=True)
        (tmp_path / name / "same" / "config.json").write_text(
            json.dumps({"model_type": "gpt2", **small("gpt2").options["config"]})
        )
    one, other = (Entry(str(tmp_path / name / "same"), {"sequence_length": 16}) for name in ("a", "b"))
    assert statuses(run([one], tmp_path / "out")) == ["fits"]
    before = tree(tmp_path / "out" / "pod4")
    done = run([other], tmp_path / "out")
    assert (statuses(done), done.results[0].error) == (["failed"], "output")
    assert tree(tmp_path / "out" / "pod4") == before
    together = run([one, other], tmp_path / "both")
    assert statuses(together) == ["fits", "fits"]
    assert len({result.folder for result in together.results}) == 2


def test_a_file_where_a_folder_is_expected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is no folder"):
        run([small("gpt2")], tmp_path / "file")
    (tmp_path / "pod4").write_text("mine")
    done = run([small("gpt2")], tmp_path, pods=(4, 8))
    assert statuses(done) == ["failed", "fits"]
    assert done.results[0].error == "output"
    assert (tmp_path / "file").read_text() == (tmp_path / "pod4").read_text() == "mine"


@pytest.mark.parametrize("content", ["{", '{"results": 3}', '{"schema_version": 2, "results": []}', "[]", "\0"])
def test_a_summary_that_is_not_ours_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / SUMMARY_NAME).write_text(content)
    with pytest.raises(UsageError, match=r"summary\.json"):
        run([small("gpt2")], tmp_path)
    assert tree(tmp_path) == {SUMMARY_NAME: content.encode()}
    assert run([small("gpt2")], tmp_path, force=True).complete


def test_two_batches_do_not_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def again(*_: object) -> None:
        try:
            run([small("bert")], tmp_path)
        except UsageError as error:
            refused.append(str(error))

    run([small("gpt2")], tmp_path, progress=again)
    assert refused
    assert "Another batch is writing" in refused[0]


def test_an_interruption_leaves_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, _of: int, _last: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    entries = [small("gpt2"), small("bert")]
    half = run(entries, tmp_path, progress=stop)
    assert half.interrupted
    assert not half.complete
    assert (len(half.results), half.asked) == (1, 2)
    assert Summary.model_validate_json((tmp_path / SUMMARY_NAME).read_text()) == half.summary
    rest = run(entries, tmp_path)
    assert (rest.kept, rest.complete) == (1, True)
    assert tree(tmp_path) == tree_of_one_go(entries, tmp_path.parent / "one go")


def tree_of_one_go(entries: list[Entry], output: Path) -> dict[str, bytes]:
    run(entries, output)
    return tree(output)


def test_an_interruption_while_a_folder_is_written_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def stop(source: Any, target: Any) -> None:
        if str(target).endswith("ipu_partition_plan.json"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    half = run([small("gpt2")], tmp_path)
    assert half.interrupted
    assert [*tree(tmp_path)] == [SUMMARY_NAME]


def test_the_summary_is_sorted_and_has_no_clock(tmp_path: Path) -> None:
    entries = [small("gpt2"), small("bert"), Entry("nowhere/at-all")]
    run(entries, tmp_path / "one", pods=(16, 4))
    run(entries[::-1], tmp_path / "other", pods=(4, 16))
    assert tree(tmp_path / "one") == tree(tmp_path / "other")
    found = json.loads((tmp_path / "one" / SUMMARY_NAME).read_text())["results"]
    keys = [(result["pod"], result["folder"]) for result in found]
    assert keys == sorted(keys)
    assert 'second"' not in json.dumps(found).replace('samples_per_second"', "")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"pods": (3,)}, r"The pods are 3; expected each once, of 1, 2, 4, 8, 16, 32, 64 IPUs"),
        ({"pods": (4, 4)}, r"The pods are 4, 4"),
        ({"pods": ()}, r"The pods are none"),
        ({"machines": ("mk3",)}, r"unknown machine 'mk3'"),
        ({"machines": ("mk2", "mk2")}, r"expected each once"),
        ({"machines": ()}, r"The machines are none"),
        ({"options": {"precision": "8.8"}}, r"the test: bert-base-uncased: precision is '8.8'"),
    ],
)
def test_nonsense_is_refused_before_anything_is_made(tmp_path: Path, options: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        run([small("bert")], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
