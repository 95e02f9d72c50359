"""`ipu-partition schema`: the JSON schema of a document."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .common import FITS
from .options import Parser


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition schema",
        description="Print the JSON schema of a document that ipu-partition writes.",
        epilog="Exit codes: 0 printed, 2 usage.",
    )
    p.add_argument("document", choices=("plan", "ipu-config"), help="which one")
    return p


def run(arguments: Sequence[str]) -> int:
    document = parser().parse_args(arguments).document
    from ..document import canonical_json
    from ..ipu_config import IPUConfig
    from ..plan import PartitionPlan

    sys.stdout.write(canonical_json(PartitionPlan.json_schema() if document == "plan" else IPUConfig.json_schema()))
    return FITS
