"""Which tensors `forward` is called with, by its signature and the tables."""

from __future__ import annotations

from dataclasses import replace
from inspect import Parameter

from .context import cannot_infer, field
from .problem import problem_type
from .spec import ModelSpec
from .table import Task, TensorRule, inputs, problem_types
from .tasks import find_task, labels_of, parameters


def called_with(spec: ModelSpec, task: Task, labelled: bool) -> list[TensorRule]:
    """The tensors, their dimensions in basic names. A decoder gets its inputs beside the labels, as the data
    collators of Transformers prepare them: derived inside the model, they would be made where the pipeline already is.

    Raises:
        UsageError: `forward` needs something that no table knows.
    """
    labels = [_label(rule, spec, task) for rule in _labels(spec)] if labelled and spec.loss is None else []
    chosen = [rule for rule in inputs() if _applies(rule, spec, task)]
    rules = [_expand(rule, spec, task) for rule in (*chosen, *labels)]
    _check_covered(spec, {rule.name for rule in rules})
    return rules


def _labels(spec: ModelSpec) -> tuple[TensorRule, ...]:
    return labels_of(find_task(spec.task), spec.model_class) if spec.task is not None else ()


def _label(rule: TensorRule, spec: ModelSpec, task: Task) -> TensorRule:
    special = problem_types().get(problem_type(spec) or "")
    return _expand(rule if special is None or rule.name != special.name else special, spec, task)


def _applies(rule: TensorRule, spec: ModelSpec, task: Task) -> bool:
    taken = parameters(spec.model_class)
    return (
        rule.name in taken
        and (rule.beside is None or rule.beside in taken)
        and (rule.task is None or getattr(task, rule.task) is not None)
        and all(isinstance(v := field(spec.config, name), int) and v > least for name, least in rule.above)
    )


def _expand(rule: TensorRule, spec: ModelSpec, task: Task) -> TensorRule:
    decodes = task.target_length is not None and "decoder_input_ids" in parameters(spec.model_class)
    names = {"rows": task.rows, "tokens": ("target",) if decodes else ("sequence",)}
    return replace(rule, dims=tuple(basic for dim in rule.dims for basic in names.get(dim, (dim,))))


def _check_covered(spec: ModelSpec, covered: set[str]) -> None:
    taken = parameters(spec.model_class)
    needed = {name for name, p in taken.items() if p.default is Parameter.empty}
    needed |= {str(getattr(spec.model_class, "main_input_name", ""))} & set(taken)
    missing = sorted(needed - covered)
    if missing or not covered:
        what = f"it takes {', '.join(missing)}" if missing else "forward takes no input known here"
        raise cannot_infer(spec.architecture, what)
