"""README.md of a folder: which model it is for, what each IPU does, whether it fits, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..document import digest
from ..report.text import count
from .escape import escaped
from .loading import hub_id, loading
from .tables import memory, rates, stages, verdicts

if TYPE_CHECKING:
    from ..plan import PartitionPlan

_SHOWN = 20
"""Warnings."""
_LIMITS = """\
* Memory and rates are predicted by ipu-partition's model of the machine. Nothing here was measured on an IPU.
* They hold for the shapes, precision and optimizer below. Other shapes need another plan.
* The configuration is for Poplar SDK 3.3, optimum-graphcore 0.7.1 and transformers 4.29.2 on Python 3.8."""
_MARK = "<!-- as written by ipu-partition: {} -->\n"


def card(plan: PartitionPlan, *, repo: str | None = None, others: Sequence[PartitionPlan] = ()) -> str:
    """The text of the model card: UTF-8, valid metadata, the same bytes for the same plan.

    `repo` is where it will be found on the Hub; `others` are plans with the same cut on other machines, whose verdicts
    and rates stand beside the plan's. Names from outside can become neither markup nor metadata nor code.
    """
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        base_model=hub_id(plan),
        library_name="optimum-graphcore" if plan.expressible else "poptorch",
        tags=["graphcore", "ipu", "ipu-partition", "optimum-graphcore" if plan.expressible else "poptorch"],
    )
    body = "\n\n".join(part.strip("\n") for part in _parts(plan, repo, others))
    text = str(ModelCard(f"---\n{data.to_yaml(line_break=chr(10))}\n---\n\n{body}\n\n").content)
    return text + _MARK.format(digest(text))


def is_untouched(text: str) -> bool:
    """Whether `text` is a card of ours, to the letter: nobody added a word to it."""
    body, mark, rest = text.rpartition(_MARK.partition("{")[0])
    return bool(mark) and mark + rest == _MARK.format(digest(body))


def _parts(plan: PartitionPlan, repo: str | None, others: Sequence[PartitionPlan]) -> Iterator[str]:
    model, plans = plan.model, (plan, *others)
    yield f"# {escaped(model.name)} on Graphcore IPUs"
    yield _introduction(plan)
    yield "## Verdict"
    yield verdicts(plans)
    yield from _warnings(plan)
    yield "## Stages and memory"
    for name, mode in plan.modes().items():
        layers = (
            "" if mode.layers_per_ipu is None or not plan.expressible else f", `layers_per_ipu` {mode.layers_per_ipu}"
        )
        yield f"### {name.capitalize()}{layers}"
        yield stages(mode)
        yield memory(mode) if mode.ipus else "There is no cut whose memory could be given."
    yield "## Predicted rates"
    yield rates(plans)
    yield "## How to load"
    yield loading(plan, repo)
    yield "## Limits"
    yield _LIMITS
    yield "## What it was made for"
    yield "\n".join(f"* {label}: {value}" for label, value in _facts(plan))


def _introduction(plan: PartitionPlan) -> str:
    model = plan.model
    where = f" ([{hub_id(plan)}](https://huggingface.co/{hub_id(plan)}))" if hub_id(plan) else ""
    files = [
        "* `ipu_config.json`: what optimum-graphcore reads.",
        "* `ipu_partition_plan.json`: the plan, with every number on this page; `ipu-partition show` displays it.",
    ]
    if not plan.expressible:
        files.append("* `parallelize.py`: the cut as code for PopTorch.")
    return (
        f"This repository holds **no weights**. It says how {escaped(model.name)}{where}, "
        f"{escaped(model.architecture)} for {escaped(model.task)} with {count(model.parameters)} parameters, is cut "
        "into pipeline stages for Graphcore IPUs.\n\n" + "\n".join(files)
    )


def _warnings(plan: PartitionPlan) -> Iterator[str]:
    said = [finding.text for finding in plan.findings if finding.fatal] + list(plan.warnings)
    said += [text for mode in plan.modes().values() for text in mode.warnings if text not in said]
    if said:
        more = [f"* and {len(said) - _SHOWN} more, in the plan"] if len(said) > _SHOWN else []
        yield "\n".join([*(f"* {escaped(text, 400)}" for text in said[:_SHOWN]), *more])


def _facts(plan: PartitionPlan) -> Iterator[tuple[str, str]]:
    from .. import __version__

    model = plan.model
    yield (
        "shapes",
        ", ".join(f"{escaped(name)} {escaped(str(value))}" for name, value in model.shapes.items()) or "none",
    )
    for name, mode in plan.modes().items():
        work = mode.workload
        accumulation = f", gradient accumulation {work.gradient_accumulation}" if work.gradient_accumulation else ""
        optimizer = f", optimizer {escaped(work.optimizer)}" if name == "training" else ""
        yield name, f"micro-batch {work.micro_batch_size}, precision {escaped(work.precision)}{optimizer}{accumulation}"
    if model.revision is not None:
        yield "revision of the model", escaped(model.revision)
    if model.config:
        yield "fields set", ", ".join(f"{escaped(k)}={escaped(json.dumps(v))}" for k, v in sorted(model.config.items()))
    if model.transformers_version is not None:
        yield "model traced with", f"transformers {escaped(model.transformers_version)}; modules are named as there"
    yield "planned by", f"ipu-partition {__version__}, plan {plan.fingerprint()}, schema {plan.schema_version}"
