"""What the dimensions of the inputs are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .spec import Shapes
from .table import Task

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Context:
    """One model, its task, and what the user wishes."""

    config: Any
    task: Task
    shapes: Shapes
    model_class: type[nn.Module]

    @property
    def name(self) -> str:
        return self.model_class.__name__

    def configured(self, name: str) -> int:
        """A size that the configuration says. Raises: UsageError where it does not."""
        value = count(field(self.config, name))
        if value is None:
            raise cannot_infer(self.name, f"its configuration has no {name}")
        return value


def cannot_infer(architecture: str, why: str) -> UsageError:
    """The error for a model whose inputs nothing tells."""
    return UsageError(
        f"The inputs of {architecture} cannot be inferred ({why}); give example_inputs= (a tuple or dict of tensors)."
    )


def field(config: Any, name: str) -> Any:
    """A field of the configuration, or of the first of its sub-configurations that has it; else None."""
    parts = [config, *(getattr(config, key, None) for key in getattr(config, "sub_configs", {}))]
    return next((getattr(part, name) for part in parts if getattr(part, name, None) is not None), None)


def count(value: object) -> int | None:
    """The value where it is a whole number above 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
