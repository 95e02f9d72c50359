"""The chest X-ray walk-through: its scripts end to end on a generated image set, and each of their steps."""

from __future__ import annotations

import ast
import csv
import json
import math
import random
import re
import sys
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ipu_partition import IPUConfig, PartitionPlan, partition

HEADER = ("Image Index", "Finding Labels", "Patient ID")
ROWS = [
    ("a1.png", "No Finding", "1"),
    ("a2.png", "Cardiomegaly|Effusion", "1"),
    ("b1.png", "Pleural_Thickening", "2"),
    ("c1.png", "Mass", "3"),
    ("c2.png", "No Finding", "3"),
]
TRAINED = ["--from-config", "--device", "cpu", "--batch-size", "16", "--logging-steps", "5"]
Run = Callable[..., str]


def nih(folder: Path, rows: list[tuple[str, ...]] = ROWS, header: tuple[str, ...] = HEADER) -> list[str]:
    """A download like that of NIH, with its images in two folders; the arguments to read it."""
    with open(folder / "entries.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    for name, *_ in ROWS:
        place = folder / f"images_{name[0]}" / "images"
        place.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), ord(name[0])).save(place / name)
    return ["--csv", str(folder / "entries.csv"), "--images", str(folder), "--output", str(folder / "out")]


def metadata(folder: Path) -> dict[str, list[float]]:
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    return {row["file_name"]: row["labels"] for row in rows}


