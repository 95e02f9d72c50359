"""Fitting constants of the time model to measured rates, and leaving out one family at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from benchmarks import prepared, records
from benchmarks.judging import predictions
from benchmarks.records import Record
from ipu_partition.errors import PartitionError
from ipu_partition.machine.constants import TIME, TimeModel

FITTED = tuple(f.name for f in fields(TimeModel))
"""Constants that are fitted; the others come from elsewhere."""
HOLD = 0.05
"""Weight of a constant's own value beside one rate, in squared logarithms: what the rates do not determine stays."""
ROUNDS = 8
STEP = 1e-3
"""Of a logarithm, for derivatives."""
ENOUGH = 1e-3
"""Change of all logarithms that ends the fit."""

Fit = Callable[[Sequence[Record]], TimeModel]


def fit(rates: Sequence[Record], names: Sequence[str] = FITTED, start: TimeModel = TIME) -> TimeModel:
    """The constants `names` with the least squared logarithmic errors of `rates`, each held near `start`.

    Levenberg and Marquardt's method on the logarithms; deterministic.
    """
    import numpy as np

    at = np.zeros(len(names))
    damping = 1e-2
    left = np.array(_residuals(rates, names, start, at))
    for _ in range(ROUNDS):
        slopes = np.empty((len(left), len(names)))
        for i in range(len(names)):
            moved = at.copy()
            moved[i] += STEP
            slopes[:, i] = (np.array(_residuals(rates, names, start, moved)) - left) / STEP
        normal = slopes.T @ slopes
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slopes.T @ left)
        tried = np.array(_residuals(rates, names, start, at + step))
        if tried @ tried < left @ left:
            at, left, damping = at + step, tried, damping / 4
        else:
            damping *= 8
        if float(np.abs(step).max()) < ENOUGH:
            break
    return scaled(start, names, at)


def scaled(start: TimeModel, names: Sequence[str], logarithms: Sequence[float]) -> TimeModel:
    """`start` with each named constant times the exponential."""
    values: dict[str, Any] = {}
    for name, logarithm in zip(names, logarithms, strict=True):
        values[name] = getattr(start, name) * math.exp(float(logarithm))
    return replace(start, **values)


def _residuals(
    rates: Sequence[Record], names: Sequence[str], start: TimeModel, logarithms: Sequence[float]
) -> list[float]:
    found = predictions(scaled(start, names, logarithms), rates)
    misses = [math.log(p / r["samples_per_second"]) for p, r in zip(found, rates, strict=True)]
    return [*misses, *(math.sqrt(HOLD) * float(logarithm) for logarithm in logarithms)]


def leave_one_family_out(rates: Sequence[Record], make: Fit = fit, jobs: int = 2) -> list[dict[str, Any]]:
    """Each rate predicted with constants fitted to the other families' rates."""
    families = sorted({rate["family"] for rate in rates})
    prepared.prepare_all([records.run_of(rate) for rate in rates], jobs)
    rest = [[rate for rate in rates if rate["family"] != family] for family in families]
    with prepared.processes(jobs) as pool:
        models = list(pool.map(make, rest))
    rows = []
    for family, model in zip(families, models, strict=True):
        out = [rate for rate in rates if rate["family"] == family]
        for rate, predicted in zip(out, predictions(model, out), strict=True):
            measured = rate["samples_per_second"]
            rows.append(
                {
                    "id": rate["id"],
                    "family": family,
                    "predicted": predicted,
                    "measured": measured,
                    "error_share": predicted / measured - 1,
                    "constants": {name: getattr(model, name) for name in FITTED},
                }
            )
    return rows


def counted_rates() -> list[Record]:
    """Those that score and can be predicted."""
    return [rate for rate in records.rates() if rate["counted"] and _predictable(rate)]


def _predictable(rate: Record) -> bool:
    try:
        prepared.prepared_of(records.run_of(rate))
    except PartitionError:
        return False
    return True
