"""`ipu-partition check`: predict a configuration that somebody else wrote."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .common import DOES_NOT_FIT, FITS, interruptible
from .options import Parser, checked_options, keywords

_DESCRIPTION = """Predict an ipu_config.json for a model: memory of every IPU and rate, training and inference side, and
what is wrong with the file itself. Old files are read leniently. Where a trainer's command line overrides the file, so
do --replicas and --gradient-accumulation."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition check",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 fits and can run, 2 usage, 3 does not fit or cannot run as it is, 4 cannot be traced.",
    )
    checked_options(p)
    g = p.add_argument_group("output")
    g.add_argument("--json", action="store_true", help="print the plan document, and nothing else, on stdout")
    return p


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(arguments))
    as_json, model, ipu_config = (options.pop(name) for name in ("json", "model", "ipu_config"))
    from ..checked import check
    from ..report.progress import progress

    with interruptible(), progress() as report:
        plan = check(model, ipu_config, progress=report, **keywords(options))
    if as_json:
        sys.stdout.write(plan.to_json())
    else:
        from ..report.checked import show_checked

        show_checked(plan)
    return FITS if plan.fits and plan.sound else DOES_NOT_FIT
