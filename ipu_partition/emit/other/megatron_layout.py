"""The string of Megatron-Core's `--pipeline-model-parallel-layout`.

`|` parts the stages; `E` is the embedding, which comes first, `t` a layer, `L` the final norm, the head and the loss,
which come last; `t*3` is three of them, and commas mean nothing.
Source: NVIDIA/Megatron-LM:megatron/core/transformer/pipeline_parallel_layer_layout.py (0.16.1),
`PipelineParallelLayerLayout.parse_str_to_list` and `validate_layer_layout`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from ...errors import UsageError
from .emitted import Emitted, Opening, chosen
from .layers import layers_of
from .ranks import one_stage_each

if TYPE_CHECKING:
    from ...plan import PartitionPlan
    from ...plan_parts import ModeName

TOOL = "Megatron"
TASKS = ("text-generation", "fill-mask", "pretraining")


def megatron(plan: PartitionPlan, mode: ModeName | None = None, **_: Unpack[Opening]) -> Emitted:
    """The layout, for a pipeline of as many ranks as it has parts; by default of the training plan.

    A layer that the plan cuts is counted where most of its modules are. UsageError where Megatron cannot be told the
    cut: for models of other kinds than its own, and unless each device runs one stage, which has a layer but where it
    is the first or the last.
    """
    part = chosen(plan, mode)
    layers = layers_of(plan, part, TOOL, TASKS)
    counts = layers.counts(part)
    last = len(counts) - 1
    near = f'The nearest is "{_layout([n for i, n in enumerate(counts) if n or i in (0, last)])}".'
    one_stage_each(part, TOOL, near)
    if 0 in counts[1:-1]:
        raise UsageError(
            f"Between the first and the last stage of Megatron are layers alone, but stage {1 + counts[1:].index(0)} "
            f"of this plan has none. {near} `device_map` can say it."
        )
    return Emitted(_layout(counts), _layout(counts) + "\n", layers.differences(TOOL, last))


def _layout(counts: list[int]) -> str:
    stages = [[_layers(count)] if count else [] for count in counts]
    stages[0].insert(0, "E")
    stages[-1].append("L")
    return "|".join(",".join(stage) for stage in stages)


def _layers(count: int) -> str:
    return "t" if count == 1 else f"t*{count}"
