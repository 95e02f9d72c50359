"""What `parallelize.py` does. The text below the cut line ends every generated file; `poptorch_live` imports it.

A generated file holds the sections of those adapters alone that its plan has. All must run on Python 3.8 and torch 2.0,
and may import the standard library, torch and poptorch alone.
"""

from __future__ import annotations

import typing

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

    Raises PlanMismatchError where the mode was not planned, the model is not the one the plan was made for, or it is
    cut already. When anything raises, the model is as it was.
    """
    return apply_cut(model, _table(model.training), TRACED_WITH)


def deparallelize(model: torch.nn.Module) -> torch.nn.Module:
    """Undo `parallelize`, e.g. before saving the model or cutting it for the other mode; copies and loaded models too.

    Nothing else is touched, and nothing happens to a model that is not cut.
    """
    record = vars(model).pop(_CUT, None)
    if record is not None:
        _revert(record["undo"])
    return model


def is_cut(model: torch.nn.Module) -> bool:
    """Whether `parallelize` was called on `model`, or on a model that it is a copy of."""
    return bool(vars(model).get(_CUT, {}).get("undo"))


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


_CUT = "_ipu_partition_cut"
"""Attribute of a model that is cut: what undoes it, as data, so that it stays true of copies of the model."""


def apply_cut(
    model: torch.nn.Module, table: dict[str, typing.Any], traced_with: str, undo_with: str = "deparallelize(model)"
) -> torch.nn.Module:
    """Begin blocks, checkpoint outputs and adapt the model; all of it or, when anything raises, nothing."""
    _check_uncut(model, undo_with)
    sizes = table.get("sizes", {})
    blocks = _once([(_find(model, paths, traced_with, sizes), user_id, ipu) for paths, user_id, ipu in table["blocks"]])
    checkpoints = [_find(model, paths, traced_with, sizes) for paths in table["checkpoints"]]
    adapters = [
        (kind, _find(model, paths, traced_with, {}, None if "class_name" in values else values.get("method")), values)
        for kind, paths, values in table["adapters"]
    ]
    undo: list[typing.Any] = [_NOTHING]
    try:
        for kind, module, values in adapters:
            _ADAPTERS[kind](module, values, undo)
        for module, user_id, ipu in blocks:
            _begin(module, user_id, ipu, undo)
        for module in checkpoints:
            _hook(module, "_forward_hooks", lambda m: m.register_forward_hook(_checkpoint), undo)
    except BaseException:
        _revert(undo)
        raise
    vars(model)[_CUT] = {"undo": undo}
    return model


def _check_uncut(model: torch.nn.Module, undo_with: str) -> None:
    for path, module in model.named_modules():
        if is_cut(module):
            what = f"This {type(model).__name__}" if module is model else f"The part {path!r} of this model"
            raise PlanMismatchError(f"{what} is cut already: it has the blocks of a plan. Call {undo_with} first.")
        if any(type(hook).__name__.endswith("BlockHook") for hook in module._forward_pre_hooks.values()):
            raise PlanMismatchError(
                f"The part {path!r} of this {type(model).__name__} begins a block already, which is none of the plan. "
                "Call poptorch.removeBlocks(model) first."
            )


def _find(
    model: torch.nn.Module,
    paths: typing.Sequence[str],
    traced_with: str,
    sizes: dict[str, typing.Any],
    method: str | None = None,
) -> torch.nn.Module:
    """The module under the first path that exists, can begin a block and has `method`; `sizes`: what it must be."""
    for path in paths:
        try:
            module = model.get_submodule(path)
        except AttributeError:
            continue
        # A list of modules is never called, so a block on it would never begin.
        if not isinstance(module, (torch.nn.ModuleList, torch.nn.ModuleDict)) and (
            method is None or callable(getattr(module, method, None))
        ):
            if paths[0] in sizes:
                _check_size(model, module, path, *sizes[paths[0]])
            return module
    wanted = "a module" if method is None else f"a module with the method {method!r}"
    tried = " or ".join(repr(path) for path in paths)
    raise PlanMismatchError(
        f"{type(model).__name__} lacks {wanted} at {tried}. The plan was traced with {traced_with}; "
        "use the class the plan was made for, or make the plan again for this model."
    )


def _check_size(
    model: torch.nn.Module, module: torch.nn.Module, path: str, elements: int | None, rows: typing.Sequence[int]
) -> None:
    """The lists that `path` goes through must be as long, and the module's parameters as large, as in the plan."""
    names = path.split(".")
    lists = [".".join(names[:i]) for i, name in enumerate(names) if name.isdigit()]
    lengths = [len(model.get_submodule(name)._modules) for name in lists]
    wrong = [
        f"{lists[i]!r} has {lengths[i]} items, expected {wanted}"
        for i, wanted in enumerate(rows)
        if len(lists) == len(rows) and lengths[i] != wanted
    ]
    found = sum(parameter.numel() for parameter in module.parameters())
    if elements is not None and found != elements:
        wrong.append(f"{path!r} has {found:,} parameters, expected {elements:,}")
    if wrong:
        raise PlanMismatchError(
            f"This {type(model).__name__} is not the model the plan was made for: {wrong[0]}. Use that model, or make "
            "the plan again with the configuration of this one (its layers, sizes, vocabulary and labels)."
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


def _begin(module: torch.nn.Module, user_id: str, ipu: int, undo: list[typing.Any]) -> None:
    _hook(module, "_forward_pre_hooks", lambda m: poptorch.BeginBlock(m, user_id, ipu_id=ipu), undo)


def _hook(module: torch.nn.Module, hooks: str, add: typing.Callable[..., typing.Any], undo: list[typing.Any]) -> None:
    before = set(getattr(module, hooks))
    add(module)
    undo.extend(("hook", module, hooks, key) for key in getattr(module, hooks) if key not in before)


def _checkpoint(module: torch.nn.Module, inputs: typing.Any, output: typing.Any) -> typing.Any:
    """Forward hook: keep the output for the backward pass instead of recomputing it."""
    if isinstance(output, torch.Tensor):
        return poptorch.recomputationCheckpoint(output)
    if isinstance(output, (tuple, list)):
        items = [_checkpoint(module, inputs, item) for item in output]
        return output._make(items) if hasattr(output, "_make") else type(output)(items)
    return output


# So that a plan of no blocks and no adapters leaves a mark as well.
_NOTHING = ("nothing", None, "", None)


def _revert(undo: list[typing.Any]) -> None:
    """Undo what the list holds, last first, and empty it."""
    while undo:
        how, holder, name, value = undo.pop()
        if how == "hook":
            getattr(holder, name).pop(value, None)
        elif how == "set":
            setattr(holder, name, value)
        elif how == "added":
            vars(holder).pop(name, None)


def _replace(module: torch.nn.Module, method: str, by: typing.Any, undo: list[typing.Any]) -> None:
    """Call `by` in the place of a method of this one module."""
    kind = type(module).__name__
    if method.startswith("__"):
        raise PlanMismatchError(f"The plan adapts {method!r} of {kind}, which no plan may. Make the plan again.")
    if method in vars(module):
        raise PlanMismatchError(f"{method!r} of {kind} is already replaced; start from a fresh model.")
    vars(module)[method] = by
    undo.append(("added", module, method, None))


_ADAPTERS: dict[str, typing.Callable[[torch.nn.Module, dict[str, typing.Any], list[typing.Any]], None]] = {}
"""What else the plan needs changed in a model, by kind."""


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


# --- adapter weight-as-activation ---


class _WeightAsActivation:
    """A method whose tensors have 0.0 added: the weight is read where it is called, copies of the sum travel on."""

    def __init__(self, module: torch.nn.Module, method: str) -> None:
        self.module = module
        self.method = method

    def __call__(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        result = getattr(type(self.module), self.method)(self.module, *args, **kwargs)
        return result + 0.0 if isinstance(result, torch.Tensor) else result


def _weight_as_activation(module: torch.nn.Module, values: dict[str, typing.Any], undo: list[typing.Any]) -> None:
    method = values["method"]
    _replace(module, method, _WeightAsActivation(module, method), undo)


_ADAPTERS["weight-as-activation"] = _weight_as_activation


# --- adapter set-attribute ---


def _set_attribute(module: torch.nn.Module, values: dict[str, typing.Any], undo: list[typing.Any]) -> None:
    """Set a number or switch wherever a module, or the configuration it holds, has one of that name."""
    name, value = values["name"], values["value"]
    for part in module.modules():
        for holder in (part, vars(part).get("config")):
            old = vars(holder).get(name) if hasattr(holder, "__dict__") else None
            if isinstance(old, (bool, int, float)) and old != value:
                undo.append(("set", holder, name, old))
                setattr(holder, name, value)


_ADAPTERS["set-attribute"] = _set_attribute


# --- adapter serialised-linear ---


class _SerialisedLinear:
    """The product of a linear layer, made in pieces of its output channels; the weight stays whole, and tied."""

    def __init__(self, module: torch.nn.Module, pieces: int) -> None:
        self.module = module
        self.pieces = pieces

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        mode = poptorch.MatMulSerializationMode.OutputChannels
        weight: typing.Any = self.module.weight
        product: torch.Tensor = poptorch.serializedMatMul(value, weight.t(), mode, self.pieces)
        bias: typing.Any = self.module.bias
        return product if bias is None else product + bias


def _serialised_linear(module: torch.nn.Module, values: dict[str, typing.Any], undo: list[typing.Any]) -> None:
    pieces = values["value"]
    if not isinstance(module, torch.nn.Linear) or module.out_features % pieces:
        raise PlanMismatchError(
            f"The plan makes a product in {pieces} pieces, for which it needs a torch.nn.Linear whose output channels "
            f"they divide; found {module}. Use the model the plan was made for."
        )
    _replace(module, "forward", _SerialisedLinear(module, pieces), undo)


_ADAPTERS["serialised-linear"] = _serialised_linear


# --- adapter embeds-first ---


class _EmbedFirst:
    """Forward pre-hook that embeds the tokens of encoder and decoder before either runs."""

    def __init__(self, encoder: str, decoder: str) -> None:
        self.encoder = encoder
        self.decoder = decoder

    def __call__(self, model: typing.Any, args: typing.Any, kwargs: dict[str, typing.Any]) -> typing.Any:
        forward: typing.Any = type(model).forward
        while hasattr(forward, "__wrapped__"):
            forward = forward.__wrapped__
        names = forward.__code__.co_varnames[1:]
        given = {**{names[i]: value for i, value in enumerate(args)}, **kwargs}
        others = ("inputs_embeds", "decoder_inputs_embeds", "encoder_outputs", "past_key_values")
        ids, target = given.pop("input_ids", None), given.pop("decoder_input_ids", None)
        labels = given.get("labels")
        if ids is None or (target is None and labels is None) or any(given.get(name) is not None for name in others):
            return None
        if target is None:
            target = model._shift_right(labels)
        given["inputs_embeds"] = model.get_submodule(self.encoder)(ids)
        given["decoder_inputs_embeds"] = model.get_submodule(self.decoder)(target)
        return (), given


def _embeds_first(module: torch.nn.Module, values: dict[str, typing.Any], undo: list[typing.Any]) -> None:
    hook = _EmbedFirst(values["name"], values["value"])
    for path in (hook.encoder, hook.decoder):
        _find(module, (path,), TRACED_WITH, {})
    _hook(module, "_forward_pre_hooks", lambda m: m.register_forward_pre_hook(hook, with_kwargs=True), undo)
    undo.append(("hook", module, "_forward_pre_hooks_with_kwargs", undo[-1][3]))


_ADAPTERS["embeds-first"] = _embeds_first


# --- adapter static-function ---


class _StaticMethod:
    """A method that finds another function under one of its global names: one that can be compiled."""

    def __init__(self, module: torch.nn.Module, method: str, name: str, function: str) -> None:
        self.module = module
        self.method = method
        self.name = name
        self.function = function

    def __call__(self, *args: typing.Any, **kwargs: typing.Any) -> typing.Any:
        method = getattr(type(self.module), self.method)
        scope = {**method.__globals__, self.name: _STATIC[self.function]}
        same = type(method)(method.__code__, scope, method.__name__, method.__defaults__, method.__closure__)
        same.__kwdefaults__ = method.__kwdefaults__
        return same(self.module, *args, **kwargs)


def _static_function(module: torch.nn.Module, values: dict[str, typing.Any], undo: list[typing.Any]) -> None:
    """On modules of one class; those of other versions that do not use the name stay as they are."""
    method, name = values["method"], values["name"]
    for part in module.modules():
        code = getattr(getattr(type(part), method, None), "__code__", None)
        if type(part).__name__ == values["class_name"] and code is not None and name in code.co_names:
            _replace(part, method, _StaticMethod(part, method, name, values["value"]), undo)


class _MaskedSoftmax:
    @staticmethod
    def apply(scores: torch.Tensor, mask: torch.Tensor, dim: int) -> torch.Tensor:
        """Softmax where the mask is not 0, and 0 elsewhere; as a torch.autograd.Function, which is not compiled."""
        outside = ~mask.to(torch.bool)
        found = torch.softmax(scores.masked_fill(outside, torch.finfo(scores.dtype).min), dim)
        return found.masked_fill(outside, 0.0)


class _Dropout:
    @staticmethod
    def apply(value: torch.Tensor, share: typing.Any) -> torch.Tensor:
        """Dropout while training; as a torch.autograd.Function, which is not compiled."""
        return torch.nn.functional.dropout(value, float(getattr(share, "dropout", share)), training=True)


def _causal_mask(
    shape: typing.Sequence[int], dtype: torch.dtype, device: typing.Any = None, past_key_values_length: int = 0
) -> torch.Tensor:
    """The smallest number above the diagonal, 0 elsewhere; reads no tensor on the host."""
    rows, length = shape
    past = past_key_values_length
    mask = torch.full((length, length), torch.finfo(dtype).min, dtype=dtype, device=device).triu(1)
    if past > 0:
        mask = torch.cat([torch.zeros(length, past, dtype=dtype, device=device), mask], dim=-1)
    return mask[None, None, :, :].expand(rows, 1, length, length + past)


class _Never:
    @staticmethod
    def any() -> bool:
        return False


class _TorchWithoutChecks:
    """torch, with every number finite: a check of values on the device cannot decide what is compiled."""

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(torch, name)

    @staticmethod
    def isinf(value: torch.Tensor) -> _Never:
        return _Never()

    isnan = isinf


_STATIC = {
    "causal-mask": _causal_mask,
    "dropout": _Dropout,
    "masked-softmax": _MaskedSoftmax,
    "no-finite-check": _TorchWithoutChecks(),
}
_ADAPTERS["static-function"] = _static_function
