"""`ipu-partition explain`: why a model is cut as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..arguments import attached
from ..errors import UsageError
from .common import DOES_NOT_FIT, FITS, interruptible
from .options import Parser, keywords, override_options, workload_options

_DESCRIPTION = """Say why a model is cut as it is: which IPU binds and what it spends its time and memory on, which cut
comes next and what it would cost, what one more layer on each IPU would do, and what keeps a model from fitting.

With --order: what it costs to run the model in the order of its program, one of many in which it could run."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition explain",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 planned and fits, 2 usage, 3 does not fit, 4 cannot be traced.",
    )
    workload_options(p)
    override_options(p.add_argument_group("what you decide instead of the planner"))
    _order_options(p.add_argument_group("the order of the program"))
    g = p.add_argument_group("output")
    g.add_argument("--json", action="store_true", help="print the explanation as JSON, and nothing else, on stdout")
    return p


def _order_options(g: Any) -> None:
    g.add_argument(
        "--order", action="store_true",
        help="say what it costs to keep to it: the best plan in it, the best found in any order, a bound on all; also "
        "for a machine file",
    )  # fmt: skip
    g.add_argument(
        "--granularity", metavar="WHAT", help="what changes places: module (default), or op for single operations"
    )
    g.add_argument(
        "--time-limit", type=float, metavar="S", help="seconds to look for a better order, for each mode (default 25)"
    )


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(attached(arguments)))
    as_json, model = options.pop("json"), options.pop("model")
    search = {name: value for name in ("granularity", "time_limit") if (value := options.pop(name)) is not None}
    if options.pop("order"):
        return _order(model, as_json, {**keywords(options), **search})
    if search:
        raise UsageError(f"--{next(iter(search)).replace('_', '-')} is about --order, which is not given.")
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


def _order(model: str | None, as_json: bool, options: dict[str, Any]) -> int:
    from ..api import explain_order
    from ..report.progress import progress

    with interruptible(), progress() as report:
        explanation = explain_order(model, progress=report, **options)  # type: ignore[arg-type]
    if as_json:
        sys.stdout.write(explanation.to_json())
    else:
        from ..report.order import show_order

        show_order(explanation)
    return FITS if explanation.fits else DOES_NOT_FIT
