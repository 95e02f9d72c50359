"""`ipu-partition --model NAME`: plan a model, print and write the plan."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..arguments import attached
from ..errors import one_line
from .common import DOES_NOT_FIT, FITS, interruptible
from .emitting import emit_option, emitted, opening, put, wanted
from .options import Parser, keywords, order_option, override_options, workload_options

if TYPE_CHECKING:
    from ..plan import PartitionPlan


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition",
        description="Cut a Transformers model into pipeline stages for Graphcore IPUs. No IPU, SDK or weights needed.",
        epilog="`ipu-partition models` lists the built-in models. Exit codes: 0 planned and fits, 1 internal, 2 usage, "
        "3 does not fit, 4 cannot be traced.",
    )
    p.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    workload_options(p)
    decided = p.add_argument_group("what you decide instead of the planner")
    override_options(decided)
    order_option(decided)
    _fit_options(p.add_argument_group("when it does not fit"))
    _output_options(p.add_argument_group("output"))
    return p


def _fit_options(g: Any) -> None:
    g.add_argument(
        "--fit", action="store_true",
        help="change options until it fits, in the way that is predicted to cost least time, and plan with that",
    )  # fmt: skip
    g.add_argument(
        "--levers", action="store_true", help="list what each change would save, and cost, where it fits too"
    )


def _output_options(g: Any) -> None:
    g.add_argument(
        "--output", metavar="DIR", help="write ipu_config.json, ipu_partition_plan.json and parallelize.py there"
    )
    g.add_argument(
        "--save-pretrained", metavar="DIR", help="write a folder for the Hub there: ipu_config.json, plan, model card"
    )
    emit_option(g)
    g.add_argument("--json", action="store_true", help="print the plan document, and nothing else, on stdout")
    g.add_argument("--audit", action="store_true", help="list which operations were counted, ignored or unknown")


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(attached(arguments)))
    output, folder = options.pop("output"), options.pop("save_pretrained")
    as_json, audit, model, emit = (options.pop(name) for name in ("json", "audit", "model", "emit"))
    formats = wanted(emit, output, as_json)
    from ..api import partition
    from ..devices import ipus_only
    from ..emit.files import check_directory
    from ..report.progress import progress
    from ..request import Request

    if folder is not None:
        ipus_only(Request(machine=options["machine"]), "--save-pretrained")
    for directory in (output, folder):
        if directory is not None:
            check_directory(directory)
    with interruptible(), progress() as report:
        plan = partition(model, progress=report, **keywords(options))
        others = emitted(plan, formats, progress=report, **opening(plan, {**options, "model": model}))
    written = [*_saved(plan, output), *put(plan, others, output), *_for_the_hub(plan, folder)]
    if not others or output is not None:
        _print(plan, as_json, audit, written)
    return FITS if plan.fits else DOES_NOT_FIT


def _saved(plan: PartitionPlan, output: str | None) -> list[str]:
    return [f"wrote {path}" for path in plan.save(output)] if output is not None else []


def _for_the_hub(plan: PartitionPlan, folder: str | None) -> list[str]:
    if folder is None:
        return []
    from ..hub import save

    saved = save(plan, folder)
    return [*(f"wrote {path}" for path in saved.written), *(f"kept {path}, which was there" for path in saved.kept)]


def _print(plan: PartitionPlan, as_json: bool, audit: bool, written: Sequence[str]) -> None:
    if as_json:
        sys.stdout.write(plan.to_json())
        return
    from ..report.lists import render_audit
    from ..report.terminal import show, show_plan

    show_plan(plan)
    if audit:
        show(render_audit(plan))
    for line in written:
        print(one_line(line))
