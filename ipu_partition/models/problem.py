"""What kind of target a classifier learns, which decides the shape of its labels and its loss."""

from __future__ import annotations

from typing import Any

from .spec import ModelSpec
from .tasks import find_task


def problem_type(spec: ModelSpec) -> str | None:
    """`config.problem_type`, or what Transformers takes in its place; None where the task has no such choice.

    Source: huggingface/transformers:src/transformers/loss/loss_utils.py, `ForSequenceClassificationLoss`.
    """
    if spec.task is None or spec.config is None or not find_task(spec.task).problem_types:
        return None
    given = getattr(spec.config, "problem_type", None)
    if isinstance(given, str):
        return given
    return "regression" if getattr(spec.config, "num_labels", None) == 1 else "single_label_classification"


def set_problem_type(spec: ModelSpec, config: Any) -> None:
    """Writes it down: DeBERTa's own code for an unset one looks at the labels' values, which cannot be traced."""
    chosen = problem_type(spec)
    if chosen is not None:
        config.problem_type = chosen
