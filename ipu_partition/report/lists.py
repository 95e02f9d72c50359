"""The built-in models, and what the cost of a model was made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from .tables import table, words
from .text import count, percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..plan import PartitionPlan


class ModelEntry(Protocol):
    """What a list of models shows of each."""

    @property
    def name(self) -> str: ...

    @property
    def counted_class(self) -> str: ...

    @property
    def task(self) -> str: ...

    @property
    def parameters(self) -> int: ...


def render_models(entries: Iterable[ModelEntry]) -> RenderableType:
    """One line a model, in the order given."""
    rows = [(e.name, count(e.parameters), e.task, e.counted_class) for e in entries]
    columns = ("Model", "Parameters", "Default task", "Class")
    return table(columns, rows, left=("Model", "Default task"), wrap=("Class",))


def render_audit(plan: PartitionPlan) -> RenderableType:
    """Which ops were counted, which were left out and why, and which are unknown."""
    audit = plan.audit
    rows = [(op, "counted", str(times), "") for op, times in sorted(audit.counted.items())]
    rows += [(op, "ignored", str(times), reason) for op, (times, reason) in sorted(audit.ignored.items())]
    rows += [
        (op, "UNKNOWN", str(times), f"{percent(share)} of activation traffic")
        for op, (times, share) in sorted(audit.unknown.items())
    ]
    rows += [(op, "bounded", str(times), "its shape depends on values") for op, times in sorted(audit.bounded.items())]
    if not rows:
        return words("No op was seen.")
    return table(("Op", "Cost", "Times", "Why"), rows, left=("Cost",), wrap=("Op", "Why"))
