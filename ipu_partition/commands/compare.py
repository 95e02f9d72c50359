"""`ipu-partition compare`: our plan beside a configuration that somebody else wrote."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .common import DOES_NOT_FIT, FITS, interruptible
from .options import Parser, checked_options, keywords

_DESCRIPTION = """Plan a model under exactly the workload of an ipu_config.json, only the layers being free, and put
the two cuts side by side. Ours is never the worse one by the ruler both are measured with."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition compare",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 our plan fits, 2 usage, 3 it does not fit, 4 cannot be traced.",
    )
    checked_options(p)
    g = p.add_argument_group("our plan")
    g.add_argument("--planner", default="chain", metavar="SPEC", help="planner and its options (default chain)")
    g = p.add_argument_group("output")
    g.add_argument(
        "--json", action="store_true", help='print {"ours": ..., "theirs": ...}, plan documents, and nothing else'
    )
    return p


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(arguments))
    as_json, model, ipu_config = (options.pop(name) for name in ("json", "model", "ipu_config"))
    from ..compared import compare
    from ..report.progress import progress

    with interruptible(), progress() as report:
        comparison = compare(model, ipu_config, progress=report, **keywords(options))
    if as_json:
        sys.stdout.write(comparison.to_json())
    else:
        from ..report.compared import show_comparison

        show_comparison(comparison)
    return FITS if comparison.ours.fits else DOES_NOT_FIT
