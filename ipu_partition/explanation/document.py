"""An explanation as data. Bytes are on the device, times in microseconds."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ..document import Count, Document, Flag, Number, Positive, canonical_json

SCHEMA_VERSION: Final = 1

Difference = Annotated[int, Field(strict=True)]


class TimePart(Document):
    """Some of the time of an IPU."""

    name: Literal["forward", "backward", "recomputation", "copies"]
    us: Number


class Worker(Document):
    """Units that take time on an IPU: equal layers are one."""

    modules: list[str]
    us: Number
    """Copies left out."""
    kinds: dict[str, Number]
    """Kind of operation: microseconds; the three that take longest."""


class Slowest(Document):
    """The IPU that takes longest: pipelined, its time is the cycle."""

    ipu: Count
    us: Number
    parts: list[TimePart]
    """They add up to the time."""
    workers: list[Worker]
    """The three that take longest."""


class Term(Document):
    """What bytes are for, and where most of them come from."""

    name: str
    bytes: Count
    source: str


class Fullest(Document):
    """The IPU that uses most of its memory."""

    ipu: Count
    used_bytes: Count
    """With the gaps between variables."""
    free_bytes: Difference
    """What is left of the capacity; negative where it does not fit."""
    terms: list[Term]
    """The largest."""


class Move(Document):
    modules: list[str]
    from_ipu: Count
    to_ipu: Count


class OtherCut(Document):
    """A cut that was not taken."""

    layers_per_ipu: list[Count] | None
    moves: list[Move]
    """From the plan to this cut."""
    objective_us: Number
    slower_us: float
    """Than the plan; negative where it is faster and does not fit, or the plan is not proved."""
    peak_bytes: Count
    more_bytes: Difference
    """On the fullest IPU, than the plan."""
    worse_in: Literal["time", "memory", "copies", "evenness", "nothing"]
    """The first criterion in which it is worse than the plan."""
    fits: Flag
    proved: Flag
    """No other cut is better; else it is the best of those a step away."""


class MoreLayer(Document):
    """What one more layer on one IPU would do, all else staying where it is."""

    ipu: Count
    like: str
    """The layer that is there once more."""
    ipu_us: Number
    objective_us: Number
    slower_us: float
    used_bytes: Count
    """On that IPU."""
    more_bytes: Difference
    fits: Flag


class Room(Document):
    """How many more layers the model could have on these IPUs, cut anew."""

    like: str
    more: Count
    at_least: Flag
    """More were not tried."""


class ModeExplanation(Document):
    fits: Flag
    ipus: Positive
    layers_per_ipu: list[Count] | None
    goal: Literal["cycle", "latency"]
    objective_us: Number
    slowest: Slowest
    fullest: Fullest
    memory_decides: Flag | None
    """Whether another cut would be faster if memory had no limit; None where that is not known."""
    unlimited: OtherCut | None
    """The best such cut; `fits` is as it is with the limit."""
    runner_up: OtherCut | None
    no_runner_up: str
    """Why there is none; else empty."""
    one_more: list[MoreLayer]
    """For each IPU; empty where the plan does not fit or the model has no layers."""
    room: list[Room]
    obstacles: list[str]
    """What keeps it from fitting; empty where it fits."""


class Explanation(Document):
    schema_version: Literal[1] = SCHEMA_VERSION
    model: str
    architecture: str
    machine: str
    target: str
    fits: Flag
    training: ModeExplanation | None
    inference: ModeExplanation | None

    def modes(self) -> dict[str, ModeExplanation]:
        """Those that were planned, training first."""
        found = {"training": self.training, "inference": self.inference}
        return {name: mode for name, mode in found.items() if mode is not None}

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        return canonical_json(self.to_dict())

    def __str__(self) -> str:
        from ..report.explanation import render_explanation
        from ..report.terminal import to_text

        return to_text(render_explanation(self))
