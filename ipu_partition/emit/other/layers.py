"""The repeated layers of a plan, for tools that count them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ...errors import UsageError
from .ranks import named

if TYPE_CHECKING:
    from ...plan import PartitionPlan
    from ...plan_parts import ModePlan


@dataclass(frozen=True, slots=True)
class Layers:
    """One list of layers, in the order in which they run."""

    path: str
    stages: tuple[Mapping[int, int], ...]
    """Of each layer: the stages that run some of it, and how many of its modules each runs."""
    before: tuple[tuple[str, int], ...]
    """(module, stage) of what runs before the first layer."""
    after: tuple[tuple[str, int], ...]
    """The same of what runs after the last."""

    def counts(self, part: ModePlan) -> list[int]:
        """Layers on each device, every one where most of its modules are, of several the first."""
        devices = [part.stages[_home(stages)].ipu for stages in self.stages]
        return [devices.count(device) for device in sorted({stage.ipu for stage in part.stages})]

    def differences(self, tool: str, last: int) -> tuple[str, ...]:
        """What `tool` does otherwise, if it keeps layers whole and what is around them on its first and last rank."""
        return (*self._cut(tool), *self._elsewhere(tool, last))

    def _cut(self, tool: str) -> Iterator[str]:
        for index, stages in enumerate(self.stages):
            if len(stages) > 1:
                among = " and ".join(map(str, stages))
                yield (
                    f"{tool} keeps {self.path}.{index} whole, on rank {_home(stages)}; the plan cuts it, between the "
                    f"stages {among}."
                )

    def _elsewhere(self, tool: str, last: int) -> Iterator[str]:
        for rank, around in ((0, self.before), (last, self.after)):
            for module, stage in around:
                if stage != rank:
                    yield f"{tool} runs {module} on rank {rank}; the plan has it on stage {stage}."


@dataclass(frozen=True, slots=True)
class _Run:
    """A module that a stage runs."""

    module: str
    stage: int
    path: str | None
    """The outermost list that its path goes through; None: there is none."""
    index: int
    """In that list."""


def layers_of(plan: PartitionPlan, part: ModePlan, tool: str, tasks: Sequence[str]) -> Layers:
    """UsageError where `plan` is for none of `tasks`, or its layers are no single list that runs in order."""
    model = plan.model
    if model.task not in tasks:
        raise UsageError(
            f"{tool} takes one list of layers, of a model for {' or '.join(tasks)}; this plan is of "
            f"{model.architecture} for {model.task}. `device_map` can say it."
        )
    runs = [_run(module, stage.index) for stage in part.stages for module in stage.modules]
    paths = list(dict.fromkeys(run.path for run in runs if run.path is not None))
    if len(paths) != 1:
        what = f"{len(paths)} lists ({named(paths)})" if paths else "no list"
        raise UsageError(
            f"{tool} takes one list of layers, but the stages of this plan of {model.architecture} run {what}. "
            "`device_map` can say it."
        )
    order = [index for index, _ in groupby(run.index for run in runs if run.path is not None)]
    if order != list(range(len(order))):
        raise UsageError(
            f"{tool} runs all layers of {paths[0]} in order, but the stages of this plan run them in the order "
            f"{', '.join(map(str, order))}. `device_map` can say it."
        )
    return _layers(paths[0], len(order), runs)


def _run(module: str, stage: int) -> _Run:
    names = module.split(".")
    for position, name in enumerate(names):
        if position and name.isdecimal():
            return _Run(module, stage, ".".join(names[:position]), int(name))
    return _Run(module, stage, None, 0)


def _layers(path: str, count: int, runs: Sequence[_Run]) -> Layers:
    stages: list[dict[int, int]] = [{} for _ in range(count)]
    inside = [position for position, run in enumerate(runs) if run.path is not None]
    for position in inside:
        run = runs[position]
        stages[run.index][run.stage] = stages[run.index].get(run.stage, 0) + 1
    around = [(run.module, run.stage) for run in runs]
    return Layers(path, tuple(stages), tuple(around[: inside[0]]), tuple(around[inside[-1] + 1 :]))


def _home(stages: Mapping[int, int]) -> int:
    return max(stages, key=lambda stage: (stages[stage], -stage))
