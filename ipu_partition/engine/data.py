"""The data a model is trained on: random, and the same wherever and in whatever order it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..models import ModelSpec
from ..prepare import Prepared
from ..split import example_values

_STEPS = 1 << 20
_BATCHES = 1 << 10


def number(seed: int, step: int, micro_batch: int) -> int:
    """A whole number below 2**63 for each micro-batch of a run, from which its data and all else random follow."""
    return ((seed * _STEPS + step % _STEPS) * _BATCHES + micro_batch % _BATCHES) % (1 << 63)


def numbers(seed: int, step: int, micro_batches: int) -> list[int]:
    """Of all micro-batches of a step."""
    return [number(seed, step, m) for m in range(micro_batches)]


def micro_batches(prepared: Prepared, spec: ModelSpec, seeds: Sequence[int]) -> list[dict[str, torch.Tensor]]:
    """The inputs of the model in each micro-batch; those that the user gave are the same in all."""
    given = {name: value for name, value in (spec.example_inputs or {}).items() if value.device.type == "cpu"}
    made = (example_values(prepared.flow, seed) for seed in seeds)
    return [{name: given.get(name, value) for name, value in batch.items()} for batch in made]


def together(batches: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """One behind the other, as a schedule cuts them apart again."""
    return {name: torch.cat([b[name] if b[name].dim() else b[name][None] for b in batches]) for name in batches[0]}
