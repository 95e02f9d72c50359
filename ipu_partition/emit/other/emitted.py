"""What an emitter gives, and what all of them ask of a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from ...errors import UsageError

if TYPE_CHECKING:
    import torch

    from ...plan import PartitionPlan
    from ...plan_parts import ModeName, ModePlan


@dataclass(frozen=True, slots=True)
class Emitted:
    value: Any
    """What the tool takes, as plain data."""
    text: str
    """The file."""
    notes: tuple[str, ...] = ()
    """Where the tool will do otherwise than the plan, a sentence each."""


class Opening(TypedDict, total=False):
    """What a plan does not hold of its model; see :func:`ipu_partition.reopen.reopen`."""

    model: object
    progress: Callable[[str], None] | None
    example_inputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor] | None
    loss: Callable[..., torch.Tensor] | None
    trust_remote_code: bool


def chosen(plan: PartitionPlan, mode: ModeName | None, usual: ModeName = "training") -> ModePlan:
    """The cut for `mode`, or for the usual one, or for the one there is. UsageError where nothing is placed in it."""
    if mode not in (None, "training", "inference"):
        raise UsageError(f"The mode to emit is {mode!r}, expected training or inference.")
    modes = plan.modes()
    first: ModeName = usual if usual in modes else next(iter(modes), usual)
    part = plan.mode(mode or first)
    if not part.stages:
        raise UsageError(
            f"The plan of {plan.model.name!r} places nothing in {part.workload.mode}, so there is no cut to emit. "
            "Make a plan that runs."
        )
    return part
