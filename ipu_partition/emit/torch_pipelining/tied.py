"""Weights that several stages hold: one value everywhere, and the gradients of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from .module import StageModule


class Copies:
    """Keeps the copies of a weight on several ranks equal. To be made on every rank, by all at the same time."""

    def __init__(self, module: StageModule, group: dist.ProcessGroup | None = None) -> None:
        """Stage n is on rank n of `group`. The first rank that holds a weight gives the others its value."""
        shared = sorted((w.names[0], w.holders) for w in module.ipu_link.weights if w.summed)
        groups = {ranks: _group(ranks, group) for ranks in sorted({ranks for _, ranks in shared})}
        self._shared = [(module.get_parameter(name), groups[ranks]) for name, ranks in shared]
        with torch.no_grad():
            for parameter, among in self._shared:
                dist.broadcast(parameter, group=among, group_src=0)

    def sum_gradients(self) -> None:
        """After the backward pass and before the step of the optimizer. Every rank has the same sum then."""
        for parameter, among in self._shared:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad, group=among)


def _group(ranks: tuple[int, ...], group: dist.ProcessGroup | None) -> dist.ProcessGroup:
    everyone = group or dist.group.WORLD
    assert everyone is not None
    members = [dist.get_global_rank(everyone, rank) for rank in ranks]
    made = dist.new_group(members, use_local_synchronization=True)
    assert isinstance(made, dist.ProcessGroup)
    return made
