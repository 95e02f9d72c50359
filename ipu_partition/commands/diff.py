"""`ipu-partition diff`: what differs between two plans."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .common import FITS
from .options import Parser

_DESCRIPTION = """Say what differs between two plans: what was asked, where modules are, what each IPU holds, what is
predicted. Plans of earlier versions and stale ones may be compared too."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition diff", description=_DESCRIPTION, epilog="Exit codes: 0 compared, whatever differs; 2 usage."
    )
    p.add_argument("before", metavar="A", help="ipu_partition_plan.json, or a folder that holds it")
    p.add_argument("after", metavar="B", help="the same")
    p.add_argument("--json", action="store_true", help="print every value that differs as JSON, and nothing else")
    return p


def run(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    from ..difference import changes, changes_json
    from ..plan import PartitionPlan

    before, after = (PartitionPlan.load(path, stale=True) for path in (options.before, options.after))
    found = changes(before, after)
    if options.json:
        sys.stdout.write(changes_json(found))
    else:
        from ..report.difference import render_changes
        from ..report.terminal import show

        show(render_changes(found))
    return FITS
