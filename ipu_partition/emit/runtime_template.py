"""What `parallelize.py` does. The text below the cut line ends every generated file; `poptorch_live` imports it.

It must run on Python 3.8 and torch 2.0, and may import the standard library, torch and poptorch alone.
"""

from __future__ import annotations

import typing
import weakref

import poptorch
import torch

MODEL = "the model"
TRACED_WITH = "unknown"
TRAINING: dict[str, typing.Any] | None = None
INFERENCE: dict[str, typing.Any] | None = None

# --- cut ---


class PlanMismatchError(RuntimeError):
    """The plan does not fit the model it is given."""


def parallelize(model: torch.nn.Module) -> torch.nn.Module:
    """Begin the plan's blocks on `model`, for training or inference as `model.training` says, and return it.

    Raises PlanMismatchError where the mode was not planned or the model lacks a module of the plan. When anything
    raises, the model is as it was.
    """
    return apply_cut(model, _table(model.training), TRACED_WITH)


def deparallelize(model: torch.nn.Module) -> torch.nn.Module:
    """Undo `parallelize` on the model it was given, e.g. before cutting it for the other mode."""
    for undo in reversed(_APPLIED.pop(model, [])):
        undo()
    return model


def options(training: bool = True) -> poptorch.Options:
    """The poptorch.Options the plan was made for. Raises PlanMismatchError where the mode was not planned."""
    return make_options(_table(training))


def _table(training: bool) -> dict[str, typing.Any]:
    table = TRAINING if training else INFERENCE
    if table is None:
        wanted, other = ("training", "inference") if training else ("inference", "training")
        raise PlanMismatchError(
            f"This plan of {MODEL!r} has no {wanted} part, only {other}: make a plan for {wanted} too, "
            f"or switch the model with {'model.eval()' if training else 'model.train()'}."
        )
    return table


_APPLIED: typing.Any = weakref.WeakKeyDictionary()
"""For every model cut, what undoes it."""


def apply_cut(model: torch.nn.Module, table: dict[str, typing.Any], traced_with: str) -> torch.nn.Module:
    """Begin blocks, checkpoint outputs and adapt methods; all of it or, when anything raises, nothing."""
    blocks = _once([(_find(model, paths, traced_with), user_id, ipu) for paths, user_id, ipu in table["blocks"]])
    checkpoints = [_find(model, paths, traced_with) for paths in table["checkpoints"]]
    adapters = [(_find(model, paths, traced_with, method), method) for paths, method in table["adapters"]]
    undo: list[typing.Any] = []
    try:
        for module, method in adapters:
            undo.append(_adapt(module, method))
        for module, user_id, ipu in blocks:
            undo.append(_begin(module, user_id, ipu))
        for module in checkpoints:
            undo.append(module.register_forward_hook(_checkpoint).remove)
    except BaseException:
        for revert in reversed(undo):
            revert()
        raise
    _APPLIED.setdefault(model, []).extend(undo)
    return model


def _find(
    model: torch.nn.Module, paths: typing.Sequence[str], traced_with: str, method: str | None = None
) -> torch.nn.Module:
    """The module under the first path that exists, can begin a block and has `method`."""
    for path in paths:
        try:
            module = model.get_submodule(path)
        except AttributeError:
            continue
        # A list of modules is never called, so a block on it would never begin.
        if not isinstance(module, (torch.nn.ModuleList, torch.nn.ModuleDict)) and (
            method is None or callable(getattr(module, method, None))
        ):
            return module
    wanted = "a module" if method is None else f"a module with the method {method!r}"
    tried = " or ".join(repr(path) for path in paths)
    raise PlanMismatchError(
        f"{type(model).__name__} lacks {wanted} at {tried}. The plan was traced with {traced_with}; "
        "use the class the plan was made for, or make the plan again for this model."
    )


def _once(blocks: list[typing.Any]) -> list[typing.Any]:
    """The blocks without repetitions: a module under two paths has one hook, which begins the same block again."""
    kept: dict[torch.nn.Module, typing.Any] = {}
    for module, user_id, ipu in blocks:
        if kept.setdefault(module, (user_id, ipu)) != (user_id, ipu):
            raise PlanMismatchError(
                f"Block {kept[module][0]!r} and block {user_id!r} share a {type(module).__name__} of this model, but "
                "one module can begin only one block. Make the plan again for this model."
            )
    return [(module, user_id, ipu) for module, (user_id, ipu) in kept.items()]


def _begin(module: torch.nn.Module, user_id: str, ipu: int) -> typing.Callable[[], None]:
    before = set(module._forward_pre_hooks)
    poptorch.BeginBlock(module, user_id, ipu_id=ipu)
    added = [key for key in module._forward_pre_hooks if key not in before]

    def revert() -> None:
        for key in added:
            module._forward_pre_hooks.pop(key, None)

    return revert


def _checkpoint(module: torch.nn.Module, inputs: typing.Any, output: typing.Any) -> typing.Any:
    """Forward hook: keep the output for the backward pass instead of recomputing it."""
    if isinstance(output, torch.Tensor):
        return poptorch.recomputationCheckpoint(output)
    if isinstance(output, (tuple, list)):
        items = [_checkpoint(module, inputs, item) for item in output]
        return output._make(items) if hasattr(output, "_make") else type(output)(items)
    return output


class _WeightAsActivation:
    """A method whose tensors have 0.0 added: the weight is read where it is called, copies of the sum travel on."""

    def __init__(self, module: torch.nn.Module, method: str) -> None:
        self.module = module
        self.method = method

    def __call__(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        result = getattr(type(self.module), self.method)(self.module, *args, **kwargs)
        return result + 0.0 if isinstance(result, torch.Tensor) else result


def _adapt(module: torch.nn.Module, method: str) -> typing.Callable[[], None]:
    if method in vars(module):
        raise PlanMismatchError(f"{method!r} of {type(module).__name__} is already replaced; start from a fresh model.")
    setattr(module, method, _WeightAsActivation(module, method))
    return lambda: vars(module).pop(method, None)


def make_options(table: dict[str, typing.Any]) -> poptorch.Options:
    """Options for one mode; `table["options"]` gives the numbers."""
    values = table["options"]
    strategy = poptorch.PipelinedExecution if values["pipelined"] else poptorch.ShardedExecution
    chosen = poptorch.Options()
    chosen.autoRoundNumIPUs(True)
    chosen.setExecutionStrategy(strategy(poptorch.AutoStage.AutoIncrement))
    chosen.replicationFactor(values["replication_factor"])
    chosen.deviceIterations(values["device_iterations"])
    chosen.setAvailableMemoryProportion({f"IPU{ipu}": p for ipu, p in enumerate(values["memory_proportions"])})
    if values["half_partials"]:
        chosen.Precision.setPartialsType(torch.half)
    if values["gradient_accumulation"] is not None:
        chosen.Training.gradientAccumulation(values["gradient_accumulation"])
        chosen.TensorLocations.setOptimizerLocation(
            poptorch.TensorLocationSettings()
            .useOnChipStorage(not values["optimizer_state_offchip"])
            .useReplicatedTensorSharding(values["replicated_tensor_sharding"])
        )
    return chosen
