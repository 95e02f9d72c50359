"""`ipu-partition show`: a plan that was written before."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .common import FITS
from .options import Parser

_DESCRIPTION = """Show a plan that was written before: a plan file, or the folder it was saved in. Plans of earlier
versions and stale ones are shown too, and said to be that; an edited one is refused."""


def parser() -> Parser:
    p = Parser(prog="ipu-partition show", description=_DESCRIPTION, epilog="Exit codes: 0 shown, 2 usage.")
    p.add_argument("plan", metavar="PLAN", help="ipu_partition_plan.json, or a folder that holds it")
    p.add_argument("--json", action="store_true", help="print the document as this version writes it, and nothing else")
    p.add_argument("--audit", action="store_true", help="list which operations were counted, ignored or unknown")
    return p


def run(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    from ..plan import PartitionPlan

    plan = PartitionPlan.load(options.plan, stale=True)
    if options.json:
        sys.stdout.write(plan.to_json())
        return FITS
    from ..report.checked import show_checked
    from ..report.lists import render_audit
    from ..report.tables import words
    from ..report.terminal import show, show_plan

    if reason := plan.stale:
        show(words(f"Stale: {reason}. What is predicted may be so no more; make the plan again.", "yellow"))
    (show_checked if plan.checked is not None else show_plan)(plan)
    if options.audit:
        show(render_audit(plan))
    return FITS
