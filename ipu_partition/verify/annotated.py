"""The model of a plan with the plan's own code on it, run without values on the `poptorch` stand-in."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from ..emit.python_source import MODULE_NAME, python_source
from ..errors import SAID, UsageError, one_line
from ..families import rule_for
from ..host.changes import as_on_host
from ..host.masked import gathering, masked_head
from ..models import as_planned, build
from ..prepare import Prepared
from ..reopen import Reopened
from ..workload import Mode
from . import poptorch_standin as standin
from .replayed import computes, like, without_values

if TYPE_CHECKING:
    from torch import nn


class RefusedError(Exception):
    """The annotations cannot be put on the model, or it does not run with them; the reason in words."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """One forward pass."""

    record: standin.Recording
    """Of ops that compute."""
    violations: tuple[str, ...]
    """Rules of the compiler that it breaks, in words."""
    modules: dict[str, str]
    """Every path of a module -> the one under which it is recorded."""


def annotated(reopened: Reopened, mode: Mode, prepared: Prepared) -> Annotated:
    """The forward pass of `mode` with the blocks and adapters of the plan, as `parallelize.py` begins them.

    Raises :class:`RefusedError`, and :class:`UsageError` where the real poptorch is imported in this process.
    """
    with _installed():
        code = _generated(reopened)
        try:
            return _run(reopened, mode, prepared, code)
        except Exception as error:  # whatever a wrong plan, or the model's own code, makes of it
            reason = one_line(f"{type(error).__name__}: {error}", 2 * SAID)
            raise RefusedError(f"{MODULE_NAME} cannot be run on {prepared.name}: {reason}") from error


def _run(reopened: Reopened, mode: Mode, prepared: Prepared, code: Any) -> Annotated:
    """What only the host changes in the model is changed here too; what the plan changes is left to the plan."""
    training, spec = mode is Mode.TRAINING, reopened.spec
    rule = rule_for(spec.architecture)
    elsewhere = replace(rule, embeds_first=None) if rule else None
    options = code.options(training)
    built, _ = build(spec, training=training, host_config=dict(prepared.rule.host_config) if prepared.rule else None)
    with torch.set_grad_enabled(training), without_values():
        model = (built if spec.module is None else _copy(spec.module)).train(training)
        inputs = {name: like(node.meta["val"]) for name, node in prepared.traced.inputs.items()}
        head = masked_head(prepared.rule, model, inputs) if training and spec.loss is None else None
        modules = _names(model)
        with as_planned(model, training=training, inputs=inputs), gathering(model, head):
            code.parallelize(model)
            running = standin.recording(model, options)
            with as_on_host(model, elsewhere, reopened.target), running as record, _as_when_traced():
                result = model(**inputs)
                if training and spec.loss is not None:
                    spec.loss(result)
    record.ops[:] = [op for op in record.ops if computes(op.name)]
    broken = standin.violations(record, options, training)
    return Annotated(record, tuple(f"{one.rule}: {one.text}" for one in broken), modules)


def _copy(module: nn.Module) -> nn.Module:
    """The module of the user with weights that have no values; tensors that are neither weights nor buffers are the
    same, as they are in the trace."""
    memo: dict[int, Any] = {id(t): t for m in module.modules() for t in vars(m).values() if isinstance(t, torch.Tensor)}
    memo |= {id(buffer): like(buffer) for buffer in module.buffers()}
    memo |= {id(p): torch.nn.Parameter(like(p), p.requires_grad) for p in module.parameters()}
    made: nn.Module = copy.deepcopy(module, memo)
    return made


def _names(model: nn.Module) -> dict[str, str]:
    first: dict[nn.Module, str] = {}
    return {name: first.setdefault(module, name) for name, module in model.named_modules(remove_duplicate=False)}


def _generated(reopened: Reopened) -> Any:
    """The module that `parallelize.py` of the plan is."""
    module = ModuleType("parallelize")
    exec(compile(python_source(reopened.plan), MODULE_NAME, "exec"), vars(module))
    return module


@contextmanager
def _installed() -> Iterator[None]:
    """`import poptorch` finds the stand-in; what was there before is put back."""
    names = ("poptorch", *standin.missing.companions())
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    try:
        standin.install()
    except standin.Error as error:
        raise UsageError(
            "poptorch is imported in this process, and placement is proved with a stand-in of that name. Verify the "
            "plan in a process of its own: `ipu-partition verify`."
        ) from error
    try:
        yield
    finally:
        standin.uninstall()
        sys.modules.update(before)


@contextmanager
def _as_when_traced() -> Iterator[None]:
    """Models that ask torch whether they are traced decide nothing by the values of tensors."""
    flags = ("_is_compiling_flag", "_is_exporting_flag")
    before = {name: getattr(torch.compiler, name) for name in flags}
    try:
        for name in flags:
            setattr(torch.compiler, name, True)
        yield
    finally:
        for name, value in before.items():
            setattr(torch.compiler, name, value)
