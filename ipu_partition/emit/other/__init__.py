"""A cut in the words of other tools: what each reads to place the modules of a model on its devices.

Each function takes a plan and the mode to say (None: the one the tool is for, where it is planned), and raises
:class:`~ipu_partition.errors.UsageError` where the tool has no words for the cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ...errors import UsageError
from .accelerate_map import device_map
from .emitted import Emitted, Opening
from .megatron_layout import megatron
from .torch_split import split_spec
from .vllm_partition import vllm

__all__ = ["EMITTERS", "Emitted", "Emitter", "Opening", "device_map", "formats", "megatron", "split_spec", "vllm"]


@dataclass(frozen=True, slots=True)
class Emitter:
    file_name: str
    emit: Callable[..., Emitted]
    """Called with a plan, a mode or None, and :class:`Opening` as keywords."""


EMITTERS = {
    "device_map": Emitter("device_map.json", device_map),
    "megatron": Emitter("megatron_layout.txt", megatron),
    "split_spec": Emitter("split_spec.py", split_spec),
    "vllm": Emitter("vllm.env", vllm),
}


def formats(texts: Sequence[str]) -> tuple[str, ...]:
    """The formats that `texts` name, each a list with commas; every one once. UsageError for any other name."""
    names = [name.strip() for text in texts for name in text.split(",")]
    for name in names:
        if name not in EMITTERS:
            close = get_close_matches(name, EMITTERS, n=1)
            near = f" Did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"There is no format {name[:60]!r} to emit; expected one of {', '.join(EMITTERS)}.{near}")
    return tuple(dict.fromkeys(names))
