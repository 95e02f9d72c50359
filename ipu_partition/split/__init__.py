"""The stages of a traced model as programs that run: what a pipeline computes, without the devices."""

from .draws import draws, seeded
from .pieces import Argument, Piece, Split, Value, split, whole
from .real import real_model
from .run import Run, run_backward, run_forward
from .values import bind, example_values

__all__ = [
    "Argument", "Piece", "Run", "Split", "Value", "bind", "draws", "example_values", "real_model", "run_backward",
    "run_forward", "seeded", "split", "whole",
]  # fmt: skip
