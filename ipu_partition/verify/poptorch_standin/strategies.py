"""Execution strategies, and the stage that each gives a block.

Source: graphcore/poptorch:python/options.py and _options_impl.py (`_DefaultStageManager`, `beginStage`).
"""

from __future__ import annotations

import enum
from typing import Any

from .errors import Error


class AutoStage(enum.IntEnum):
    """How stages are numbered where they are not listed."""

    SameAsIpu = 0
    """A stage is its IPU."""
    AutoIncrement = 1
    """Each new block id is the next stage, from 1."""


class Stage:
    """Blocks, by id, that are one stage."""

    def __init__(self, *block_ids: str) -> None:
        if not all(isinstance(name, str) for name in block_ids):
            raise Error(f"a Stage takes block ids, which are strings; got {block_ids!r}")
        self.blocks = block_ids
        self.ipu_id: int | None = None

    def ipu(self, ipu: int) -> Stage:
        """Run the stage on that IPU, whatever its blocks say."""
        if type(ipu) is not int:
            raise Error(f"Stage.ipu expects an int, got {ipu!r}")
        self.ipu_id = ipu
        return self


class Strategy:
    """What `Options.setExecutionStrategy` takes."""


class PipelinedExecution(Strategy):
    """The stages of one replica run at the same time.

    `PipelinedExecution(AutoStage.SameAsIpu)` (the default), `PipelinedExecution(AutoStage.AutoIncrement)`, or all
    stages in order: `PipelinedExecution("A", "B", Stage("C", "D").ipu(3))`.
    """

    def __init__(self, *stages: AutoStage | str | Stage) -> None:
        self.auto_stage: AutoStage | None = None
        self.stages: tuple[Stage, ...] = ()
        if len(stages) <= 1 and all(isinstance(stage, AutoStage) for stage in stages):
            self.auto_stage = AutoStage(stages[0]) if stages else AutoStage.SameAsIpu  # type: ignore[arg-type]
        else:
            self.stages = tuple(_stage(stage) for stage in stages)
            _check_once(self.stages)

    @property
    def numbering(self) -> Any:
        """Equal for strategies that give the same blocks the same stages and IPUs."""
        return self.auto_stage if self.auto_stage is not None else [(s.blocks, s.ipu_id) for s in self.stages]


class ShardedExecution(PipelinedExecution):
    """One IPU at a time. PopART drops the stages, so that rules about them do not hold."""


class _PhasedExecution(Strategy):
    def __init__(self, *phases: Any) -> None:
        if any(isinstance(phase, AutoStage) for phase in phases):
            raise Error("phased strategies have no AutoStage; list the phases.")
        self.phases = phases


class ParallelPhasedExecution(_PhasedExecution):
    """Known by name; the stand-in places nothing in phases."""


class SerialPhasedExecution(_PhasedExecution):
    """Known by name; the stand-in places nothing in phases."""


class StageNumbers:
    """The stages of the blocks begun in one compilation."""

    def __init__(self, strategy: Strategy) -> None:
        if not isinstance(strategy, PipelinedExecution):
            raise Error(f"the stand-in places stages, not the phases of {type(strategy).__name__}.")
        self.strategy = strategy
        self._numbers: dict[str, int] = {}
        self._listed = {name: (i, s.ipu_id) for i, s in enumerate(strategy.stages) for name in s.blocks}

    def place(self, user_id: str, ipu_id: int | None) -> tuple[int, int]:
        """(stage, IPU) of a block that begins. A repeated id is the same stage, on the IPU of this call.

        Raises Error for a block that is not listed where stages are, AssertionError where the IPU is the stage and
        missing.
        """
        if self.strategy.auto_stage is None:
            if user_id not in self._listed:
                raise Error(f"Unknown Block {user_id!r}, list of expected Blocks: {list(self._listed)}")
            stage, fixed = self._listed[user_id]
            return stage, fixed if fixed is not None else stage if ipu_id is None else ipu_id
        if self.strategy.auto_stage is AutoStage.SameAsIpu:
            assert ipu_id is not None, f"AutoStage.SameAsIpu, but no IPU was specified for block {user_id!r}"
            return self._numbers.setdefault(user_id, ipu_id), ipu_id
        stage = self._numbers.setdefault(user_id, len(self._numbers) + 1)
        return stage, stage if ipu_id is None else ipu_id


def _stage(given: Any) -> Stage:
    if isinstance(given, AutoStage) or not isinstance(given, (str, Stage)):
        raise Error(f"expected one AutoStage, or block ids and Stages, got {given!r}")
    return Stage(given) if isinstance(given, str) else given


def _check_once(stages: tuple[Stage, ...]) -> None:
    homes: dict[str, int] = {}
    for i, stage in enumerate(stages):
        for name in stage.blocks:
            if name in homes:
                raise Error(f"block {name!r} is associated with more than one stage: {homes[name]} and {i}")
            homes[name] = i
