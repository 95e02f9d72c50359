"""What was proved of a plan, on the terminal: each proof with its figure, and the first difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .tables import table, words

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..plan import PartitionPlan
    from ..plan_parts import ModeName
    from ..verified_parts import Equivalent, Peaked, Placed, Verification


def render_verified(plan: PartitionPlan, proofs: Mapping[ModeName, Verification]) -> RenderableType:
    """The verdict, then a table for each mode of `proofs`."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [words(_head(plan), "bold")]
    if not plan.fits:
        parts.append(words("It does not fit into memory: what is verified is what it computes.", "yellow"))
    for name, mode in plan.modes().items():
        if name in proofs:
            parts += [Text(), words(name.capitalize(), "bold underline"), *_mode(proofs[name])]
        elif not mode.stages:
            parts += [Text(), words(f"{name.capitalize()} has no cut to verify.", "yellow")]
    return Group(*parts, Text(), _verdict(proofs))


def verified_lines(plan: PartitionPlan) -> list[RenderableType]:
    """A line for each mode that was verified."""
    modes = {} if plan.verified is None else plan.verified.modes()
    return [words(_line(name, proofs), "green" if proofs.passed else "bold red") for name, proofs in modes.items()]


def _line(name: str, proofs: Verification) -> str:
    if proofs.passed:
        return f"Verified, {name}: {', '.join(proofs.proofs())} passed"
    return f"Verification FAILED, {name}: {proofs.first_difference}"


def _head(plan: PartitionPlan) -> str:
    what = "IPU" if plan.machine.devices is None else "device"
    where = ", ".join(f"{name} on {_many(mode.workload.ipus, what)}" for name, mode in plan.modes().items())
    return f"{plan.model.name} ({plan.model.architecture}): {where}"


def _verdict(proofs: Mapping[ModeName, Verification]) -> RenderableType:
    failed = [(name, one.first_difference) for name, one in proofs.items() if not one.passed]
    if not failed:
        return words(f"VERIFIED: {' and '.join(proofs)}", "bold green")
    name, difference = failed[0]
    return words(f"FAILED: {name}, {difference}", "bold red")


def _mode(proofs: Verification) -> list[RenderableType]:
    """A row for each figure; the first of a proof says how it went."""
    made = proofs.proofs()
    no_peak = "measured of IPUs only" if proofs.equivalence else "nothing was run"
    figures = {
        "placement": _placed(proofs.placement) if proofs.placement else ["no blocks that parallelize.py begins"],
        "equivalence": _equivalent(proofs.equivalence) if proofs.equivalence else ["the plan is not of these units"],
        "peak": _peaked(proofs.peak) if proofs.peak else [no_peak],
    }
    results = {name: "passed" if proof.passed else "FAILED" for name, proof in made.items()}
    rows = [
        (*((name.capitalize(), results.get(name, "not run")) if i == 0 else ("", "")), text)
        for name, texts in figures.items()
        for i, text in enumerate(texts)
    ]
    return [table(("Proof", "Result", "Figures"), rows, left=("Proof", "Result"), wrap=("Figures",)), *_notes(proofs)]


def _notes(proofs: Verification) -> list[RenderableType]:
    notes = proofs.equivalence.notes if proofs.equivalence is not None else []
    more = proofs.peak.explained if proofs.peak is not None else {}
    kept = [f"PyTorch alone keeps {bytes_:,} bytes of {op}" for op, bytes_ in sorted(more.items())]
    return [words(f"Note: {note}") for note in (*notes, *kept)]


def _placed(proof: Placed) -> list[str]:
    return [
        f"{proof.matched:,} of {_many(proof.ops, 'op')} where the plan says",
        f"{_many(proof.parameters, 'parameter')} on one IPU each",
        f"{_many(proof.stages, 'stage')} in order, none empty",
    ]


def _equivalent(proof: Equivalent) -> list[str]:
    gradients = f" and {_many(proof.gradients, 'gradient')}" if proof.gradients else ""
    return [
        f"{_many(proof.outputs, 'output')}{gradients} compared",
        f"largest difference {_figure(proof.max_absolute)}, relative {_figure(proof.max_relative)} "
        f"(tolerance {_figure(proof.tolerance)})",
        f"{_many(proof.boundary_tensors, 'tensor')} crossed stages: {proof.boundary_bytes:,} bytes, "
        f"{proof.planned_bytes:,} by the plan",
    ]


def _peaked(proof: Peaked) -> list[str]:
    """Of all IPUs together; what is 0 by the plan and by the run is not shown."""
    shown = {"saved": "saved_bytes", "stashed": "stash_bytes", "received": "received_bytes"}
    found = []
    for text, name in shown.items():
        measured, planned = (sum(getattr(row, field) for row in proof.ipus) for field in (name, f"planned_{name}"))
        if measured or planned:
            found.append(f"{text} {measured:,} bytes, {planned:,} by the plan")
    return found or ["nothing is kept or received"]


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _figure(value: float | None) -> str:
    return "no number" if value is None else f"{value:.2g}"
