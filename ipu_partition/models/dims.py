"""How many elements each named dimension of an input has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .audio import feature_frames, mel_frames, samples, transcript
from .context import Context
from .image import image_side
from .table import constants
from .text import sequence, target

_RULES: Mapping[str, Callable[[Context], int]] = {
    "batch": lambda at: at.shapes.micro_batch_size,
    "sequence": sequence,
    "target": target,
    "image_height": lambda at: image_side(at, 0),
    "image_width": lambda at: image_side(at, 1),
    "samples": samples,
    "feature_frames": feature_frames,
    "transcript": transcript,
    "mel_frames": mel_frames,
}


def size(at: Context, dim: str) -> int:
    """By its rule, else the same for all models, else a field of the configuration.

    Raises:
        UsageError: a wish is impossible, or nothing says the size.
    """
    if dim in _RULES:
        return _RULES[dim](at)
    return constants().get(dim) or at.configured(dim)
