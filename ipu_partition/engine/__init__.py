"""Runs a plan on this machine with PyTorch's own pipeline, and holds it against training in one process.

Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..progress import Progress, silent
from .document import TOLERANCE, Ran, Step
from .options import ENGINES, Options, check_engine

if TYPE_CHECKING:
    from ..plan import PartitionPlan

__all__ = ["ENGINES", "TOLERANCE", "Options", "Ran", "Step", "check_engine", "run"]


def run(
    plan: PartitionPlan,
    options: Options,
    model: object = None,
    progress: Progress | None = None,
    **given: Any,
) -> Ran:
    """Train the model of `plan` for a few steps, one process for each stage. See :class:`Options`.

    `model` is what was planned; None: it is made again from what the plan says. `given`: `example_inputs`, `loss` and
    `trust_remote_code` as in :func:`ipu_partition.partition`. A loss that is not that of one process is an answer, not
    an error.

    Raises :class:`~ipu_partition.errors.UsageError`, :class:`~ipu_partition.errors.TraceError`,
    :class:`.failures.EngineError` where a stage fails, hangs or is killed, and KeyboardInterrupt.
    """
    from .pipeline import opened, train

    tell = progress or silent
    return train(opened(plan, options, model, tell, **given), options, tell)
