"""Where everything ran in one forward pass: parameters and calls by all the names that they ever had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import poptorch
import torch


class Names:
    """The names of a model's modules and parameters before it is cut, by object; after it, those of what is new."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.modules = _by_object(model.named_modules(remove_duplicate=False))
        self.parameters = _by_object(model.named_parameters(remove_duplicate=False))

    def extended(self, model: torch.nn.Module) -> Names:
        now = Names(model)
        now.modules.update(self.modules)
        now.parameters.update(self.parameters)
        return now


def _by_object(named: Iterable[tuple[str, Any]]) -> dict[int, tuple[Any, list[str]]]:
    """The object is kept, so that its id stays its own."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for name, value in named:
        found.setdefault(id(value), (value, []))[1].append(name)
    return found


def observed(
    model: torch.nn.Module, inputs: dict[str, torch.Tensor], options: Any, names: Names, training: bool
) -> dict[str, Any]:
    """`parameters`: [names, IPUs that read it]; `calls`: [names, [[IPU, stage], ...]] in execution order, then the
    modules that are never called; `checkpoints`: names of each module whose output is kept; `rules`: what the compiler
    would refuse; `options`: the numbers that a plan has too."""
    names = names.extended(model)
    model.train(training)
    with poptorch.recording(model, options) as record, torch.set_grad_enabled(training):
        model(**inputs)
    return {
        "parameters": _parameters(model, record, names),
        "calls": _calls(model, record, names),
        "checkpoints": _checkpoints(model, record, names),
        "options": _options(options),
        "rules": [list(violation) for violation in poptorch.violations(record, options, training)],
    }


def _parameters(model: torch.nn.Module, record: Any, names: Names) -> list[Any]:
    ipus = record.parameter_ipus()
    return [[names.parameters[id(p)][1], list(ipus.get(name, ()))] for name, p in model.named_parameters()]


def _calls(model: torch.nn.Module, record: Any, names: Names) -> list[Any]:
    merged = {stage: i for i, (_, stages) in enumerate(record.merged()) for stage in stages}
    modules = dict(model.named_modules())
    found: dict[str, list[list[int]]] = {}
    for call in record.calls:
        found.setdefault(call.module, []).append([call.ipu, merged[call.stage]])
    found.update({path: [] for path in modules if path not in found})
    return [[names.modules[id(modules[path])][1], homes] for path, homes in found.items()]


def _checkpoints(model: torch.nn.Module, record: Any, names: Names) -> list[list[str]]:
    modules = dict(model.named_modules())
    return [names.modules[id(modules[path])][1] for path in dict.fromkeys(record.checkpoints)]


def _options(options: Any) -> dict[str, Any]:
    """In the words of the plan half."""
    proportions = options.get("setAvailableMemoryProportion", {})
    optimizer = options.TensorLocations.get("setOptimizerLocation", poptorch.TensorLocationSettings()).settings
    return {
        "gradient accumulation": options.gradient_accumulation,
        "replication factor": options.replication_factor,
        "device iterations": options.device_iterations,
        "memory proportions": [[ipu, value] for ipu, value in sorted(proportions.items())],
        "half partials": options.Precision.get("setPartialsType", None) is torch.float16,
        "optimizer state off chip": not optimizer.get("useOnChipStorage", True),
        "replicated tensor sharding": optimizer.get("useReplicatedTensorSharding", False),
    }
