"""`ipu-partition models`: list the built-in models."""

from __future__ import annotations

from collections.abc import Sequence

from .common import FITS
from .options import Parser


def run(arguments: Sequence[str]) -> int:
    p = Parser(prog="ipu-partition models", description="List the built-in models.")
    p.parse_args(arguments)
    from ..models import catalogue
    from ..report.lists import render_models
    from ..report.terminal import show

    show(render_models(catalogue()))
    return FITS
