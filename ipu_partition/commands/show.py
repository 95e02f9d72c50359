"""`ipu-partition show`: a plan that was written before."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..emit.files import check_directory
from ..errors import UsageError, one_line
from ..report.progress import progress
from .common import FITS, interruptible
from .emitting import emit_option, emitted, opening, put, wanted
from .options import Parser

if TYPE_CHECKING:
    from ..plan import PartitionPlan

_DESCRIPTION = """Show a plan that was written before: a plan file, or the folder it was saved in. Plans of earlier
versions and stale ones are shown too, and said to be that; an edited one is refused."""


def parser() -> Parser:
    p = Parser(prog="ipu-partition show", description=_DESCRIPTION, epilog="Exit codes: 0 shown, 2 usage.")
    p.add_argument("plan", metavar="PLAN", help="ipu_partition_plan.json, or a folder that holds it")
    p.add_argument("--json", action="store_true", help="print the document as this version writes it, and nothing else")
    p.add_argument("--audit", action="store_true", help="list which operations were counted, ignored or unknown")
    _emit_options(p.add_argument_group("in the words of other tools"))
    return p


def _emit_options(g: Any) -> None:
    emit_option(g)
    g.add_argument(
        "--mode", metavar="MODE", help="training or inference, which --emit says (default: what its tool does)"
    )
    g.add_argument("--output", metavar="DIR", help="the folder that --emit writes into")
    g.add_argument("--model", metavar="FOLDER", help="where the model is, of a plan that was read from a folder")
    g.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with a Hub model (default: never)"
    )


def run(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    formats = wanted(options.emit, options.output, options.json)
    if options.output is not None and not formats:
        raise UsageError("--output is the folder that --emit writes into; name a format: --emit device_map.")
    from ..plan import PartitionPlan

    plan = PartitionPlan.load(options.plan, stale=True)
    written = _emitted(plan, formats, options)
    if options.json:
        sys.stdout.write(plan.to_json())
    elif not formats or options.output is not None:
        _show(plan, options.audit)
        for line in written:
            print(one_line(line))
    return FITS


def _emitted(plan: PartitionPlan, formats: Sequence[str], options: Namespace) -> list[str]:
    if not formats:
        return []
    if options.output is not None:
        check_directory(options.output)
    with interruptible(), progress() as report:
        found = emitted(plan, formats, options.mode, progress=report, **opening(plan, vars(options)))
    return put(plan, found, options.output)


def _show(plan: PartitionPlan, audit: bool) -> None:
    from ..report.checked import show_checked
    from ..report.lists import render_audit
    from ..report.tables import words
    from ..report.terminal import show, show_plan
    from ..report.verified import verified_lines

    if reason := plan.stale:
        show(words(f"Stale: {reason}. What is predicted may be so no more; make the plan again.", "yellow"))
    (show_checked if plan.checked is not None else show_plan)(plan)
    for line in verified_lines(plan):
        show(line)
    if audit:
        show(render_audit(plan))
