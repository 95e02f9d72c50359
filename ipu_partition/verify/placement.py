"""Whether the annotations of a plan put every op and every weight where the plan says: shown by running them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from ..assemble import layers_per_ipu
from ..cost.segments import segments
from ..errors import UsageError
from ..host.masked import GATHER
from ..hosted import as_hosted
from ..layout import activation_parameters
from ..prepare import Prepared
from ..progress import Progress
from ..reopen import Reopened
from ..verified_parts import Placed
from ..workload import Mode
from .alignment import Place, Step, out_of_place
from .annotated import Annotated, RefusedError, annotated
from .poptorch_standin import Recording
from .replayed import Ran, replayed


def placed(reopened: Reopened, mode: Mode, progress: Progress | None = None) -> Placed | None:
    """Run the annotated model without values and compare every op and parameter with the plan, in the plan's mode.

    None where there is nothing to run: the plan has no blocks, or cuts a table that only the optimum class can cut.
    A wrong plan is a proof that failed. Raises :class:`UsageError` and :class:`TraceError` where the model of the plan
    is not the one at hand.
    """
    tell = progress or reopened.progress
    work, name = reopened.workload(mode), f"{reopened.spec.name} ({mode.value})"
    if not reopened.plan.mode(mode.value).blocks:
        tell(f"{name} has no blocks to run")
        return None
    prepared = reopened.prepared(mode)
    if as_hosted(prepared, work.serialisation, work.ipus).layout.origins:
        tell(f"{name} has a table in pieces on several IPUs, which parallelize.py leaves to the optimum class")
        return None
    tell(f"running the annotations of {name}")
    try:
        homes = reopened.assignment(mode, prepared)
    except UsageError as error:
        return _failed(str(error))
    try:
        ran = annotated(reopened, mode, prepared)
    except RefusedError as error:
        return _failed(str(error))
    return compared(reopened, mode, prepared, homes, ran)


def compared(reopened: Reopened, mode: Mode, prepared: Prepared, homes: Sequence[int], ran: Annotated) -> Placed:
    """The proof, of a model that `ran`; `homes`: the IPU of each unit by the plan."""
    record = ran.record
    runs = _merged(record)
    lost = list(out_of_place(_steps(prepared, homes, ran.modules), _ops(record, runs)))
    weights, found = _weights(reopened, mode, prepared, homes), record.parameter_ipus()
    wrong = [name for name in sorted({*weights, *found}) if weights.get(name, ()) != found.get(name, ())]
    first = [
        *(text for _, text in lost),
        *(_misplaced(name, found.get(name, ()), weights.get(name, ())) for name in wrong),
        *_never_begun(reopened, mode, record),
        *_other_stages(len(runs), [ipu for ipu, _ in groupby(homes)]),
        *_other_layers(reopened, mode, prepared, homes),
    ]
    said = [*first[:1], *ran.violations[:1]] if record.ops else ["the model ran no op at all"]
    return Placed(
        passed=not said,
        ops=len(record.ops),
        matched=len(record.ops) - sum(was_run for was_run, _ in lost),
        parameters=sum(len(ipus) == 1 and name not in wrong for name, ipus in found.items()),
        stages=len(runs),
        difference="; ".join(said) or None,
    )


def _failed(reason: str) -> Placed:
    return Placed(passed=False, ops=0, matched=0, parameters=0, stages=0, difference=reason)


def _steps(prepared: Prepared, homes: Sequence[int], modules: Mapping[str, str]) -> list[Step]:
    """What is to be run, in the order of the trace, and where by the plan."""
    runs = [run for run, (_, units) in enumerate(groupby(homes)) for _ in units]
    parts = segments(prepared.traced, prepared.layout.starts)
    places = {node: Place(homes[i], runs[i]) for i, part in enumerate(parts) for node in part.nodes}
    return [Step(_module(prepared, ran, modules), ran.name, places[ran.node]) for ran in replayed(prepared.traced)]


def _module(prepared: Prepared, ran: Ran, modules: Mapping[str, str]) -> str:
    path = next(iter(reversed(prepared.traced.owner(ran.node))), "")
    return modules.get(path, path)


def _merged(record: Recording) -> list[list[int]]:
    """The stages that ran, in order, those that follow each other on one IPU together; where a repeated id takes a
    stage to two IPUs, it is on the first."""
    ipu_of = {0: 0}
    for begin in record.begins:
        ipu_of.setdefault(begin.stage, begin.ipu)
    busy = {op.stage for op in record.ops}
    together = (list(stages) for _, stages in groupby(sorted(ipu_of), ipu_of.__getitem__))
    return [stages for stages in together if busy.intersection(stages)]


def _ops(record: Recording, runs: Sequence[Collection[int]]) -> list[Step]:
    """What was run; `runs`: the stages that are one. The gathering is no module of the model."""
    numbers = {stage: run for run, stages in enumerate(runs) for stage in stages}
    return [
        Step("" if op.module == GATHER else op.module, op.name, Place(op.ipu, numbers[op.stage]), op.module == GATHER)
        for op in record.ops
    ]


def _weights(reopened: Reopened, mode: Mode, prepared: Prepared, homes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The IPUs of each parameter by the plan: those of the units that read it, or of the one that copies it."""
    graph = prepared.graph
    copied = activation_parameters(prepared.layout, graph)
    return {
        name: tuple(sorted({homes[unit] for unit in ([copied[name]] if name in copied else graph.readers(name))}))
        for name, parameter in graph.parameters.items()
        if not parameter.buffer and graph.readers(name)
    }


def _other_layers(reopened: Reopened, mode: Mode, prepared: Prepared, homes: Sequence[int]) -> Iterator[str]:
    """What `ipu_config.json` tells the optimum class, where it is not what the stages have."""
    work, said = reopened.workload(mode), reopened.plan.mode(mode.value).layers_per_ipu
    counted = layers_per_ipu(as_hosted(prepared, work.serialisation, work.ipus), homes, work.ipus)
    if said != counted:
        yield f"layers_per_ipu is {said}, the stages of the plan have {counted}"


def _misplaced(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    return f"the parameter {name!r} is read on {_ipus(found)}, the plan has it on {_ipus(wanted)}"


def _ipus(ipus: tuple[int, ...]) -> str:
    return f"IPU{'s' if len(ipus) > 1 else ''} {', '.join(map(str, ipus))}" if ipus else "no IPU"


def _never_begun(reopened: Reopened, mode: Mode, record: Recording) -> Iterator[str]:
    begun = {(begin.user_id, begin.ipu) for begin in record.begins}
    for block in reopened.plan.blocks(mode.value):
        if (block.user_id, block.ipu) not in begun:
            yield f"the block {block.user_id!r} at {block.module!r} never begins"


def _other_stages(count: int, wanted: Sequence[int]) -> Iterator[str]:
    if count != len(wanted):
        yield f"{count} stages ran, the plan has {len(wanted)}, on IPUs {', '.join(map(str, wanted))}"
