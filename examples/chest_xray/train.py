"""Fine-tune ViT to 14 findings on chest X-rays: with IPUTrainer on an IPU host, with Trainer on a CPU.

On the IPU host, and anywhere else:

    python train.py --data xray --ipu-config plan --output results
    python train.py --data xray --model tiny --from-config --device cpu --output results
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import re
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import numpy as np
import torch
from findings import FINDINGS
from pictures import Collator, Pixels, load_splits
from scores import auc_roc, both_classes, plot_loss
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, set_seed

WARM_UP = 0.25
"""Share of the steps in which the learning rate rises to its peak; then it falls as a cosine."""
EARLIER_NAMES = {"eval_strategy": "evaluation_strategy", "warmup_steps": "warmup_ratio", "use_cpu": "no_cuda"}
"""What Transformers 4.29 and optimum-graphcore call arguments of Transformers 5."""


def default_device() -> str:
    try:
        importlib.import_module("poptorch")
        importlib.import_module("optimum.graphcore")
    except ImportError:
        return "cpu"
    return "ipu"


def load_model(options: argparse.Namespace) -> tuple[ViTForImageClassification, ViTImageProcessor]:
    """A classifier of the 14 findings, each on its own: the loss is BCE with logits."""
    names = dict(enumerate(FINDINGS))
    config = ViTConfig.from_pretrained(
        options.model,
        id2label=names,
        label2id={name: index for index, name in names.items()},
        problem_type="multi_label_classification",
    )
    if options.from_config:
        side: Any = config.image_size
        return ViTForImageClassification(config), ViTImageProcessor(size={"height": side, "width": side})
    model = ViTForImageClassification.from_pretrained(options.model, config=config)
    return model, ViTImageProcessor.from_pretrained(options.model)


def training_arguments(kind: type, options: argparse.Namespace, **more: object) -> Any:
    """The arguments of training, of the class `kind`, under the names that it has for them."""
    wanted: dict[str, object] = {
        "output_dir": str(options.output),
        "per_device_train_batch_size": options.batch_size,
        "per_device_eval_batch_size": options.batch_size,
        "num_train_epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARM_UP,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "logging_steps": options.logging_steps,
        "dataloader_num_workers": options.workers,
        "remove_unused_columns": False,
        "report_to": "none",
        "seed": options.seed,
        **more,
    }
    known = {field.name for field in fields(kind)}
    earlier = {new: old for new, old in EARLIER_NAMES.items() if old in known}
    return kind(**{earlier.get(name, name): value for name, value in wanted.items()})


def ipu_trainer(options: argparse.Namespace, **parts: Any) -> Any:
    """Pipelined over IPUs as the plan says. IPUs compute in half precision and take full batches only."""
    from optimum.graphcore import IPUConfig, IPUTrainer, IPUTrainingArguments

    return IPUTrainer(
        args=training_arguments(IPUTrainingArguments, options, dataloader_drop_last=True),
        ipu_config=IPUConfig.from_pretrained(options.ipu_config),
        data_collator=Collator(torch.float16),
        **parts,
    )


def cpu_trainer(options: argparse.Namespace, **parts: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    return Trainer(
        args=training_arguments(TrainingArguments, options, use_cpu=True, dataloader_pin_memory=False),
        data_collator=Collator(torch.float32),
        **parts,
    )


def train(options: argparse.Namespace, cache: Path) -> dict[str, Any]:
    """Trains, and writes the model, metrics.json, trainer_state.json with the history, and loss.png.

    `cache` is a folder for what `datasets` keeps meanwhile. Before training begins, nothing is written to `--output`.
    """
    set_seed(options.seed)
    splits = load_splits(options.data, cache)
    if not both_classes(np.array(splits["validation"]["labels"])):
        raise SystemExit("No AUC is defined: of every finding, all validation images have it or none has.")
    model, processor = load_model(options)
    make = ipu_trainer if options.device == "ipu" else cpu_trainer
    trainer = make(
        options,
        model=model,
        train_dataset=splits["train"].with_transform(Pixels(processor, augment=True)),
        eval_dataset=splits["validation"].with_transform(Pixels(processor, augment=False)),
        compute_metrics=auc_roc,
    )
    trainer.train()
    trainer.save_model()
    processor.save_pretrained(options.output)
    trainer.save_state()
    plot_loss(trainer.state.log_history, options.output / "loss.png")
    metrics: dict[str, Any] = next(entry for entry in reversed(trainer.state.log_history) if "eval_loss" in entry)
    (options.output / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def report(metrics: dict[str, Any]) -> str:
    """The AUC of each finding, and which have none."""
    aucs = {name: metrics.get(f"eval_auc_{name}") for name in FINDINGS}
    aucs[f"mean of {metrics['eval_findings']}"] = metrics.get("eval_auc_mean")
    lines = [f"{name:20}{'none: all images agree' if auc is None else f'{auc:.3f}'}" for name, auc in aucs.items()]
    return "\n".join([f"AUC-ROC on {metrics['eval_images']} validation images", *lines])


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description="Fine-tune ViT to 14 findings on chest X-rays.")
    p.add_argument("--data", type=Path, required=True, help="the folder that prepare_data.py wrote")
    p.add_argument("--output", type=Path, required=True, help="where the model, the metrics and the plot go")
    p.add_argument("--model", default="google/vit-base-patch16-224-in21k", help="a Hub id or a folder")
    p.add_argument("--from-config", action="store_true", help="random weights: only the config.json of --model is read")
    p.add_argument("--device", choices=("ipu", "cpu"), default=None, help="default: ipu where PopTorch is installed")
    p.add_argument("--ipu-config", default="plan", help="the folder that plan.py wrote (default: plan)")
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--batch-size", type=int, default=1, help="the micro-batch; on IPUs that of the plan (default: 1)")
    p.add_argument("--learning-rate", type=float, default=2e-4, help="at its peak")
    p.add_argument("--logging-steps", type=int, default=10)
    p.add_argument("--workers", type=int, default=0, help="processes that read images (default: 0, this one)")
    p.add_argument("--seed", type=int, default=42)
    return p


def check(options: argparse.Namespace) -> None:
    """Raises ValueError for what would otherwise fail late."""
    for split in ("train", "validation"):
        check_labels(options.data / split / "metadata.jsonl")
    check_place("model", options.model, "config.json")
    if options.device == "ipu":
        if default_device() != "ipu":
            raise ValueError("--device ipu needs poptorch and optimum-graphcore, which cannot be imported here.")
        check_place("ipu-config", options.ipu_config, "ipu_config.json")
    if options.output.exists():
        raise ValueError(f"{options.output} exists already; choose another --output, or remove it.")
    for name in ("epochs", "batch_size", "logging_steps"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} is {getattr(options, name)}, expected 1 or more.")
    if not 0 < options.learning_rate < math.inf:
        raise ValueError(f"learning_rate is {options.learning_rate}, expected a number above 0.")


def check_labels(metadata: Path) -> None:
    """Of the first image; ValueError where they are not those that prepare_data.py writes."""
    if not metadata.is_file():
        raise ValueError(f"{metadata} is missing; make it with prepare_data.py.")
    try:
        with open(metadata, encoding="utf-8") as lines:
            found: object = len(json.loads(lines.readline())["labels"])
    except (ValueError, KeyError, TypeError):
        found = "no"
    if found != len(FINDINGS):
        raise ValueError(f"{metadata} has {found} labels in its first line, expected {len(FINDINGS)}.")


def check_place(option: str, name: str, file: str) -> None:
    """ValueError where `name` is neither a folder with `file` nor, like owner/name, an id on the Hub."""
    there = Path(name).exists()
    if not (Path(name) / file).is_file() if there else not re.fullmatch(r"\w[\w.-]*/[\w.-]+", name):
        raise ValueError(f"--{option} {name} is neither a folder with {file} nor a Hub id such as owner/name.")


def main(arguments: list[str] | None = None) -> None:
    p = parser()
    options = p.parse_args(arguments)
    options.device = options.device or default_device()
    try:
        check(options)
    except ValueError as error:
        p.error(str(error))
    with tempfile.TemporaryDirectory() as cache:
        metrics = train(options, Path(cache))
    print(report(metrics))


if __name__ == "__main__":
    main()
