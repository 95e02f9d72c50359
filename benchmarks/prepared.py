"""Cost graphs of published records, made once: in several processes, and kept on disk where a folder is named.

`IPU_PARTITION_FIDELITY_CACHE` names the folder. What is kept there depends on the record and on the code that makes
cost graphs, so that nothing stale is read.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.records import Record, model_key
from ipu_partition.errors import PartitionError
from ipu_partition.prepare import Prepared, prepare, target_of
from ipu_partition.request import Request
from ipu_partition.workload import Mode

CACHE_VARIABLE = "IPU_PARTITION_FIDELITY_CACHE"
PACKAGE = Path(__file__).resolve().parent.parent / "ipu_partition"
MADE_BY = ("cost", "families", "host", "models", "trace", "layout.py", "prepare.py", "declared.py")
"""The parts of the package that a cost graph depends on."""

_made: dict[str, Prepared | str] = {}
"""By the record's key; a text where the model cannot be prepared so."""


def request_of(record: Record) -> Request:
    """The record in the words of the package. UsageError where it makes no sense."""
    given = record["ipu_config"]
    pieces = {name: given[name] for name in given if name.startswith(("embedding_", "projection_", "serialized_"))}
    dtypes = {name: record[name] for name in record if name.endswith("accum_type")}
    return Request(
        ipus=given["ipus_per_replica"],
        mode=record["mode"],
        task=record["task"],
        config=record["config"] or None,
        micro_batch_size=record["micro_batch_size"],
        replicas=given["replication_factor"],
        gradient_accumulation=given.get("gradient_accumulation_steps"),
        optimizer=record.get("optimizer", "adamw"),
        optimizer_state_offchip=given.get("optimizer_state_offchip"),
        replicated_tensor_sharding=given.get("replicated_tensor_sharding", False),
        recompute_checkpoint_every_layer=given.get("recompute_checkpoint_every_layer", True),
        precision=record["precision"],
        matmul_proportion=given["matmul_proportion"],
        outlining=record.get("outlining", True),
        layers=given["layers_per_ipu"],
        idle=True,
        **record["shapes"],
        **pieces,
        **dtypes,
    )


def prepared_of(record: Record) -> Prepared:
    """The model of the record, ready to be planned. PartitionError where it cannot be."""
    key = model_key(record)
    if key not in _made:
        _made[key] = _kept(record)
    found = _made[key]
    if isinstance(found, str):
        raise PartitionError(found)
    return found


def prepare_all(wanted: Iterable[Record], jobs: int) -> None:
    """Makes what is not made yet, in `jobs` processes."""
    missing = {key: record for record in wanted if (key := model_key(record)) not in _made}
    if jobs < 2 or len(missing) < 2:
        _made.update({key: _kept(record) for key, record in missing.items()})
        return
    with processes(jobs) as pool:
        _made.update(zip(missing, pool.map(_kept, missing.values()), strict=True))


def processes(jobs: int) -> ProcessPoolExecutor:
    """A pool whose processes know all cost graphs made so far."""
    return ProcessPoolExecutor(jobs, mp_context=get_context("fork"))


def _kept(record: Record) -> Prepared | str:
    """From disk where it is there."""
    if not os.environ.get(CACHE_VARIABLE):
        return _make(record)
    folder = Path(os.environ[CACHE_VARIABLE])
    path = folder / f"{hashlib.sha256(f'{model_key(record)}{code_digest()}'.encode()).hexdigest()}.pickle"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(_make(record)))
        unfinished.replace(path)
    loaded: Prepared | str = pickle.loads(path.read_bytes())
    return loaded


@cache
def code_digest() -> str:
    """Of the code and the tables that make cost graphs."""
    contents = hashlib.sha256()
    for part in MADE_BY:
        whole = PACKAGE / part
        for file in sorted(whole.rglob("*") if whole.is_dir() else [whole]):
            if file.suffix in (".py", ".json"):
                contents.update(file.read_bytes())
    return contents.hexdigest()


def _make(record: Record) -> Prepared | str:
    import torch

    from ipu_partition.models import resolve

    torch.set_num_threads(1)
    try:
        request = request_of(record)
        spec = resolve(record["model"], task=record["task"], config=record["config"] or None)
        made = prepare(spec, request, Mode(record["mode"]), target_of(spec, request), _silent)
    except PartitionError as error:
        return str(error)
    nothing: Any = None  # they are large, and nothing here reads them
    return replace(made, traced=nothing, flow=nothing)


def _silent(_: str) -> None:
    """Progress that nobody watches."""
