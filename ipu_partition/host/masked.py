"""Heads that are applied to the masked tokens of a sample alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..families.table import FamilyRule, MaskedTokens
from ..trace import TracedModel

if TYPE_CHECKING:
    import torch
    from torch import fx, nn

GATHER = "gather_indices"
"""The module of that name in the optimum classes, where the one-hot product is."""

PROBABILITY, DEVIATIONS, MULTIPLE = 0.15, 2, 16


def collator_tokens(sequence_length: int) -> int:
    """Most tokens of a sample that optimum's data collator masks: the mean and two standard deviations of a binomial
    distribution, rounded up to a multiple of 16, at most all.

    Source: huggingface/optimum-graphcore:optimum/graphcore/data/data_collator.py (v0.7.1),
    `_calculate_max_num_masked_tokens`, with the `mlm_probability` of Transformers' collator.
    """
    mean = sequence_length * PROBABILITY
    deviation = math.sqrt(sequence_length * PROBABILITY * (1 - PROBABILITY))
    return min(sequence_length, math.ceil((mean + DEVIATIONS * deviation) / MULTIPLE) * MULTIPLE)


@dataclass(frozen=True, slots=True)
class MaskedHead:
    """One head, and how many tokens of a sample it is applied to."""

    rule: MaskedTokens
    tokens: int
    note: str
    """For the plan."""


def masked_head(rule: FamilyRule | None, model: nn.Module, inputs: Mapping[str, torch.Tensor]) -> MaskedHead | None:
    """The head of `model` that gathers masked tokens given these inputs; None where it gathers none.

    Raises :class:`UsageError` where the number of tokens is impossible for the sequence.
    """
    masked = rule.masked_tokens if rule else None
    if rule is None or masked is None or masked.labels not in inputs:
        return None
    sequence = int(inputs[masked.labels].shape[1])
    tokens, why = _tokens(masked, getattr(model, "config", None), sequence)
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= sequence:
        raise UsageError(
            f"{rule.optimum_class} applies its head to {tokens!r} of {sequence} tokens ({why}); expected a whole "
            f"number from 1 to {sequence}. Try another sequence length"
            + (f", or --config {masked.config_field}=N." if masked.config_field else ".")
        )
    note = f"{rule.optimum_class} applies its head to {tokens} of {sequence} tokens of a sample ({why})."
    return MaskedHead(masked, tokens, note)


def _tokens(masked: MaskedTokens, config: Any, sequence: int) -> tuple[Any, str]:
    """How many, and why in words."""
    if masked.share is not None:
        return int(sequence * masked.share), f"always {masked.share:.0%} of the sequence"
    given = getattr(config, masked.config_field or "", None)
    if given is not None:
        return given, f"{masked.config_field} of the configuration"
    return collator_tokens(sequence), f"what optimum's data collator sets as {masked.config_field}"


@contextmanager
def gathering(model: nn.Module, head: MaskedHead | None) -> Iterator[None]:
    """`model` computes its head and loss on the masked tokens, as the optimum class does, until the end of the block.

    A trace made meanwhile is put in order by :func:`in_host_order`.
    """
    if head is None:
        yield
        return
    gather = _gather(head)
    model.add_module(GATHER, gather)
    hooks = (
        model.register_forward_pre_hook(gather.select, with_kwargs=True),
        model.get_submodule(head.rule.module).register_forward_pre_hook(gather.narrow),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        delattr(model, GATHER)


def _gather(head: MaskedHead) -> Any:
    """A module, so that a trace tells its operations.

    Source: huggingface/optimum-graphcore:optimum/graphcore/modeling_utils.py (v0.7.1), `OnehotGather`.
    """
    import torch
    from torch import nn

    class Gather(nn.Module):
        positions: torch.Tensor

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            if not value.is_floating_point():
                labels, self.positions = torch.topk(value, k=head.tokens, dim=1)
                return labels
            rows = nn.functional.one_hot(self.positions, int(value.shape[1])).to(value.dtype)
            return torch.matmul(rows.detach(), value)

        def select(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            labels = kwargs.get(head.rule.labels)
            return args, kwargs if labels is None else {**kwargs, head.rule.labels: self(labels)}

        def narrow(self, _: nn.Module, args: tuple[Any, ...]) -> Any:
            return (self(args[0]), *args[1:])

    return Gather()


def in_host_order(traced: TracedModel, head: MaskedHead | None) -> TracedModel:
    """The trace with the gathering where the optimum class has it: right before the head is called, outside of it, and
    so in the block begun before it."""
    if head is None:
        return traced
    gathering = [n for n in traced.nodes if GATHER in traced.owner(n)]
    moved = set(gathering)
    rest = [n for n in traced.nodes if n not in moved]
    start = next(i for i, n in enumerate(rest) if head.rule.module in traced.owner(n))
    for node in gathering:
        _release(node)
    counts = {name: count for name, count in traced.call_counts.items() if name != GATHER}
    return replace(traced, nodes=(*rest[:start], *gathering, *rest[start:]), call_counts=counts)


def _release(node: fx.Node) -> None:
    """Leaves the operation to the model itself."""
    stack = node.meta.get("nn_module_stack") or {}
    node.meta["nn_module_stack"] = {key: (path, kind) for key, (path, kind) in stack.items() if not path}
