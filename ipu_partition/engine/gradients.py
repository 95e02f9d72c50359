"""The gradients of the first step, by which a pipeline is compared with one process: an update of Adam hides their
scale, and the loss of a few steps what is missing from them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .files import gradients_file

if TYPE_CHECKING:
    from torch import nn

FLOOR = 1e-3
"""Share of a typical gradient below which one is zero but for rounding."""


def norms(parameters: Iterable[tuple[str, nn.Parameter]]) -> dict[str, float]:
    """Euclidean norm of each gradient, in double precision; of parameters without one, 0."""
    return {name: 0.0 if p.grad is None else float(p.grad.double().norm()) for name, p in parameters}


def handed_in(folder: Path, ranks: int) -> list[dict[str, float]]:
    """What each rank had, its weights by their first names."""
    return [json.loads(gradients_file(folder, rank).read_text()) for rank in range(ranks)]


def furthest(piped: Iterable[Mapping[str, float]], alone: Mapping[str, float]) -> tuple[str, float]:
    """The weight whose gradient differs most, and by which share of it; every rank that holds a weight counts."""
    floor = FLOOR * statistics.median(alone.values()) if alone else 0.0
    found = dict.fromkeys(alone, 0.0)
    for rank in piped:
        for name, norm in rank.items():
            wanted = alone.get(name, 0.0)
            scale = max(wanted, floor)
            share = abs(norm - wanted) / scale if scale else math.inf if norm else 0.0
            found[name] = max(found.get(name, 0.0), math.inf if math.isnan(share) else share)
    return max(found.items(), key=lambda one: one[1], default=("", 0.0))
