"""``python -m planners``: solve, evaluate, list.

Exit codes: 0 solved, or fits and all claims are confirmed; 1 internal, or a planner gave an answer that the judge
rejects; 2 usage, or a malformed document; 3 no assignment that fits, or the one given breaks rules or lacks memory;
5 a claim is not confirmed; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .commands import (
    INTERNAL,
    INTERRUPTED,
    USAGE,
    RejectedError,
    UsageError,
    evaluate_command,
    list_command,
    one_line,
    solve_command,
)
from .files import check_output

CODES = (
    "Exit codes: 0 solved, or fits and all claims confirmed; 1 internal; 2 usage or malformed document; 3 infeasible; "
    "5 a claim is not confirmed."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; try `python -m planners --help`")


def parser() -> argparse.ArgumentParser:
    p = _Parser(
        prog="python -m planners", description="Give every part of a chain or graph of work a device.", epilog=CODES
    )
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    solving = commands.add_parser("solve", help="print the solution of a problem", epilog=CODES)
    judging = commands.add_parser("evaluate", help="judge a solution of a problem", epilog=CODES)
    commands.add_parser("list", help="name the planners, their options and defaults")
    for command in (solving, judging):
        command.add_argument(
            "problem", metavar="PROBLEM", help="document of a chain or graph (JSON); - reads the standard input"
        )
        command.add_argument("--output", metavar="FILE", help="write there instead of to the standard output")
    judging.add_argument(
        "solution", metavar="SOLUTION", help="solution document, or the list of devices alone (JSON); - as above"
    )
    solving.add_argument("--planner", metavar="SPEC", help="name and options (default chain; auto for a graph)")
    solving.add_argument("--time-limit", type=float, metavar="S", help="seconds (default: the planner's own)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    try:
        return _run(vars(parser().parse_args(argv)))
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it exits
        return INTERNAL
    except OSError as error:
        return _failed(f"{error.strerror or error}: {error.filename or 'standard output'!r}", USAGE)
    except RejectedError as error:
        return _failed(str(error), INTERNAL)
    except ValueError as error:  # problems, specifications, usage; planners that refuse a problem
        return _failed(str(error), USAGE)
    except Exception as error:  # a defect of ours, or of a planner
        return _failed(f"internal error: {type(error).__name__}: {error}", INTERNAL)


def _run(options: dict[str, Any]) -> int:
    if options["command"] == "list":
        return list_command()
    if options["output"] is not None:
        check_output(options["output"])
    return (solve_command if options["command"] == "solve" else evaluate_command)(options)


def _failed(message: str, code: int) -> int:
    print(f"planners: {one_line(message)}", file=sys.stderr)
    return code
