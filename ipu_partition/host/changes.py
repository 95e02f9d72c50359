"""The forward pass as the host makes it, for the time of a trace: hooks on modules that the table names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ..families.resolve import matching
from ..families.table import EmbedsFirst, FamilyRule, Fused, MaskedBias, SinglePrecision
from ..workload import Target

if TYPE_CHECKING:
    import torch
    from torch import nn


@contextmanager
def as_on_host(model: nn.Module, rule: FamilyRule | None, target: Target) -> Iterator[None]:
    """What Transformers 4.29 computes differently, and where the plan obeys it the optimum class, until the end.

    Nothing for other devices than IPUs, which run the model as it is.
    """
    rule = None if target is Target.TORCH else rule
    with ExitStack() as undo:
        if rule is not None and rule.masked_bias is not None:
            _mask_biases(model, rule.masked_bias, undo)
        if rule is not None and rule.embeds_first is not None:
            undo.callback(model.register_forward_pre_hook(_embedding(rule.embeds_first), with_kwargs=True).remove)
        if rule is not None and target is Target.OPTIMUM:
            if rule.fused is not None:
                _fuse(model, rule.fused, undo)
            if rule.single_precision is not None:
                _widen(model, rule.single_precision, undo)
        yield


def _modules(model: nn.Module, patterns: tuple[str, ...]) -> list[Any]:
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    return [model.get_submodule(path) for path in matching(patterns, names)]


def _fuse(model: nn.Module, fused: Fused, undo: ExitStack) -> None:
    """Source: huggingface/optimum-graphcore:optimum/graphcore/models/bert/bert_fused_attention.py (v0.7.1)."""
    for module in _modules(model, fused.modules):
        products = [module.get_submodule(name) for name in fused.products]
        forwards = _fused_forwards(products)
        for product, forward in zip(products, forwards, strict=True):
            product.forward = forward
            undo.callback(delattr, product, "forward")


def _fused_forwards(products: list[Any]) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """The first makes the product for all; the others take their part of it."""
    import torch

    parts: list[torch.Tensor] = []

    def first(value: torch.Tensor) -> torch.Tensor:
        result = value @ torch.cat([p.weight for p in products], dim=0).transpose(-2, -1)
        if all(p.bias is not None for p in products):
            result = result + torch.cat([p.bias for p in products], dim=0)
        parts[:] = torch.split(result, [p.out_features for p in products], dim=-1)
        return parts[0]

    def other(index: int) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda _: parts[index]

    return [first, *(other(i) for i in range(1, len(products)))]


def _widen(model: nn.Module, single: SinglePrecision, undo: ExitStack) -> None:
    """The trace is in single precision, which stands for that of the workload; double stands for single.

    Source: huggingface/optimum-graphcore:optimum/graphcore/models/t5/modeling_t5.py (v0.7.1), `UpCastWrapper`.
    """
    import torch

    for patterns, dtype in ((single.begins, torch.float64), (single.ends, torch.float32)):
        for module in _modules(model, patterns):
            handle = module.register_forward_hook(_cast(dtype))
            undo.callback(handle.remove)


def _cast(dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    return lambda module, args, output: output.to(dtype)


def _embedding(first: EmbedsFirst) -> Callable[..., Any]:
    """Source: huggingface/optimum-graphcore:optimum/graphcore/modeling_utils.py (v0.7.1), `SharedEmbedding`."""

    def embed(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        ids, target, labels = (kwargs.get(name) for name in ("input_ids", "decoder_input_ids", "labels"))
        if args or ids is None or (target is None and labels is None):
            return None
        target = model._shift_right(labels) if target is None else target
        embedded = {
            "inputs_embeds": model.get_submodule(first.encoder)(ids),
            "decoder_inputs_embeds": model.get_submodule(first.decoder)(target),
        }
        return args, {**kwargs, "input_ids": None, "decoder_input_ids": None, **embedded}

    return embed


def _mask_biases(model: nn.Module, biases: MaskedBias, undo: ExitStack) -> None:
    """Source: huggingface/transformers:src/transformers/models/t5/modeling_t5.py (v4.29.2), `T5Attention.forward`."""
    for module in _modules(model, biases.modules):
        for handle in (
            module.register_forward_pre_hook(_without_mask, with_kwargs=True),
            module.register_forward_hook(_with_mask, with_kwargs=True),
        ):
            undo.callback(handle.remove)


def _without_mask(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A bias that is given has the mask in it. The mask has the type of the weights."""
    mask = kwargs.get("mask")
    if mask is None or kwargs.get("position_bias") is not None:
        return args, {**kwargs, "mask": None}
    return args, {**kwargs, "mask": mask.to(next(module.parameters()).dtype)}


def _with_mask(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    if kwargs.get("position_bias") is not None or kwargs.get("mask") is None:
        return output
    attention, bias, *rest = output
    return (attention, bias + kwargs["mask"], *rest)
