"""What the memory and time models say of published records.

    from benchmarks.judging import evaluate
    found = evaluate(memory_model=MemoryModel(...), time_model=TimeModel(...))

`found["memory"]`, `["compiles"]`, `["rates"]` and `["plans"]` have a row for each record. Tracing takes minutes the
first time (see `prepared`); after that, other constants take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import records
from benchmarks.prepared import prepare_all, prepared_of, request_of
from benchmarks.records import Record
from ipu_partition.demands import Demands
from ipu_partition.errors import PartitionError
from ipu_partition.layout import layer_units
from ipu_partition.machine import Machine, device_terms, machine, make_problem, needed_bytes, update_us
from ipu_partition.machine.constants import MEMORY, TIME, MemoryModel, TimeModel
from ipu_partition.rates import throughput
from ipu_partition.solve import Solved, attempt, solve_for, workload
from ipu_partition.workload import Mode, Target
from planners import Optimal
from planners.evaluate import TIE, Evaluation
from planners.uniform import Uniform

Row = dict[str, Any]
PARTS = ("memory", "compiles", "rates", "plans")
PLANNER = "chain{time_limit=20}"
CODE = ("vertex_code", "vertex_state", "exchange_code", "control_code")
"""Terms of memory that are no variables."""
C600_CLOCK_HZ = 1_500_000_000
"""graphcore/PopRT:tools/calc_ipu_utilization.py."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A record's own layers, measured by our ruler."""

    record: Record
    solved: Solved

    @property
    def evaluation(self) -> Evaluation:
        found = self.solved.evaluation
        if found is None:
            raise PartitionError("its layers are no plan")
        return found

    @property
    def terms(self) -> list[Mapping[str, int]]:
        """Bytes in use on each IPU, by term."""
        devices = range(len(self.evaluation.devices))
        return [device_terms(self.solved.costing, self.evaluation, i) for i in devices]

    @property
    def needed_bytes(self) -> list[int]:
        """All terms and the gaps, on each IPU: beyond the capacity, it runs out of memory."""
        return [needed_bytes(self.solved.costing, sum(terms.values())) for terms in self.terms]


@contextmanager
def constants(memory_model: MemoryModel, time_model: TimeModel) -> Iterator[None]:
    """Everything inside is predicted with these instead of the package's own: they are defaults of `make_problem`."""
    defaults: dict[str, Any] = make_problem.__kwdefaults__ or {}
    before = dict(defaults)
    defaults.update(memory_model=memory_model, time_model=time_model)
    try:
        yield
    finally:
        defaults.update(before)


def kind_of(name: str) -> Machine:
    """A machine of the package, or the C600 card: a Mk2 with another clock."""
    if name != "c600":
        return machine(name)
    mk2 = machine("mk2")
    clocked = ("fp16_flops_per_s", "fp32_flops_per_s", "sram_bytes_per_s", "exchange_bytes_per_s")
    faster = {rate: int(getattr(mk2, rate) * C600_CLOCK_HZ / mk2.clock_hz) for rate in clocked}
    return replace(mk2, name="c600", title="C600", clock_hz=C600_CLOCK_HZ, **faster)


def judge(record: Record) -> Judged:
    """Where the place of the optimizer state is open: on chip if that fits, else off chip. PartitionError where the
    layers are no plan."""
    prepared, request = prepared_of(record), request_of(record)
    pipelined_inference = record["mode"] == "inference" and record["ipu_config"]["execution_mode"] == "pipelined"
    target = Target.POPTORCH if pipelined_inference else Target.OPTIMUM
    work = workload(prepared, request, request.ipus or 1, target)
    state_open = request.optimizer_state_offchip is None
    kind, demands = kind_of(record["machine"]), request.demands
    solved = attempt(prepared, work, kind, Uniform(), demands=demands, state_open=state_open, compare=False)
    return Judged(record, solved)


def replan(judged: Judged) -> Solved:
    """Our plan for the same workload, free to choose the layers; IPUs may be left empty if theirs are."""
    solved, kind = judged.solved, kind_of(judged.record["machine"])
    demands = Demands(idle={*(solved.assignment or ())} != {*range(solved.workload.ipus)})
    return solve_for(solved.prepared, solved.workload, kind, PLANNER, demands=demands, compare=False)


def evaluate(
    memory_model: MemoryModel = MEMORY,
    time_model: TimeModel = TIME,
    *,
    only: Sequence[str] = PARTS,
    ids: Collection[str] | None = None,
    jobs: int = 2,
) -> dict[str, list[Row]]:
    """Rows of the parts asked for; `ids`: of these records alone. What cannot be judged has an `error`."""
    wanted = {part: [pair for pair in _RECORDS[part]() if ids is None or pair[1]["id"] in ids] for part in only}
    prepare_all([record for pairs in wanted.values() for record, _ in pairs], jobs)
    with constants(memory_model, time_model):
        return {part: [row for pair in pairs for row in _rows(part, *pair)] for part, pairs in wanted.items()}


def predictions(time_model: TimeModel, rates: Sequence[Record]) -> list[float]:
    """Samples per second of each rate's run."""
    with constants(MEMORY, time_model):
        return [_samples_per_second(judge(records.run_of(rate))) for rate in rates]


