"""Sides of images, in pixels."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from .context import Context, count, field
from .table import constants
from .tasks import parameters


def image_side(at: Context, side: int) -> int:
    """Height (0) or width (1). Raises: UsageError where positions or patches do not allow it."""
    configured = field(at.config, "image_size")
    sides = [configured] * 2 if isinstance(configured, int) else configured
    if not (isinstance(sides, (list, tuple)) and len(sides) == 2):
        return at.shapes.image_size or constants()["image_size"]
    wanted = int(sides[side]) if at.shapes.image_size is None else at.shapes.image_size
    if wanted != sides[side] and "interpolate_pos_encoding" in parameters(at.model_class):
        raise UsageError(
            f"image_size is {wanted}, but {at.name} is configured with positions for images of {sides[side]}; override "
            "image_size in its configuration."
        )
    _check_patches(at, wanted)
    return wanted


def _check_patches(at: Context, side: int) -> None:
    """Every stage of a hierarchical model after the first halves the patches."""
    patch = count(field(at.config, "patch_size"))
    if patch is None:
        return
    depths: Any = getattr(at.config, "depths", None)
    least = patch * 2 ** (len(depths) - 1) if isinstance(depths, (list, tuple)) and depths else patch
    if side % patch or side < least:
        raise UsageError(
            f"image_size is {side}, but {at.name} needs a multiple of its patch size {patch} of at least {least}."
        )
