"""Losses that cannot be traced, as units with declared costs."""

from __future__ import annotations

from dataclasses import replace

from .cost.graph import CostGraph, TensorCost, UnitCost, Work

LOSS_UNIT = "(declared loss)"
PASSES = {"ctc": 4, "contrastive": 4}
"""Passes over the logits, forward. CTC: log-softmax reads and writes them, the forward and the backward recursion
over the alignment lattice read them again. Contrastive: similarities with every negative read and write as much."""


def add_declared_loss(graph: CostGraph, kind: str) -> CostGraph:
    """`graph` with one more unit that reads the model's outputs, made by its last unit, and returns a scalar.

    Its bytes follow from the logits: they are read, their log-probabilities are kept for the backward pass, and
    their gradient is as large again.
    """
    last = len(graph.units) - 1
    logits = graph.units[last].result_bytes
    work = Work(
        "loss", f"{kind}_loss", 1, 0, 0, PASSES[kind] * logits, 2 * logits,
        forward_live_bytes=2 * logits, backward_live_bytes=2 * logits,
    )  # fmt: skip
    unit = UnitCost(LOSS_UNIT, (), (work,), (), logits, 0, 2 * logits, 2 * logits, 0)
    tensor = TensorCost(f"{kind} logits", last, (last + 1,), logits, logits)
    counted = {**graph.audit.counted, f"{kind}_loss (declared)": 1}
    return replace(
        graph,
        units=(*graph.units, unit),
        tensors=(*graph.tensors, tensor),
        audit=replace(graph.audit, counted=dict(sorted(counted.items()))),
    )
