"""The price of program order as data. Times are of one cycle of the pipeline, in microseconds."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from ..document import Count, Document, Flag, Number, Positive, canonical_json
from ..plan_parts import ScheduleName

SCHEMA_VERSION: Final = 1


class OrderStage(Document):
    """What one device runs in the best plan that was found."""

    device: Count
    units: list[Count]
    """As they run; numbered by their places in the order of the program."""
    modules: list[str]
    """Outermost modules that run there and nowhere else."""


class ModeOrder(Document):
    devices: Positive
    schedule: ScheduleName
    fits: Flag
    """Whether a plan was found, in any order."""
    units: Positive
    pairs: Count
    """Pairs of units that every order keeps in order."""
    plan_us: Number | None
    """Of the plan that keeps all rules of its class; None where it does not fit, and for machine files."""
    program_us: Number | None
    """Of the best plan in program order, exactly; None where none fits."""
    best_us: Number | None
    """Of the best plan that was found in any order, exactly and by all rules; None where none fits."""
    lower_bound_us: Number | None
    """Proved of all plans in all orders; None where nothing is, or nothing fits."""
    gap: Number | None
    """Share of `best_us` that might be saved."""
    loss: Number | None
    """Share by which program order takes longer than the best that was found."""
    most_loss: Number | None
    """Share by which it takes longer than the best can; None where nothing is proved."""
    proved: Flag
    """No order has a better plan than `best_us`; where there is none, no order has one that fits."""
    program_is_best: Flag
    """No better order was found."""
    planner: str
    """Which looked for the bound."""
    seconds: Number
    """Whole seconds."""
    words: str
    stages: list[OrderStage]
    """Of the best plan, in order."""
    notes: list[str]


class OrderExplanation(Document):
    """What it costs a model to run in program order."""

    schema_version: Literal[1] = SCHEMA_VERSION
    model: str
    architecture: str
    machine: str
    target: str
    granularity: Literal["module", "op"]
    fits: Flag
    training: ModeOrder | None
    inference: ModeOrder | None
    notes: list[str] = Field(default_factory=list)

    def modes(self) -> dict[str, ModeOrder]:
        """Those to which it applies, training first."""
        found = {"training": self.training, "inference": self.inference}
        return {name: mode for name, mode in found.items() if mode is not None}

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    def __str__(self) -> str:
        from ..report.order import render_order
        from ..report.terminal import to_text

        return to_text(render_order(self))
