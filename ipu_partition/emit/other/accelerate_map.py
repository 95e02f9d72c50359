"""The `device_map` of accelerate and Transformers: {path of a module: device}.

It covers every parameter and buffer once, as coarsely as the cut allows; a tensor of a module that is on several
devices is named itself, as accelerate does. Tensors that are one, a module without others in it, and the classes that
Transformers keeps whole (`_no_split_modules`) are on one device.
Source: huggingface/accelerate:src/accelerate/big_modeling.py (1.15), `dispatch_model`; utils/modeling.py,
`check_device_map` and `infer_auto_device_map`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Unpack

from .emitted import Emitted, Opening, chosen
from .homes import coarse, homes_of
from .mixed import mixed
from .traced import Trace

if TYPE_CHECKING:
    from ...plan import PartitionPlan
    from ...plan_parts import ModeName


def device_map(plan: PartitionPlan, mode: ModeName | None = None, **opening: Unpack[Opening]) -> Emitted:
    """{path: device}, counted from 0, and the same as JSON; by default of the training plan.

    The model is built and traced again. Raises :class:`UsageError` where it cannot be, and :class:`TraceError`.
    """
    trace = Trace.of(plan, chosen(plan, mode), opening)
    homes, notes = homes_of(trace.model, trace.readers)
    value = coarse(homes)
    return Emitted(value, json.dumps(value, indent=2) + "\n", (*notes, *mixed(trace.traced, homes, value)))
