"""`ipu-partition explain`: why a model is cut as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..arguments import attached
from .common import DOES_NOT_FIT, FITS, interruptible
from .options import Parser, keywords, override_options, workload_options

_DESCRIPTION = """Say why a model is cut as it is: which IPU binds and what it spends its time and memory on, which cut
comes next and what it would cost, what one more layer on each IPU would do, and what keeps a model from fitting."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition explain",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 planned and fits, 2 usage, 3 does not fit, 4 cannot be traced.",
    )
    workload_options(p)
    override_options(p.add_argument_group("what you decide instead of the planner"))
    g = p.add_argument_group("output")
    g.add_argument("--json", action="store_true", help="print the explanation as JSON, and nothing else, on stdout")
    return p


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(attached(arguments)))
    as_json, model = options.pop("json"), options.pop("model")
    from ..api import explain
    from ..report.progress import progress

    with interruptible(), progress() as report:
        explanation = explain(model, progress=report, **keywords(options))
    if as_json:
        sys.stdout.write(explanation.to_json())
    else:
        from ..report.explanation import show_explanation

        show_explanation(explanation)
    return FITS if explanation.fits else DOES_NOT_FIT
