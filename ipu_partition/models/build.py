"""Building the model a spec describes: on the meta device, so that no weight is ever allocated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .limits import bounded_construction
from .problem import set_problem_type
from .spec import ModelSpec, Overrides
from .table import fallbacks, switches
from .tasks import passed
from .ties import tie_like

if TYPE_CHECKING:
    import torch
    from torch import nn

_ABSENT = object()
PLAIN_OUTPUT: Mapping[str, object] = {
    "use_cache": False,
    "return_dict": True,
    "output_attentions": False,
    "output_hidden_states": False,
}
"""What a forward pass on an IPU returns: a compiled program keeps no cache and gives out what is asked for."""


def build(
    spec: ModelSpec, *, training: bool, host_config: Overrides | None = None
) -> tuple[nn.Module, tuple[str, ...]]:
    """The module, and what was changed for it in words.

    Float32, eager attention, no cache, on the meta device. In training, configuration switches that make control flow
    random take their neutral value. `host_config` holds fields the class on the IPU host fixes. A module that the user
    gave comes back as it is.

    Raises:
        UsageError: the class cannot be built from the configuration, or the model is absurdly large.
    """
    host = dict(host_config or {})
    if spec.module is not None:
        return spec.module, _disagreements(spec, host)
    config = deepcopy(spec.config)
    warnings = _set_host(config, host) + _set_unset(spec, config)
    if training:
        set_problem_type(spec, config)
        warnings += _set_neutral(config, passed(spec))
    for field, value in PLAIN_OUTPUT.items():
        if hasattr(config, field):
            setattr(config, field, value)
    return _construct(spec, config), warnings


def _construct(spec: ModelSpec, config: Any) -> nn.Module:
    module = _made(spec, config)
    if getattr(config, "tie_word_embeddings", None) is False:
        twin = deepcopy(config)
        twin.tie_word_embeddings = True
        tie_like(module, _made(spec, twin))
    return module


def _made(spec: ModelSpec, config: Any) -> nn.Module:
    import torch

    make: Any = spec.model_class
    try:
        with bounded_construction(spec.architecture), torch.device("meta"):
            module: nn.Module = make._from_config(config, attn_implementation="eager", dtype=torch.float32)
    except UsageError:
        raise
    except Exception as error:  # whatever a constructor raises for sizes that do not go together
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        raise UsageError(
            f"{spec.architecture} cannot be built from this configuration ({reason}); check its sizes."
        ) from error
    _onto_meta(module)
    return module


def _onto_meta(module: nn.Module) -> None:
    """Also what legacy constructors (`torch.FloatTensor(n)`) put on the CPU whatever the device context."""
    from torch import nn

    moved: dict[int, torch.Tensor] = {}
    for owner in module.modules():
        for table in (owner._parameters, owner._buffers):
            for name, value in table.items():
                if value is None or value.device.type == "meta":
                    continue
                there = value.detach().to("meta")
                new = nn.Parameter(there, value.requires_grad) if isinstance(value, nn.Parameter) else there
                table[name] = moved.setdefault(id(value), new)  # type: ignore[assignment]


def _set_host(config: Any, host: Mapping[str, object]) -> tuple[str, ...]:
    warnings = []
    for name, value in sorted(host.items()):
        before = getattr(config, name, None)
        if before != value:
            warnings.append(
                f"{name} is {before!r} in the configuration; planned with {value!r}, as the class on the IPU host is."
            )
            setattr(config, name, value)
    return tuple(warnings)


def _disagreements(spec: ModelSpec, host: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(
        f"The class on the IPU host runs with {name}={value!r}, but the given {spec.architecture} was built with "
        f"{getattr(spec.config, name)!r} and is planned as it is."
        for name, value in sorted(host.items())
        if getattr(spec.config, name, value) != value
    )


def _set_unset(spec: ModelSpec, config: Any) -> tuple[str, ...]:
    warnings = []
    for rule in fallbacks():
        value = getattr(config, rule.source, None)
        if rule.task == spec.task and getattr(config, rule.field, _ABSENT) is None and isinstance(value, int):
            setattr(config, rule.field, value)
            warnings.append(f"{rule.field} is not set; planned with {rule.source} ({value}), because {rule.why}.")
    return tuple(warnings)


def _set_neutral(config: Any, inputs: Collection[str]) -> tuple[str, ...]:
    warnings = []
    for switch in switches(inputs):
        value = getattr(config, switch.field, switch.neutral)
        if value == switch.neutral:
            continue
        setattr(config, switch.field, switch.neutral)
        warnings.append(f"{switch.field} was {value!r}; planned with {switch.neutral!r}, because {switch.why}.")
    return tuple(warnings)