def _rows(part: str, record: Record, source: Record) -> list[Row]:
    try:
        return _MAKE[part](judge(record), source)
    except PartitionError as error:
        return [_told(source, "id", "family", "known_to_fit", "counted", "fitted") | {"error": str(error)}]


def _told(source: Record, *names: str) -> Row:
    return {name: source[name] for name in names if name in source}


def _memory(judged: Judged, source: Record) -> list[Row]:
    needed, capacity = judged.needed_bytes, judged.solved.costing.machine.capacity_bytes
    fullest = max(range(len(needed)), key=lambda ipu: (needed[ipu], -ipu))
    row = _told(source, "id", "family", "mode", "known_to_fit", "evidence")
    row |= {
        "layers_per_ipu": source["ipu_config"]["layers_per_ipu"],
        "optimizer_state_offchip": judged.solved.workload.optimizer_state_offchip,
        "fits": judged.solved.fits,
        "fullest_ipu": fullest,
        "fullest_share": needed[fullest] / capacity,
        "margin_bytes": capacity - needed[fullest],
        "shares": [bytes_ / capacity for bytes_ in needed],
        "terms": dict(judged.terms[fullest]),
    }
    return [row]


def _compiles(judged: Judged, source: Record) -> list[Row]:
    return [_compile(judged, source, measured) for measured in source["measured"]]


def _compile(judged: Judged, source: Record, measured: Record) -> Row:
    terms = dict(judged.terms[measured["ipu"]])
    imbalance = terms.pop("imbalance")  # of the fullest tile; what is measured are sums over tiles
    parts = {"variables": sum(bytes_ for name, bytes_ in terms.items() if name not in CODE)}
    parts |= {name: terms[name] for name in CODE}
    predicted = sum(parts[name] for name in measured["terms"] or parts)
    tiles = judged.solved.costing.machine.tiles
    tile = (sum(terms.values()) + imbalance) // tiles
    return _told(source, "id", "limit") | {
        "what": measured["what"],
        "measured_bytes": measured["bytes"],
        "predicted_bytes": predicted,
        "error_share": predicted / measured["bytes"] - 1,
        "measured_terms": measured["terms"],
        "predicted_terms": parts,
        "measured_tile_bytes": measured.get("max_tile_bytes"),
        "predicted_tile_bytes": tile,
        "terms": terms,
    }


def _samples_per_second(judged: Judged) -> float:
    rate = throughput(judged.solved)
    return 0.0 if rate is None else rate.samples_per_second


def _rates(judged: Judged, source: Record) -> list[Row]:
    measured, predicted = source["samples_per_second"], _samples_per_second(judged)
    training = judged.solved.workload.mode is Mode.TRAINING
    return [
        _told(source, "id", "family", "machine", "fitted", "counted", "reason", "config", "platform")
        | {
            "measured": measured,
            "predicted": predicted,
            "error_share": predicted / measured - 1,
            "cycle_us": judged.evaluation.objective_us,
            "ipu_us": [device.time_us for device in judged.evaluation.devices],
            "update_us": update_us(judged.solved.costing) if training else 0.0,
        }
    ]


def _plans(judged: Judged, source: Record) -> list[Row]:
    theirs, plan = judged.evaluation.objective_us, replan(judged)
    if plan.evaluation is None:
        raise PartitionError("no plan was found")
    ratio = plan.evaluation.objective_us / theirs
    same = plan.assignment == judged.solved.assignment
    return [
        _told(source, "id", "family")
        | {
            "their_layers": source["ipu_config"]["layers_per_ipu"],
            "our_layers": _layers(plan),
            "their_fit": judged.solved.fits,
            "our_fit": plan.fits,
            "proved": isinstance(plan.solution, Optimal),
            "their_us": theirs,
            "our_us": plan.evaluation.objective_us,
            "ratio": ratio,
            "verdict": "reproduced"
            if same
            else "tied"
            if abs(ratio - 1) <= TIE
            else "better"
            if ratio < 1
            else "worse",
        }
    ]


def _layers(solved: Solved) -> list[int]:
    counted = layer_units(solved.prepared.layout, solved.prepared.graph)
    homes = solved.assignment or ()
    return [sum(homes[unit] == ipu for unit in counted) for ipu in range(solved.workload.ipus)]


Pairs = Iterator[tuple[Record, Record]]
"""What is judged, and the record that says what is known of it."""


def _themselves(found: Sequence[Record]) -> Pairs:
    return ((record, record) for record in found)


_RECORDS: Mapping[str, Callable[[], Pairs]] = {
    "memory": lambda: _themselves(records.configurations()),
    "compiles": lambda: _themselves(records.compiles()),
    "rates": lambda: ((records.run_of(rate), rate) for rate in records.rates()),
    "plans": lambda: _themselves([c for c in records.configurations() if len(c["ipu_config"]["layers_per_ipu"]) > 1]),
}
_MAKE: Mapping[str, Callable[[Judged, Record], list[Row]]] = {
    "memory": _memory,
    "compiles": _compiles,
    "rates": _rates,
    "plans": _plans,
}
