"""Puts a plan on a live model, through the same functions that `parallelize.py` holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..structure import structure_of
from .tables import table, traced_with

if TYPE_CHECKING:
    import torch

    from ..plan import PartitionPlan
    from ..plan_parts import ModeName


def apply(plan: PartitionPlan, model: torch.nn.Module) -> torch.nn.Module:
    """Begin the plan's blocks on `model` for the mode it is in and return it.

    UsageError where poptorch is missing, the mode was not planned, the model is not the one the plan was made for, or
    it has blocks already, of a plan or others; the model is then unchanged.
    """
    runtime = _runtime()
    _check_module(model)
    mode: ModeName = "training" if model.training else "inference"
    cut = table(plan.mode(mode))
    if not runtime.is_cut(model):
        _check_structure(plan, model)
    try:
        runtime.apply_cut(model, cut, traced_with(plan.model), "plan.remove(model)")
    except runtime.PlanMismatchError as error:
        raise UsageError(str(error)) from error
    return model


def remove(model: torch.nn.Module) -> torch.nn.Module:
    """Undo `apply`, or `parallelize(model)`, and nothing else; return the model. UsageError where it was not cut."""
    runtime = _runtime()
    if not runtime.is_cut(model):
        raise UsageError(
            f"This {type(model).__name__} is not cut: it has no blocks of a plan. Call plan.apply(model) first; blocks "
            "you made yourself are taken off by poptorch.removeBlocks(model)."
        )
    runtime.deparallelize(model)
    return model


def _check_module(model: object) -> None:
    import torch

    if not isinstance(model, torch.nn.Module):
        raise UsageError(f"The model is a {type(model).__name__}, expected a torch.nn.Module.")


def _check_structure(plan: PartitionPlan, model: torch.nn.Module) -> None:
    wanted, found = plan.model.fingerprint, structure_of(model)
    if found != wanted:
        raise UsageError(
            f"This {type(model).__name__} is not the model the plan was made for: its parameters have the structure "
            f"{found}, those of {plan.model.name!r} ({plan.model.architecture}, {traced_with(plan.model)}) {wanted}. "
            "Make the plan again from this model: partition(model, ...)."
        )


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
