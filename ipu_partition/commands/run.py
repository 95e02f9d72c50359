"""`ipu-partition run`: train a plan for real, and hold it against one process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import VerificationError
from .common import FITS, interruptible
from .options import Parser

if TYPE_CHECKING:
    from ..engine import Ran

_DESCRIPTION = """Train the model of a plan for a few steps on this machine: torchrun with one process for each stage,
PyTorch's own pipeline (torch.distributed.pipelining) between them, random weights and data. On GPUs where there is one
for each stage, else on the CPU with one thread each. Then train the whole model in one process and compare the losses.
A plan whose stages are not one for each process is planned again, and the difference is printed."""

_EPILOG = """Exit codes: 0 the losses agree within 1e-4, 1 a stage failed, hung or was killed, 2 usage, 4 cannot be
traced, 5 the losses differ, 130 interrupted. Whatever happens, no process is left behind."""


def parser() -> Parser:
    p = Parser(prog="ipu-partition run", description=_DESCRIPTION, epilog=_EPILOG)
    p.add_argument("--plan", metavar="DIR", required=True, help="ipu_partition_plan.json, or a folder that holds it")
    p.add_argument("--model", metavar="NAME", help="the model, where the plan's name for it is not enough to find it")
    p.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with a Hub model (default: never)"
    )
    g = p.add_argument_group("how it runs")
    g.add_argument("--engine", default="torch", metavar="NAME", help="torch, PyTorch's own pipeline (default)")
    g.add_argument(
        "--nproc", type=int, metavar="N", help="processes, one for each stage (default: devices of the plan)"
    )
    g.add_argument("--steps", type=int, default=5, metavar="N", help="weight updates (default 5)")
    g.add_argument("--schedule", default="1f1b", metavar="NAME", help="1f1b or gpipe (default 1f1b)")
    g.add_argument(
        "--micro-batches", type=int, metavar="N", help="micro-batches of each step (default: twice the processes)"
    )
    g.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, data and dropout (default 0)")
    g.add_argument("--learning-rate", type=float, default=5e-5, metavar="X", help="of AdamW (default 5e-5)")
    g.add_argument("--no-compare", dest="compare", action="store_false", help="leave training in one process out")
    g.add_argument(
        "--timeout", type=float, metavar="S",
        help="give up when a stage works on one micro-batch, or gives no sign of life, for S seconds (default: 20, or "
        "five times the longest so far; more while it starts)",
    )  # fmt: skip
    g = p.add_argument_group("output")
    g.add_argument("--json", action="store_true", help="print what came of it as JSON, and nothing else, on stdout")
    return p


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(arguments))
    as_json, file, model, trust = (options.pop(name) for name in ("json", "plan", "model", "trust_remote_code"))
    ran = _ran(file, model, trust, options)
    _print(ran, as_json)
    return FITS if ran.passed else VerificationError.exit_code


def _ran(file: str, model: str | None, trust: bool, options: dict[str, Any]) -> Ran:
    from ..engine import Options, check_engine
    from ..plan import PartitionPlan
    from ..report.progress import progress

    check_engine(options.pop("engine"))
    ranks, timeout_s = options.pop("nproc"), options.pop("timeout")
    Options(ranks=1 if ranks is None else ranks, timeout_s=timeout_s, **options)  # before anything is read
    plan = PartitionPlan.load(file)
    if ranks is None:
        ranks = plan.mode("training").workload.ipus
    asked = Options(ranks=ranks, timeout_s=timeout_s, **options)
    with progress() as report:
        with interruptible():
            from ..engine.pipeline import opened

            pipeline = opened(plan, asked, model, report, trust_remote_code=trust)
        from ..engine.pipeline import train

        return train(pipeline, asked, report)


def _print(ran: Ran, as_json: bool) -> None:
    different = ran.first_difference
    if as_json:
        sys.stdout.write(ran.to_json())
    else:
        from ..report.run import render_run
        from ..report.terminal import show

        show(render_run(ran))
    if different is not None:
        print(
            f"ipu-partition: the loss of step {different.step} is {different.loss:.6f} in the pipeline and "
            f"{different.alone_loss:.6f} in one process.",
            file=sys.stderr,
        )
    elif not ran.passed:
        print(
            f"ipu-partition: in the first step the gradient of {ran.gradient!r} differs by "
            f"{ran.gradient_difference:.1e} of its size.",
            file=sys.stderr,
        )
