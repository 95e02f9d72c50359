"""Puts a plan on a live model, through the same functions that `parallelize.py` holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .tables import table, traced_with

if TYPE_CHECKING:
    import torch

    from ..plan import PartitionPlan
    from ..plan_parts import ModeName


def apply(plan: PartitionPlan, model: torch.nn.Module) -> torch.nn.Module:
    """Begin the plan's blocks on `model` for the mode it is in and return it.

    UsageError where poptorch is missing, the mode was not planned or the model lacks a module of the plan; the
    model is then unchanged. poptorch's own errors (a module already in a block) pass through, the model unchanged.
    """
    runtime = _runtime()
    mode: ModeName = "training" if model.training else "inference"
    try:
        runtime.apply_cut(model, table(plan.mode(mode)), traced_with(plan.model))
    except runtime.PlanMismatchError as error:
        raise UsageError(str(error)) from error
    return model


def remove(model: torch.nn.Module) -> torch.nn.Module:
    """Undo `apply`."""
    _runtime().deparallelize(model)
    return model


def options(plan: PartitionPlan, mode: ModeName) -> Any:
    """poptorch.Options for one mode of `plan`; UsageError as for `apply`."""
    return _runtime().make_options(table(plan.mode(mode)))


def _runtime() -> Any:
    try:
        from . import runtime_template
    except ImportError as error:
        raise UsageError(
            f"poptorch cannot be imported ({error}). It is part of the Poplar SDK, not on PyPI, and needs Linux on an "
            "IPU host: save the plan here and call parallelize(model) of its parallelize.py there."
        ) from error
    return runtime_template
