"""How good the predictions are, and the plot of the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from findings import FINDINGS
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score


def both_classes(labels: np.ndarray) -> list[str]:
    """The findings of which there are images with and without; of the others no AUC is defined."""
    return [name for name, column in zip(FINDINGS, labels.T) if column.any() and not column.all()]


def auc_roc(predicted: Any) -> dict[str, float]:
    """The area under the ROC curve of each finding that has one, and their mean.

    `predicted` is the EvalPrediction of a trainer. Findings whose images are all with it or all without are left out,
    of the mean too, and not counted in `findings`.
    """
    logits, labels = predicted.predictions.astype(np.float32), predicted.label_ids.astype(bool)
    columns = {name: FINDINGS.index(name) for name in both_classes(labels)}
    found = {f"auc_{name}": float(roc_auc_score(labels[:, i], logits[:, i])) for name, i in columns.items()}
    mean = {"auc_mean": float(np.mean(list(found.values())))} if found else {}
    return {**found, **mean, "findings": len(found), "images": len(labels)}


def plot_loss(history: list[dict[str, Any]], path: Path) -> None:
    """The loss of training and validation by step, as PNG."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    for key, label, style in (("loss", "training", "-"), ("eval_loss", "validation", "o--")):
        points = [(entry["step"], entry[key]) for entry in history if key in entry]
        axes.plot([step for step, _ in points], [loss for _, loss in points], style, label=label)
    axes.legend()
    figure.savefig(path)