def test_the_plan_is_of_14_findings(
    scripts: SimpleNamespace, example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts.plan.main(["--output", str(tmp_path / "plan")])
    printed = capsys.readouterr().out
    shown = (example / "README.md").read_text().split("Of what it prints:")[1].split("```")[1].splitlines()[1:]
    lines = {line.rstrip() for line in printed.splitlines()}
    assert [line for line in shown if line not in lines and not line.startswith(("wrote plan/", "optimal:"))] == []
    assert "PipelinedViTForImageClassification" in printed
    assert re.search(r"^Result +fits *$", printed, re.MULTILINE)
    written = sorted(path.name for path in (tmp_path / "plan").iterdir())
    assert re.findall(r"^wrote .*/(.+)$", printed, re.MULTILINE) == written
    assert written == ["README.md", "ipu_config.json", "ipu_partition_plan.json"]
    plan = PartitionPlan.from_pretrained(tmp_path / "plan")
    assert plan.model.parameters == 85_798_656 + 14 * (768 + 1)
    assert plan.audit is not None
    assert plan.audit.counted["binary_cross_entropy_with_logits"] == 1
    assert "cross_entropy_loss" not in plan.audit.counted
    config = IPUConfig.from_pretrained(tmp_path / "plan")
    assert sum(config.layers_per_ipu) == 12
    assert config.gradient_accumulation_steps >= 7


def test_a_plan_that_does_not_fit_is_written_and_exits_3(
    scripts: SimpleNamespace, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit(*arguments: Any, **options: Any) -> PartitionPlan:
        return partition(*arguments, **options).model_copy(update={"fits": False})

    monkeypatch.setattr(scripts.plan, "partition", unfit)
    with pytest.raises(SystemExit) as stopped:
        scripts.plan.main(["--model", str(example / "tiny"), "--output", str(tmp_path / "plan")])
    assert stopped.value.code == 3
    assert (tmp_path / "plan" / "ipu_partition_plan.json").is_file()


def test_wrong_requests_for_a_plan(
    scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        scripts.plan.main(["--ipus", "0", "--output", str(tmp_path / "plan")])
    assert stopped.value.code == 2
    assert "ipus" in capsys.readouterr().err
    assert not (tmp_path / "plan").exists()


def test_train_on_the_cpu(run: Run, example: Path, xrays: Path, tmp_path: Path) -> None:
    output = tmp_path / "results"
    where = ["--data", xrays, "--model", example / "tiny", "--output", output]
    printed = run("train", *where, *TRAINED, "--epochs", 8, "--learning-rate", 1e-3)

    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["eval_findings"] == 14
    assert metrics["eval_images"] == 81
    assert metrics["eval_auc_mean"] > 0.75
    names = [name for name in metrics if name.startswith("eval_auc_") and name != "eval_auc_mean"]
    assert metrics["eval_auc_mean"] == pytest.approx(np.mean([metrics[name] for name in names]))
    assert re.search(rf"^mean of 14 +{metrics['eval_auc_mean']:.3f}$", printed, re.MULTILINE)

    history = json.loads((output / "trainer_state.json").read_text())["log_history"]
    steps = 8 * math.ceil(319 / 16)
    logged = [entry for entry in history if "loss" in entry]
    assert [entry["step"] for entry in logged] == list(range(5, steps + 1, 5))
    assert logged[-1]["loss"] < 0.8 * logged[0]["loss"]
    for entry in logged:
        assert entry["learning_rate"] == pytest.approx(1e-3 * cosine(entry["step"] - 1, steps), rel=1e-6)
    assert [entry["epoch"] for entry in history if "eval_loss" in entry] == list(range(1, 9))
    assert metrics == next(entry for entry in reversed(history) if "eval_loss" in entry)

    with Image.open(output / "loss.png") as plot:
        assert plot.format == "PNG"
        assert len(plot.convert("RGB").getcolors(1 << 20) or []) > 10
    assert sorted(path.name for path in output.glob("checkpoint-*")) == ["checkpoint-140", "checkpoint-160"]
    assert (output / "model.safetensors").is_file()
    config = json.loads((output / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert config["id2label"]["7"] == "Hernia"
    assert json.loads((output / "preprocessor_config.json").read_text())["size"] == {"height": 32, "width": 32}


def cosine(step: int, steps: int) -> float:
    """Share of the peak learning rate: up in a quarter of the steps, down as a cosine."""
    warm_up = steps // 4
    if step < warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def test_without_learning_it_is_chance(scripts: SimpleNamespace, example: Path, xrays: Path, tmp_path: Path) -> None:
    where = ["--data", str(xrays), "--model", str(example / "tiny"), "--output", str(tmp_path / "results")]
    scripts.train.main([*where, *TRAINED, "--epochs", "1", "--learning-rate", "1e-12"])
    metrics = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert abs(metrics["eval_auc_mean"] - 0.5) < 0.1


def test_weights_are_read_from_a_folder(scripts: SimpleNamespace, example: Path, tmp_path: Path) -> None:
    parser = scripts.train.parser()
    common = ["--data", "xray", "--output", "results", "--model"]
    model, processor = scripts.train.load_model(parser.parse_args([*common, str(example / "tiny"), "--from-config"]))
    assert model.config.problem_type == "multi_label_classification"
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, _ = scripts.train.load_model(parser.parse_args([*common, str(tmp_path)]))
    assert torch.equal(again.classifier.weight, model.classifier.weight)
    assert again.config.num_labels == 14
    loss = again(torch.zeros(2, 3, 32, 32), labels=torch.ones(2, 14)).loss
    logits = again(torch.zeros(2, 3, 32, 32)).logits
    assert loss.item() == pytest.approx(-torch.nn.functional.logsigmoid(logits).mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data": "nowhere"}, "nowhere/train/metadata.jsonl is missing; make it with prepare_data.py"),
        ({"--data": "three"}, "three/train/metadata.jsonl has 3 labels in its first line, expected 14"),
        ({"--data": "broken"}, "broken/train/metadata.jsonl has no labels in its first line, expected 14"),
        ({"--model": "nowhere"}, "--model nowhere is neither a folder with config.json nor a Hub id"),
        ({"--model": "three"}, "--model three is neither a folder with config.json nor a Hub id"),
        ({"--device": "ipu"}, "--device ipu needs poptorch and optimum-graphcore"),
        ({"--output": "."}, ". exists already"),
        ({"--epochs": "0"}, "epochs is 0, expected 1 or more"),
        ({"--batch-size": "-2"}, "batch_size is -2, expected 1 or more"),
        ({"--learning-rate": "0"}, "learning_rate is 0.0, expected a number above 0"),
        ({"--learning-rate": "nan"}, "learning_rate is nan, expected a number above 0"),
        ({"--learning-rate": "inf"}, "learning_rate is inf, expected a number above 0"),
    ],
)
def test_wrong_arguments_of_train(
    scripts: SimpleNamespace,
    xrays: Path,
    change: dict[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, line in (("three", '{"file_name": "a.png", "labels": [0.0, 1.0, 0.0]}'), ("broken", '{"labels": 3}')):
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "train" / "metadata.jsonl").write_text(line + "\n")
    monkeypatch.chdir(tmp_path)
    arguments = {"--data": str(xrays), "--output": "results", "--device": "cpu"} | change
    refused_by_train(scripts, [part for pair in arguments.items() for part in pair], message, capsys)
    assert not (tmp_path / "results").exists()


def refused_by_train(
    scripts: SimpleNamespace, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        scripts.train.main(arguments)
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert message in last


def test_ipus_need_a_plan(
    scripts: SimpleNamespace,
    xrays: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(scripts.train, "default_device", lambda: "ipu")
    monkeypatch.chdir(tmp_path)
    message = "--ipu-config plan is neither a folder with ipu_config.json nor a Hub id"
    refused_by_train(scripts, ["--data", str(xrays), "--output", "results"], message, capsys)
    assert not (tmp_path / "results").exists()


def test_a_model_that_cannot_be_loaded_leaves_nothing(scripts: SimpleNamespace, xrays: Path, tmp_path: Path) -> None:
    """Its weights are missing."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "vit"}')
    where = ["--data", str(xrays), "--model", str(tmp_path / "model"), "--output", str(tmp_path / "results")]
    with pytest.raises(OSError, match=r"model\.safetensors"):
        scripts.train.main([*where, "--device", "cpu"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_data_without_any_auc_are_refused_before_training(
    scripts: SimpleNamespace, example: Path, tmp_path: Path
) -> None:
    rows = [(name, "No Finding", patient) for name, _, patient in ROWS]
    scripts.prepare_data.main(nih(tmp_path, rows))
    where = ["--data", str(tmp_path / "out"), "--model", str(example / "tiny"), "--output", str(tmp_path / "results")]
    with pytest.raises(SystemExit, match="No AUC is defined"):
        scripts.train.main([*where, *TRAINED])
    assert not (tmp_path / "results").exists()


def test_auc_by_hand(scripts: SimpleNamespace) -> None:
    labels, logits = np.zeros((4, 14)), np.zeros((4, 14))
    labels[:, 0], logits[:, 0] = [0, 1, 1, 0], [0.1, 0.4, 0.35, 0.8]  # two of four pairs are in order
    labels[:, 1], logits[:, 1] = [0, 1, 1, 0], [-3, -1, -1, -1]  # two in order, two ties
    labels[:, 2] = 1
    found = scripts.scores.auc_roc(SimpleNamespace(predictions=logits, label_ids=labels))
    assert found == {
        "auc_Atelectasis": pytest.approx(0.5),
        "auc_Cardiomegaly": pytest.approx(0.75),
        "auc_mean": pytest.approx(0.625),
        "findings": 2,
        "images": 4,
    }


def test_auc_where_none_is_defined(scripts: SimpleNamespace) -> None:
    nothing = SimpleNamespace(predictions=np.zeros((3, 14)), label_ids=np.zeros((3, 14)))
    assert scripts.scores.auc_roc(nothing) == {"findings": 0, "images": 3}


def test_auc_of_half_precision(scripts: SimpleNamespace) -> None:
    """As an IPU gives it out: 70000 ones are more than it can count."""
    labels = np.zeros((80_000, 14), dtype=np.float16)
    labels[:70_000, 3] = 1
    found = scripts.scores.auc_roc(SimpleNamespace(predictions=labels * np.float16(2), label_ids=labels))
    assert found == {"auc_Edema": 1.0, "auc_mean": 1.0, "findings": 1, "images": 80_000}


def test_the_report_says_which_finding_has_no_auc(scripts: SimpleNamespace) -> None:
    printed = scripts.train.report({"eval_auc_Mass": 0.75, "eval_auc_mean": 0.75, "eval_findings": 1, "eval_images": 9})
    lines = printed.splitlines()
    assert lines[0] == "AUC-ROC on 9 validation images"
    assert [line.split() for line in lines if "0.750" in line] == [["Mass", "0.750"], ["mean", "of", "1", "0.750"]]
    assert sum("none: all images agree" in line for line in lines) == 13


def test_the_plot_has_every_point(scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, path: (drawn.append(figure), save(figure, path)))
    history = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "eval_loss": 2.5}, {"train_loss": 2.5}]
    scripts.scores.plot_loss(history, tmp_path / "loss.png")
    training, validation = drawn[0].axes[0].get_lines()
    assert np.asarray(training.get_xydata()).tolist() == [[1, 3], [2, 2]]
    assert np.asarray(validation.get_xydata()).tolist() == [[2, 2.5]]
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_n_hot(scripts: SimpleNamespace) -> None:
    n_hot = scripts.findings.n_hot
    assert n_hot("No Finding") == [0.0] * 14
    assert [index for index, value in enumerate(n_hot("Hernia|Atelectasis")) if value == 1.0] == [0, 7]
    assert all(sum(n_hot(name)) == 1 for name in scripts.findings.FINDINGS)
    assert len(set(scripts.findings.FINDINGS)) == 14


def test_folders_from_the_nih_table(
    scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scripts.prepare_data.main([*nih(tmp_path), "--validation", "0.34"])
    splits = {split: metadata(tmp_path / "out" / split) for split in ("train", "validation")}
    assert splits["train"] | splits["validation"] == {name: scripts.findings.n_hot(labels) for name, labels, _ in ROWS}
    patients = [{name[0] for name in split} for split in splits.values()]
    assert patients[0].isdisjoint(patients[1])
    assert [len(patient) for patient in patients] == [2, 1]
    for split, labels in splits.items():
        images = {path.name for path in (tmp_path / "out" / split).glob("*.png")}
        assert images == set(labels)
        for name in images:
            with Image.open(tmp_path / "out" / split / name) as image:
                assert image.getpixel((0, 0)) == ord(name[0])
    sizes = {split: len(labels) for split, labels in splits.items()}
    said = f"train {sizes['train']} images of 2, validation {sizes['validation']} images of 1 patients\n"
    assert capsys.readouterr().out.endswith(said)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_patients_are_never_on_both_sides(scripts: SimpleNamespace, share: float, seed: int) -> None:
    chance = random.Random(seed)
    rows = [scripts.prepare_data.Row(f"{n}.png", [], str(chance.randrange(40))) for n in range(200)]
    splits = scripts.prepare_data.split_by_patient(rows, share, seed)
    patients = {split: {row.patient for row in part} for split, part in splits.items()}
    assert patients["train"].isdisjoint(patients["validation"])
    everyone = patients["train"] | patients["validation"]
    assert len(patients["validation"]) == round(share * len(everyone))
    assert sorted(row.name for part in splits.values() for row in part) == sorted(row.name for row in rows)
    assert splits == scripts.prepare_data.split_by_patient(rows, share, seed)
    assert splits != scripts.prepare_data.split_by_patient(rows, share, seed + 2)


HERE_TWICE = "expected one entry for each image"


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([*ROWS, ("c2.png", "Broken rib", "3")], HEADER, "line 7: 'Broken rib' is no finding"),
        ([*ROWS, ("c3.png", "", "3")], HEADER, "line 7: '' is no finding"),
        ([*ROWS, ("c3.png", "Mass|No Finding", "3")], HEADER, "says 'No Finding' beside a finding"),
        ([*ROWS, ("c3.png", "Mass", "")], HEADER, "line 7: c3.png has no patient"),
        ([*ROWS, ("c3.png",)], HEADER, "line 7: c3.png has no patient"),
        ([*ROWS, ("", "Mass", "3")], HEADER, "line 7: no image is named"),
        ([*ROWS, ROWS[0]], HEADER, f"a1.png is there twice; {HERE_TWICE}"),
        ([*ROWS, ("d1.png", "Mass", "4")], HEADER, "1 of 6 images are not below"),
        ([*ROWS, ("../a1.png", "Mass", "4")], HEADER, "such as ../a1.png"),
        (ROWS[:2], HEADER, "All images are of one patient"),
        ([], HEADER, "describes no image"),
        (ROWS, ("Image Index", "Labels", "Patient ID"), "has no column 'Finding Labels'"),
        ([], (), "has no column 'Image Index'"),
    ],
)
def test_wrong_tables(
    scripts: SimpleNamespace,
    rows: list[tuple[str, ...]],
    header: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused(scripts, nih(tmp_path, rows, header), message, capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"entries.csv", "images_a", "images_b", "images_c"}


def refused(scripts: SimpleNamespace, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        scripts.prepare_data.main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("error:") == 1


def test_what_is_no_table(scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = nih(tmp_path)
    (tmp_path / "entries.csv").write_bytes(b"Image Index,Finding Labels,Patient ID\n\xff\xfe,\x00,1\n")
    refused(scripts, arguments, "cannot be read as CSV", capsys)
    (tmp_path / "entries.csv").unlink()
    refused(scripts, arguments, "cannot be read as CSV", capsys)


def test_an_image_in_two_folders(scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = nih(tmp_path)
    Image.new("L", (8, 8)).save(tmp_path / "images_b" / "a1.png")
    refused(scripts, arguments, f"a1.png is there twice; {HERE_TWICE}", capsys)


def test_images_may_be_links(scripts: SimpleNamespace, tmp_path: Path) -> None:
    arguments = nih(tmp_path)
    image = tmp_path / "images_a" / "images" / "a1.png"
    image.rename(tmp_path / "images_a" / "elsewhere.png")
    image.symlink_to("../elsewhere.png")
    scripts.prepare_data.main(arguments)
    (found,) = (tmp_path / "out").rglob("a1.png")
    with Image.open(found) as picture:
        assert picture.getpixel((0, 0)) == ord("a")


def test_images_are_copied_where_they_cannot_be_linked(
    scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(scripts.prepare_data.os, "link", refuse)
    scripts.prepare_data.main(nih(tmp_path))
    (copied,) = (tmp_path / "out").rglob("b1.png")
    assert copied.read_bytes() == (tmp_path / "images_b" / "images" / "b1.png").read_bytes()
    assert copied.stat().st_nlink == 1


@pytest.mark.parametrize("share", ["0", "1", "-0.2", "nan"])
def test_wrong_shares(scripts: SimpleNamespace, share: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(scripts, [*nih(tmp_path), f"--validation={share}"], "share of patients", capsys)


def test_an_existing_folder_is_left_alone(
    scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = nih(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    refused(scripts, arguments, "out exists already", capsys)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_where_nothing_can_be_written(
    scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside_a_file = str(tmp_path / "entries.csv" / "out")
    refused(scripts, [*nih(tmp_path)[:-1], inside_a_file], "entries.csv", capsys)


def test_an_interruption_leaves_nothing(
    scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = nih(tmp_path)

    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(scripts.prepare_data, "_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scripts.prepare_data.main(arguments)
    assert not [path for path in tmp_path.iterdir() if path.name == "out" or path.name.startswith(".")]


def test_a_part_of_the_download(scripts: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = nih(tmp_path, [*ROWS, ("d1.png", "Mass", "4")])
    scripts.prepare_data.main([*arguments, "--skip-missing"])
    assert "left out, as the image is missing: 1" in capsys.readouterr().out
    names = {name for split in ("train", "validation") for name in metadata(tmp_path / "out" / split)}
    assert names == {name for name, *_ in ROWS}


def test_generated_images_are_the_same_again(scripts: SimpleNamespace, tmp_path: Path) -> None:
    for name, seed in (("one", "3"), ("two", "3"), ("three", "4")):
        scripts.prepare_data.main(["--generate", "12", "--seed", seed, "--output", str(tmp_path / name)])
    one, two, three = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two", "three")
    )
    assert one == two
    assert one != three
    assert sum(path.suffix == ".png" for path in one) == 12


def test_mirrored_images_keep_their_labels(scripts: SimpleNamespace) -> None:
    """Each finding lights places of its own, alike left and right."""
    lit = []
    for index in range(14):
        pictures = [np.asarray(scripts.synthetic.draw([index], random.Random(seed))) > 150 for seed in range(20)]
        always = np.logical_and.reduce(pictures)
        assert (always & always[:, ::-1]).sum() >= 10
        lit.append(always)
    assert np.sum(lit, axis=0).max() == 1


@pytest.mark.parametrize(("drawn", "mirrored"), [(0.4, True), (0.6, False)])
def test_augmentation(scripts: SimpleNamespace, drawn: float, mirrored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts.pictures.random, "uniform", lambda low, high: low + high)
    monkeypatch.setattr(scripts.pictures.random, "random", lambda: drawn)
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(
        np.asarray(scripts.pictures.augmented(Image.fromarray(values))), values[:, ::-1] if mirrored else values
    )


def test_pixels(scripts: SimpleNamespace) -> None:
    from transformers import ViTImageProcessor

    image = scripts.synthetic.draw([0, 5], random.Random(0))
    rows = {"image": [image], "labels": [[1.0, 0.0]]}
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    plain = scripts.pictures.Pixels(processor, augment=False)(rows)
    assert plain["labels"] == rows["labels"]
    grey = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), dtype=np.float32) / 127.5 - 1
    assert np.allclose(plain["pixel_values"][0], np.stack([grey] * 3), atol=0.02)
    random.seed(0)
    augmented = [scripts.pictures.Pixels(processor, augment=True)(rows)["pixel_values"][0] for _ in range(8)]
    assert len({tuple(pixels.flatten().tolist()) for pixels in augmented}) == 8


def test_a_batch_has_one_precision(scripts: SimpleNamespace) -> None:
    rows = [{"pixel_values": torch.ones(3, 4, 4), "labels": [0.0, 1.0]}] * 5
    batch = scripts.pictures.Collator(torch.float16)(rows)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "pixel_values": (5, 3, 4, 4),
        "labels": (5, 2),
    }
    assert {value.dtype for value in batch.values()} == {torch.float16}
    assert batch["labels"][0].tolist() == [0.0, 1.0]


def test_scripts_of_the_host_are_python_3_8(example: Path) -> None:
    for path in example.glob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        assert "annotations" in [
            name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names
        ]


@pytest.fixture
def host_arguments() -> dict[str, set[str]]:
    recorded = json.loads((Path(__file__).parent / "host_arguments.json").read_text())
    return {name: set(entry["arguments"]) for name, entry in recorded.items()}


def test_the_ipu_side_says_what_optimum_graphcore_knows(
    scripts: SimpleNamespace,
    example: Path,
    xrays: Path,
    host_arguments: dict[str, set[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every line of it runs, with classes that take what the real ones take. What those do: test_on_the_host.py."""
    made: dict[str, object] = {}

    class Trainer:
        def __init__(self, **parts: object) -> None:
            assert set(parts) <= host_arguments["IPUTrainer"]
            made.update(parts)
            raise InterruptedError

    host = ModuleType("optimum.graphcore")
    fields = [(name, object, None) for name in sorted(host_arguments["IPUTrainingArguments"])]
    host.IPUTrainingArguments = make_dataclass("IPUTrainingArguments", fields)  # type: ignore[attr-defined]
    host.IPUConfig = SimpleNamespace(from_pretrained=lambda name: f"read from {name}")  # type: ignore[attr-defined]
    host.IPUTrainer = Trainer  # type: ignore[attr-defined]
    for name, module in {
        "poptorch": ModuleType("poptorch"),
        "optimum": ModuleType("optimum"),
        host.__name__: host,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    where = ["--data", str(xrays), "--model", str(example / "tiny"), "--output", str(tmp_path / "results")]
    (tmp_path / "ipu_config.json").write_text("{}")
    with pytest.raises(InterruptedError):
        scripts.train.main([*where, "--from-config", "--ipu-config", str(tmp_path)])
    arguments = vars(made["args"])
    assert made["ipu_config"] == f"read from {tmp_path}"
    assert arguments["warmup_ratio"] == 0.25
    assert arguments["warmup_steps"] is None
    assert arguments["lr_scheduler_type"] == "cosine"
    assert arguments["evaluation_strategy"] == "epoch"
    assert arguments["per_device_train_batch_size"] == 1
    assert arguments["gradient_accumulation_steps"] is None  # that of the plan
    batch = made["data_collator"]([made["train_dataset"][0]])  # type: ignore[operator,index]
    assert batch["pixel_values"].shape == (1, 3, 32, 32)
    assert {value.dtype for value in batch.values()} == {torch.float16}


def test_transformers_4_is_understood(scripts: SimpleNamespace, host_arguments: dict[str, set[str]]) -> None:
    fields = [(name, object, None) for name in sorted(host_arguments["TrainingArguments"])]
    options = scripts.train.parser().parse_args(["--data", "xray", "--output", "results"])
    made = scripts.train.training_arguments(make_dataclass("TrainingArguments", fields), options, use_cpu=True)
    assert made.no_cuda is True
    assert made.warmup_ratio == 0.25
    assert made.evaluation_strategy == "epoch"


def test_without_poptorch_the_device_is_the_cpu(scripts: SimpleNamespace) -> None:
    assert scripts.train.default_device() == "cpu"
