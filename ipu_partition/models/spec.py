"""What a request resolves to, before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UsageError

if TYPE_CHECKING:
    import torch

Source = Literal["built-in", "folder", "hub", "config", "module"]
Overrides = Mapping[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class ModelSpec:
    """A model that :func:`ipu_partition.models.build` can make, and where it came from."""

    name: str
    source: Source
    architecture: str
    """Name of the class."""
    model_class: type[torch.nn.Module]
    model_type: str | None = None
    """None for a module that is not a Transformers model."""
    hub_id: str | None = None
    revision: str | None = None
    """The commit for a model from the Hub, where the cache tells it, else the revision asked for."""
    task: str | None = None
    """None for a module whose class belongs to no task."""
    config: Any = None
    """The `PretrainedConfig`, or None for a module without one."""
    module: torch.nn.Module | None = None
    """Given by the user, and used as it is."""
    example_inputs: Mapping[str, torch.Tensor] | None = None
    """Given by the user, by parameter name of `forward`."""
    loss: Callable[..., torch.Tensor] | None = None
    """Given by the user: called with the output of `forward`."""
    has_loss: bool = False
    loss_note: str = ""
    """Why training is missing, or what its loss leaves out."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shapes:
    """Sizes the user may choose; None takes the default of the task and the configuration."""

    micro_batch_size: int = 1
    sequence_length: int | None = None
    """Tokens of the (encoder's) input."""
    target_length: int | None = None
    """Tokens of the decoder, or of a CTC transcript."""
    image_size: int | None = None
    """Pixels of a side."""
    audio_seconds: float | None = None
    """At 16 kHz."""

    def __post_init__(self) -> None:
        for name in ("micro_batch_size", "sequence_length", "target_length", "image_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 2**24):
                raise UsageError(f"{name} is {value!r}, expected a whole number from 1 to {2**24}.")
        seconds = self.audio_seconds
        if seconds is not None and not (_is_number(seconds) and 0 < seconds <= 86_400):
            raise UsageError(f"audio_seconds is {seconds!r}, expected a number of seconds above 0 and at most 86400.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
