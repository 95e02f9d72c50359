"""A plan as a chain of stages, one for each rank, with the model it is of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...families import rule_for
from ...workload import Mode, Target
from .chain import Link, Weight, links

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ...plan import PartitionPlan
    from ...prepare import Prepared
    from ...reopen import Reopened
    from ...split import Split


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a model is cut."""

    stages: tuple[tuple[int, tuple[str, ...]], ...]
    """Device and modules of each stage, in order."""
    cycle_us: float | None
    """Predicted on the machine of the plan; None: not predicted."""


@dataclass(frozen=True, slots=True)
class Change:
    """A plan that was planned again, because the engine holds one stage on each rank."""

    reason: str
    before: Cut
    after: Cut
    fits: bool
    """Whether each stage of the new cut fits a device of the plan's machine."""
    copied: tuple[str, ...]
    """Trained weights that several ranks hold."""
    copied_bytes: int
    """Of the copies, in float32, beyond the first of each."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What every rank is made from."""

    reopened: Reopened
    model: nn.Module
    """On the CPU."""
    prepared: Prepared
    split: Split
    chain: tuple[Link, ...]
    modules: tuple[tuple[str, ...], ...]
    """Of each stage."""
    change: Change | None
    """None: the stages are those of the plan."""

    def tensors(self, rank: int) -> dict[str, torch.Tensor]:
        """Values of the weights of a rank, by their first names."""
        from ...split import bind

        values = bind(self.prepared.traced, self.model)
        return {weight.names[0]: values[weight.names[0]] for weight in self.chain[rank].weights}


def open_pipeline(
    plan: PartitionPlan,
    ranks: int,
    model: object = None,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    **given: Any,
) -> Pipeline:
    """The training part of `plan` as `ranks` stages, with the weights of `model`, or random ones from `seed`.

    `given`: what else :func:`~ipu_partition.reopen.reopen` takes. Where the plan has other stages than one for each
    rank in turn, the model is planned again. Raises :class:`UsageError` and :class:`TraceError`.
    """
    if plan.training is None:
        raise UsageError(
            f"The plan of {plan.model.name!r} is for inference only, and a run trains. Plan the model for training."
        )
    from ...reopen import reopen
    from ...split import real_model, split

    reopened = reopen(plan, model, progress, **given)
    spec = reopened.spec
    rule = rule_for(spec.architecture) if reopened.target is Target.OPTIMUM else None
    reopened.progress(f"making {'the' if spec.module is not None else 'random'} weights of {spec.architecture}")
    real = real_model(spec, training=True, seed=seed, host_config=dict(rule.host_config) if rule else None)
    prepared = reopened.prepared(Mode.TRAINING, model=real)
    reopened.progress(f"cutting {spec.architecture} into {ranks} stages")
    stages, change = _stages(reopened, prepared, ranks)
    pieces = split(prepared, stages, copied=True)
    return Pipeline(
        reopened=reopened,
        model=real,
        prepared=prepared,
        split=pieces,
        chain=links(pieces, _weights(prepared, real)),
        modules=_modules(prepared, stages, ranks),
        change=change,
    )


def _stages(reopened: Reopened, prepared: Prepared, ranks: int) -> tuple[list[int], Change | None]:
    """The rank of each unit of `prepared`."""
    plan, (homes, reason) = reopened.plan, _planned(reopened, prepared, ranks)
    if homes is not None:
        return homes, None
    if plan.machine.devices is not None:
        raise UsageError(
            f"{reason.capitalize()}: expected as many. Ask for {len(plan.machine.devices)} processes, or plan for "
            f"{ranks} devices of {plan.machine.name!r} (--ipus {ranks})."
        )
    from ...devices.ranks import ranked
    from ...machine import machine

    found = ranked(prepared, reopened.workload(Mode.TRAINING), machine(plan.machine.name), ranks)
    stages = list(found.assignment)
    after = Cut(tuple(enumerate(_modules(prepared, stages, ranks))), found.objective_us)
    change = Change(
        reason=reason,
        before=_before(plan),
        after=after,
        fits=found.fits,
        copied=found.copied,
        copied_bytes=_copied_bytes(prepared, stages, found.copied),
    )
    return stages, change


def _planned(reopened: Reopened, prepared: Prepared, ranks: int) -> tuple[list[int] | None, str]:
    """The device of each unit where the plan visits as many devices as there are ranks, each once and in order; else
    why it does not."""
    from ...hosted import as_hosted

    work = reopened.workload(Mode.TRAINING)
    homes = list(reopened.assignment(Mode.TRAINING, prepared))
    visited = [home for home, _ in groupby(homes)]
    if as_hosted(prepared, work.serialisation, work.ipus).layout.origins:
        return None, "the plan cuts a table into pieces, which the engine does not"
    if work.ipus != ranks:
        return None, f"the plan is for {work.ipus} devices, {ranks} processes were asked for"
    if visited != list(range(ranks)):
        back = next((home for i, home in enumerate(visited) if home in visited[:i]), None)
        return None, "the plan skips a device" if back is None else f"the plan comes back to device {back}"
    return homes, ""


def _before(plan: PartitionPlan) -> Cut:
    part = plan.mode("training")
    predicted = part.predicted
    stages = tuple((stage.ipu, tuple(stage.modules)) for stage in part.stages)
    return Cut(stages, None if predicted is None else predicted.cycle_us)


def _modules(prepared: Prepared, stages: Sequence[int], ranks: int) -> tuple[tuple[str, ...], ...]:
    def of(rank: int) -> Iterable[str]:
        for unit, stage in zip(prepared.graph.units, stages, strict=True):
            if stage == rank:
                yield from (m for m in (unit.modules or (unit.name,)) if m)

    return tuple(tuple(of(rank)) for rank in range(ranks))


def _copied_bytes(prepared: Prepared, stages: Sequence[int], names: Iterable[str]) -> int:
    graph = prepared.graph
    extra = {name: len({stages[unit] for unit in graph.readers(name)}) - 1 for name in names}
    held = prepared.traced.parameters
    return sum(count * held[name].elements * 4 for name, count in extra.items())


def _weights(prepared: Prepared, model: nn.Module) -> Mapping[str, Weight]:
    """Every parameter and buffer that the trace reads."""
    traced, saved = prepared.traced, model.state_dict()
    found = {}
    for name in dict.fromkeys(traced.reads.values()):
        held = traced.parameters[name]
        names = (name, *(n for n in (held.name, *held.aliases) if n != name))
        trainable = held.trainable and prepared.flow.trainable(name)
        found[name] = Weight(names, trainable, held.buffer, persistent=name in saved)
    return found
