"""Small models that are planned in a fraction of a second, and a batch of them in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ipu_partition.batch import Batch, Engine, Entry, batch
from ipu_partition.batch.job import Job, Outcome, Place
from ipu_partition.batch.worker import work

from ..end_to_end.families import FAMILIES, small_options

HERE = Engine("sequential")
"""No processes: torch is loaded already."""
WIDE = {"n_layer": 4, "n_embd": 2048, "n_head": 2, "vocab_size": 120}
"""Of GPT-2: 0.4 GB of weights and little else. Training needs two IPUs, inference one."""


_LAYERS = {"n_layer", "num_hidden_layers", "num_layers", "num_decoder_layers"}
_ANSWERS: dict[tuple[str, Place], Outcome] = {}


def small(family: str, **options: Any) -> Entry:
    """With two layers."""
    asked = small_options(family)
    config = {name: 2 if name in _LAYERS else value for name, value in dict(asked["config"]).items()}  # type: ignore[call-overload]
    return Entry(FAMILIES[family], {**asked, "config": config, **options}, "the test")


def listed(folder: Path, *families: str, more: str = "") -> Path:
    """A list of small models; what is named again has a larger micro-batch."""
    times = [families[:n].count(family) for n, family in enumerate(families)]
    entries = [small(f, **({"micro_batch_size": n + 1} if n else {})) for f, n in zip(families, times, strict=True)]
    file = folder / "models.jsonl"
    file.write_text("".join(json.dumps({"model": e.model, **e.options}) + "\n" for e in entries) + more)
    return file


def remembered(job: Job) -> list[Outcome]:
    """What `work` makes of it, each answer being found once for all tests."""
    key = repr(replace(job, places=()))
    new = tuple(place for place in job.places if (key, place) not in _ANSWERS)
    if new:
        _ANSWERS.update({(key, place): found for place, found in zip(new, work(replace(job, places=new)), strict=True)})
    return [_ANSWERS[key, place] for place in job.places]


def wide(**options: Any) -> Entry:
    return Entry("gpt2", {"config": WIDE, "sequence_length": 16, **options}, "the test")


def run(entries: Sequence[Entry], output: Path, pods: Sequence[int] = (4,), **options: Any) -> Batch:
    return batch(entries, output, pods=pods, engine=HERE, **options)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def times(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in sorted(root.rglob("*")) if p.is_file()}
