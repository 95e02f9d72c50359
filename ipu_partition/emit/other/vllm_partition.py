"""`VLLM_PP_LAYER_PARTITION`: how many layers each pipeline rank of vLLM runs.

The embeddings are on the first rank, the final norm and the head on the last, and every rank has a layer: one without
would hand on a residual stream that no layer has made.
Source: vllm-project/vllm:vllm/distributed/utils.py (0.33.0), `get_pp_indices`; vllm/model_executor/models/llama.py.
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

VARIABLE = "VLLM_PP_LAYER_PARTITION"
TOOL = "vLLM"
TASKS = ("text-generation",)


def vllm(plan: PartitionPlan, mode: ModeName | None = None, **_: Unpack[Opening]) -> Emitted:
    """The value of the variable, and an environment file that sets it; by default of the inference plan.

    A layer that the plan cuts is counted where most of its modules are. UsageError where vLLM cannot be told the cut:
    for models that do not generate text, and unless each device runs one stage with a layer.
    """
    part = chosen(plan, mode, "inference")
    layers = layers_of(plan, part, TOOL, TASKS)
    counts = layers.counts(part)
    nearest = [count for count in counts if count]
    near = f"The nearest is {VARIABLE}={_text(nearest)}, on {len(nearest)} ranks."
    one_stage_each(part, TOOL, near)
    if 0 in counts:
        raise UsageError(
            f"Every rank of vLLM runs a layer, but stage {counts.index(0)} of this plan has none. {near} `device_map` "
            "can say it."
        )
    text = f"# with --pipeline-parallel-size {len(counts)}\n{VARIABLE}={_text(counts)}\n"
    return Emitted(_text(counts), text, layers.differences(TOOL, len(counts) - 1))


def _text(counts: list[int]) -> str:
    return ",".join(map(str, counts))
