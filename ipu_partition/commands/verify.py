"""`ipu-partition verify`: prove a plan by running it on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arguments import attached
from ..errors import UsageError, VerificationError, one_line
from .common import FITS, interruptible
from .options import Parser, keywords, override_options, workload_options

if TYPE_CHECKING:
    from ..plan import PartitionPlan
    from ..verify import VerifiedPlan

_DESCRIPTION = """Prove a plan by running it on the CPU with random weights: every op lands where the plan says, the
stages compute what the whole model computes, and keep and exchange the bytes that the plan counts. The proofs are
written into the plan."""
_OURS = frozenset({"subject", "size", "json", "output"})
"""Options that do not say how to plan."""
_OF_A_PLAN = frozenset({"mode", "model", "trust_remote_code"})
"""Options that mean something where a plan is given; all others are in the plan."""
_NAMES = {"pins": "--pin", "outlining": "--no-outlining"}
"""Options that are not called as their keyword is."""


def parser() -> Parser:
    p = Parser(
        prog="ipu-partition verify",
        description=_DESCRIPTION,
        epilog="Exit codes: 0 all proofs passed, 2 usage, 4 cannot be traced, 5 a proof failed.",
    )
    p.add_argument(
        "subject", metavar="DIR_OR_MODEL",
        help="a plan (its file, or a folder that holds it); else a model, planned first with the options below",
    )  # fmt: skip
    p.add_argument(
        "--size", default="auto", metavar="SIZE",
        help="layers that are run: full, small (as few as the stages need) or auto (full where memory allows; default)",
    )  # fmt: skip
    workload_options(p)
    override_options(p.add_argument_group("what you decide instead of the planner"))
    p.add_argument_group("when it does not fit").add_argument(
        "--fit", action="store_true", help="change options until it fits, and plan with that"
    )
    g = p.add_argument_group("output")
    g.add_argument(
        "--output", metavar="DIR", help="write the verified plan there (default: into the plan given, else nowhere)"
    )
    g.add_argument("--json", action="store_true", help="print the plan document, and nothing else, on stdout")
    return p


def run(arguments: Sequence[str]) -> int:
    given = _given(attached(arguments))
    subject, output = given["subject"], given.get("output")
    file = plan_file(subject)
    options = {name: value for name, value in given.items() if name not in _OURS}
    _check(subject, file, options)
    _check_folders(file, output)
    found = _verified(subject, file, options, given.get("size", "auto"))
    _print(found, bool(given.get("json")), _written(found.plan, file, output))
    return FITS if found.passed else VerificationError.exit_code


def plan_file(subject: str) -> Path | None:
    """The file of the plan that `subject` names, behind links; None where it names a model."""
    from ..plan import PLAN_NAME

    path = Path(subject)
    if not subject:
        return None
    try:
        if (path / PLAN_NAME).exists():
            return (path / PLAN_NAME).resolve()
        return path.resolve() if path.exists() and not path.is_dir() else None
    except (OSError, ValueError) as error:
        raise UsageError(f"{subject[:80]!r} is neither a plan nor a model ({type(error).__name__}).") from error


def _given(arguments: Sequence[str]) -> dict[str, Any]:
    """The options that are there, and no defaults."""
    p = parser()
    p.set_defaults(**dict.fromkeys(vars(p.parse_args(arguments))))
    return {name: value for name, value in vars(p.parse_args(arguments)).items() if value is not None}


def _check(subject: str, file: Path | None, options: Mapping[str, Any]) -> None:
    """UsageError for options that go with a model where a plan is given, or the other way round."""
    strangers = sorted(_NAMES.get(name, f"--{name.replace('_', '-')}") for name in set(options) - _OF_A_PLAN)
    if file is not None and strangers:
        raise UsageError(
            f"{file} is a plan, which {', '.join(strangers)} cannot change; expected no options of the workload. Name "
            "the model instead to plan it anew."
        )
    if file is None and "model" in options:
        raise UsageError(
            f"{subject!r} is no plan, and --model names another model: one of them is too much. --model goes with a "
            "plan whose model cannot be found by its name."
        )


def _check_folders(file: Path | None, output: str | None) -> None:
    from ..emit.files import check_directory

    folder = output if output is not None or file is None else file.parent
    if folder is not None:
        check_directory(folder)


def _verified(subject: str, file: Path | None, options: dict[str, Any], size: str) -> VerifiedPlan:
    from ..api import partition
    from ..plan import PartitionPlan
    from ..report.progress import progress

    modes = None if options.get("mode", "both") == "both" else [options["mode"]]
    trust = options.get("trust_remote_code", False)
    with interruptible(), progress() as report:
        plan = partition(subject, progress=report, **keywords(options)) if file is None else PartitionPlan.load(file)
        _check_beside(plan, file)
        model = subject if file is None else options.get("model")
        return plan.verify(model, modes=modes, size=size, progress=report, trust_remote_code=trust)


def _check_beside(plan: PartitionPlan, file: Path | None) -> None:
    """VerificationError where a file beside the plan is not what the plan writes: it would run, and not be proved."""
    from ..emit.python_source import MODULE_NAME, python_source
    from ..ipu_config import CONFIG_NAME

    if file is None or plan.target == "torch":
        return
    for name, text in ((CONFIG_NAME, plan.ipu_config().to_json()), (MODULE_NAME, python_source(plan))):
        beside = file.parent / name
        if beside.is_file() and beside.read_bytes() != text.encode():
            raise VerificationError(
                f"{beside} is not what the plan beside it writes, and would not do what is proved of the plan. Write "
                "it anew: PartitionPlan.load(DIR).save(DIR), or make the plan again with --output DIR."
            )


def _written(plan: PartitionPlan, file: Path | None, output: str | None) -> Sequence[Path]:
    from ..emit.files import write_all

    if output is not None:
        return plan.save(output)
    return write_all(file.parent, {file.name: plan.to_json()}) if file is not None else ()


def _print(found: VerifiedPlan, as_json: bool, written: Sequence[Path]) -> None:
    if as_json:
        sys.stdout.write(found.plan.to_json())
        if found.difference is not None:
            print(f"ipu-partition: verification failed: {one_line(found.difference)}", file=sys.stderr)
        return
    from ..report.terminal import show
    from ..report.verified import render_verified

    show(render_verified(found.plan, found.proofs))
    for path in written:
        print(one_line(f"wrote {path}"))
