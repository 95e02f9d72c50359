"""Published configurations, rates and measured compiles: `data/*.json`, read.

Every record says where it is from. A configuration names a model and a workload as `ipu_partition` does, and its
`ipu_config` in the words of optimum-graphcore. `known_to_fit` is null where nobody says; `optimizer_state_offchip` is
null where the source does not say, and then left to choose. A rate names a configuration and what is changed of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
DATA = Path(__file__).resolve().parent / "data"
MODEL_FIELDS = ("model", "config", "task", "mode", "micro_batch_size", "shapes", "precision")
"""What the cost graph of a record depends on."""


@cache
def configurations() -> tuple[Record, ...]:
    return tuple(_read("configurations")["configurations"])


@cache
def rates() -> tuple[Record, ...]:
    return tuple(_read("rates")["rates"])


@cache
def compiles() -> tuple[Record, ...]:
    return tuple(_read("compiles")["compiles"])


def left_out() -> Iterator[Record]:
    """Known records that are not judged: `id`, `reason` and `source`."""
    for name in ("configurations", "rates"):
        yield from _read(name)["left_out"]


def run_of(rate: Record) -> Record:
    """The configuration whose rate was measured: a published one with the rate's changes."""
    base = next(c for c in configurations() if c["id"] == rate["config"])
    changes = dict(rate["changes"])
    nested = {name: {**base[name], **changes.pop(name)} for name in ("ipu_config", "config") if name in changes}
    return {**base, **changes, **nested, "id": rate["id"], "machine": rate["machine"]}


def model_key(record: Record) -> str:
    """Records with the same key have the same cost graph."""
    return json.dumps([record[name] for name in MODEL_FIELDS], sort_keys=True)


@cache
def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return loaded
