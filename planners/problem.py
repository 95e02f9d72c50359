"""The planning problem as plain numbers: what a planner may know, and nothing else.

A model is a chain of :class:`Unit`\\ s in execution order. A planner gives every unit a device; neighbouring
units on one device form a *stage*. Stages are ordered, devices are not visited in order only: a later stage may
sit on an earlier device (a tied head returns to the embedding's device), so **a stage is not a device**.

All bytes are integers, all times are microseconds at ``speed`` 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Schedule(StrEnum):
    """How the stages of one replica run."""

    TRAINING = "pipelined-training"
    """Every device works on its own micro-batch; the objective is cycle time, activations are stashed."""
    INFERENCE = "pipelined-inference"
    """As above, forward only: nothing is recomputed, only skip connections are stashed."""
    SHARDED = "sharded-inference"
    """One device at a time, forward only; the objective is latency, nothing is stashed."""
    ONE_F_ONE_B = "1f1b-training"
    """One stage on each device, forward and backward in turn once the pipeline is full, nothing recomputed; the
    objective is cycle time, activations stay live. Source: Narayanan et al., arXiv:2104.04473, section 2.2.1
    (PipeDream-Flush); `Schedule1F1B` of torch.distributed.pipelining."""

    @property
    def trains(self) -> bool:
        """Whether units run backward too."""
        return self in (Schedule.TRAINING, Schedule.ONE_F_ONE_B)

    @property
    def returns(self) -> bool:
        """Whether a device may hold several stages."""
        return self is not Schedule.ONE_F_ONE_B


class Preference(StrEnum):
    """Which criterion comes first; see ``evaluate``."""

    TIME = "time"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Unit:
    """The work between two places where a stage may begin."""

    name: str
    forward_us: float
    backward_us: float = 0.0
    resident_bytes: int = 0
    """Always on the device of the unit: weights, accumulators, optimizer state that no other unit shares."""
    live_bytes: int = 0
    """Activations the backward pass needs; summed over a recompute segment. Training only."""
    checkpoint_bytes: int = 0
    """Size of the unit's output where it is a recompute checkpoint, else 0. Ends a recompute segment."""
    transient_bytes: int = 0
    """Temporaries while the unit runs; the largest of a segment counts."""
    update_bytes: int = 0
    """Temporaries while the unit's weights are updated (no activation is live then); the largest of a device counts."""
    code_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation (or host input) that outlives the unit that makes it."""

    name: str
    producer: int | None
    """Index of the unit that makes it; ``None`` for an input that comes from the host."""
    readers: tuple[int, ...]
    """Units that read it, ascending, all later than the producer."""
    bytes: int
    gradient_bytes: int = 0
    """Bytes of its gradient, which travels back in training; 0 where nothing flows back (masks, token ids)."""


@dataclass(frozen=True, slots=True)
class SharedGroup:
    """Something that several units need and that a device holds once."""

    name: str
    members: tuple[int, ...]
    bytes: int
    colocate: bool
    """True: all members must be on one device (a tied weight under pipelining; where weights are copied, as sharding
    does, leave it False). False: a copy per device."""
    update_bytes: int = 0
    """As :attr:`Unit.update_bytes`."""


@dataclass(frozen=True, slots=True)
class Device:
    """One place for stages."""

    capacity_bytes: int
    speed: float = 1.0
    base_bytes: int = 0
    """Taken on every device that holds at least one unit."""
    min_units: int = 1
    """A device that holds any unit holds at least so many."""
    layers: int | None = None
    """How many sequential units the device holds; ``None``: any number."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything a planner is told. See ``planners/README.md`` for the JSON form."""

    units: tuple[Unit, ...]
    devices: tuple[Device, ...]
    schedule: Schedule
    tensors: tuple[Tensor, ...] = ()
    groups: tuple[SharedGroup, ...] = ()
    copy_us_per_byte: float = 0.0
    """A copy occupies the sender once (whatever the number of readers) and each receiving device once."""
    pins: tuple[tuple[int, int], ...] = ()
    """(unit, device) pairs."""
    forbidden_cuts: frozenset[int] = frozenset()
    """Index ``i`` means: units ``i`` and ``i + 1`` are on one device."""
    sequential: frozenset[int] = frozenset()
    """Units whose devices never decrease in unit order (the layers that ``layers_per_ipu`` counts).
    Where it is empty every unit may join a run that returns to an earlier device."""
    allow_empty: bool = False
    """False: every device holds at least one unit."""
    prefer: Preference = Preference.TIME
    copy_us: float = 0.0
    """What a copy takes whatever its size, on each side; its gradient is another copy."""
    micro_batches: int | None = None
    """Of one weight update, where stages hold activations of several (``1f1b-training``); ``None``: as many as there
    are stages, or more."""
