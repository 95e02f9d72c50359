"""`ipu-partition push`: publish a plan on the Hub."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..errors import one_line
from .common import FITS
from .options import Parser

if TYPE_CHECKING:
    from ..hub import Pushed

_DESCRIPTION = """Push the configuration in a folder, or a plan, to a repository on the Hugging Face Hub, in one commit:
ipu_config.json, the plan and a model card, and parallelize.py where the first cannot say the cut. They are made anew
from the plan. A README.md that is there stays as it is; nothing else is touched."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition push",
        description=_DESCRIPTION,
        epilog="Log in with `hf auth login` or set HF_TOKEN. Exit codes: 0 pushed, 2 usage, or the Hub refuses.",
    )
    p.add_argument("source", metavar="DIR_OR_PLAN", help="a folder with a plan, or an ipu_partition_plan.json")
    p.add_argument("repo", metavar="REPO", help="owner/name, such as my-org/gpt2-medium-ipu; made where it is missing")
    p.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    p.add_argument("--revision", metavar="BRANCH", help="branch, made where it is missing (default main)")
    p.add_argument("--message", metavar="TEXT", help="of the commit")
    p.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing")
    p.add_argument("--dry-run", action="store_true", help="say what would be pushed; no network")
    p.add_argument(
        "--force", action="store_true", help="push a plan that does not fit, cannot run or is stale; the card says so"
    )
    p.add_argument("--json", action="store_true", help="print what was pushed as JSON, and nothing else, on stdout")
    return p


def run(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    from ..hub import Ask, opened, own_card, push

    plan = opened(options.source, stale=options.force)
    given = {} if options.message is None else {"message": options.message}
    ask = Ask(options.repo, options.private, options.revision, create_pr=options.create_pr, **given)
    done = push(plan, ask, dry_run=options.dry_run, force=options.force)
    if own_card(options.source, plan, options.repo):
        print("the README.md of the folder is not pushed: the card is made from the plan", file=sys.stderr)
    if options.json:
        sys.stdout.write(json.dumps(asdict(done), indent=2, sort_keys=True) + "\n")
    else:
        _print(done, options.dry_run)
    return FITS


def _print(done: Pushed, dry_run: bool) -> None:
    verb = "would push" if dry_run else "pushed"
    for name, bytes_ in done.files:
        print(f"{verb} {name} ({bytes_:,} bytes)")
    for name in done.kept:
        print(f"kept {name}, which was there")
    if dry_run:
        print(f"to {done.repo}, branch {one_line(done.revision)}; a README.md that is there would be kept")
    else:
        print(f"to {one_line(done.url or done.repo)}")
