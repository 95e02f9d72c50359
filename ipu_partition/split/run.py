"""Running pieces one after the other, forward and then backward, as a pipeline does: what crosses is cut off from the
graph of autograd and its gradient is handed back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from .pieces import Argument, Piece, Split

Execute = Callable[[Piece, Sequence[torch.Tensor]], Sequence[torch.Tensor]]


def _call(piece: Piece, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    made: Sequence[torch.Tensor] = piece.module(*tensors)
    return made


@dataclass
class Run:
    """What one pass through the pieces made."""

    split: Split
    leaves: Mapping[Argument, torch.Tensor]
    """Inputs and parameters."""
    returned: dict[str, torch.Tensor] = field(default_factory=dict)
    """Values, with the graph of autograd of the piece that made them."""
    received: dict[tuple[int, str], torch.Tensor] = field(default_factory=dict)
    """(Piece, value) -> what it computed with."""
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)
    """Of values that crossed, summed over their readers."""

    def results(self) -> list[torch.Tensor]:
        """The model's outputs."""
        return [self.returned[a.name] if a.kind == "value" else self.leaves[a] for a in self.split.results]


def run_forward(
    split: Split,
    inputs: Mapping[str, torch.Tensor],
    parameters: Mapping[str, torch.Tensor],
    execute: Execute = _call,
) -> Run:
    """`execute` runs one piece; autograd is on where the caller has it on."""
    leaves = {Argument("input", name): value for name, value in inputs.items()}
    leaves |= {Argument("parameter", name): value for name, value in parameters.items()}
    run = Run(split, leaves)
    for piece in split.pieces:
        made = execute(piece, [_given(run, piece, argument) for argument in piece.arguments])
        run.returned |= dict(zip(piece.returns, made, strict=True))
    return run


def _given(run: Run, piece: Piece, argument: Argument) -> torch.Tensor:
    if argument.kind != "value":
        return run.leaves[argument]
    sent = run.returned[argument.name]
    leaf = sent.detach().requires_grad_(sent.requires_grad)
    run.received[piece.index, argument.name] = leaf
    return leaf


def run_backward(run: Run, gradients: Mapping[str, torch.Tensor]) -> None:
    """Backward from values that are results, by their `gradients`; those of parameters are added to their `.grad`."""
    pending = dict(gradients)
    for piece in reversed(run.split.pieces):
        names = [n for n in piece.returns if n in pending and run.returned[n].requires_grad]
        torch.autograd.backward([run.returned[n] for n in names], [pending[n] for n in names])
        for name in piece.reads("value"):
            gradient = run.received[piece.index, name].grad
            if gradient is not None:
                pending[name] = pending[name] + gradient if name in pending else gradient
    run.gradients = {v.name: pending[v.name] for v in run.split.values if v.name in pending}
