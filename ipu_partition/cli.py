"""The command line.

Exit codes: 0 planned and fits, 1 internal, 2 usage, 3 does not fit, 4 cannot be traced, 5 verification failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__
from .arguments import attached, counts, fields, homes
from .errors import PartitionError, UsageError

if TYPE_CHECKING:
    from .plan import PartitionPlan

FITS, INTERNAL, DOES_NOT_FIT, INTERRUPTED = 0, 1, 3, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. Try `ipu-partition --help`.")


def parser() -> argparse.ArgumentParser:
    p = _Parser(
        prog="ipu-partition",
        description="Cut a Transformers model into pipeline stages for Graphcore IPUs. No IPU, SDK or weights needed.",
        epilog="`ipu-partition models` lists the built-in models. Exit codes: 0 planned and fits, 1 internal, 2 usage, "
        "3 does not fit, 4 cannot be traced.",
    )
    p.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _model_options(p.add_argument_group("model"))
    _shape_options(p.add_argument_group("input shapes"))
    _run_options(p.add_argument_group("how it runs"))
    _override_options(p.add_argument_group("what you decide instead of the planner"))
    _output_options(p.add_argument_group("output"))
    return p


def _model_options(g: Any) -> None:
    g.add_argument("--model", metavar="NAME", help="catalogue name, Hub id, or folder with config.json")
    g.add_argument("--task", metavar="TASK", help="a Transformers task, e.g. text-generation (default: the family's)")
    g.add_argument(
        "--config", metavar="KEY=VALUE", nargs="+", action="extend", help="override fields of the configuration"
    )
    g.add_argument("--revision", metavar="REV", help="branch, tag or commit on the Hub")
    g.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with a Hub model (default: never)"
    )


def _shape_options(g: Any) -> None:
    g.add_argument("--sequence-length", type=int, metavar="N", help="tokens of the (encoder's) input")
    g.add_argument("--target-length", type=int, metavar="N", help="tokens of the decoder")
    g.add_argument("--image-size", type=int, metavar="N", help="pixels of a side")
    g.add_argument("--audio-seconds", type=float, metavar="S", help="length of the audio at 16 kHz")
    g.add_argument("--micro-batch-size", type=int, default=1, metavar="N", help="samples per micro-batch (default 1)")


def _run_options(g: Any) -> None:
    g.add_argument(
        "--ipus", type=int, metavar="N", help="IPUs per replica (default: the smallest power of two that fits)"
    )
    g.add_argument("--mode", default="both", metavar="MODE", help="training, inference or both (default both)")
    g.add_argument("--replicas", type=int, default=1, metavar="N", help="copies of the pipeline (default 1)")
    g.add_argument(
        "--gradient-accumulation", type=int, metavar="N",
        help="micro-batches per weight update (default: smallest power of two >= 8 times the pipeline's need)",
    )  # fmt: skip
    g.add_argument("--optimizer", default="adamw", metavar="NAME", help="adamw, lamb or sgd (default adamw)")
    g.add_argument(
        "--optimizer-state-offchip", action=argparse.BooleanOptionalAction, default=None,
        help="keep optimizer state in host memory (default: only where it does not fit on chip)",
    )  # fmt: skip
    g.add_argument("--replicated-tensor-sharding", action="store_true", help="share optimizer state among replicas")
    g.add_argument(
        "--no-recompute-checkpoint-every-layer", dest="recompute_checkpoint_every_layer", action="store_false",
        help="recompute whole stages instead of single layers",
    )  # fmt: skip
    g.add_argument("--precision", default="16.16", metavar="P", help="16.16, 16.32 or 32.32 (default 16.16)")
    g.add_argument(
        "--matmul-proportion", type=float, default=0.2, metavar="X", help="available-memory proportion (default 0.2)"
    )
    g.add_argument("--machine", default="mk2", metavar="NAME", help="mk2 or bow (default mk2)")
    g.add_argument(
        "--target", metavar="NAME",
        help="optimum: obey optimum-graphcore's class (default where there is one); poptorch: place blocks freely",
    )  # fmt: skip


def _override_options(g: Any) -> None:
    g.add_argument(
        "--layers", metavar="N,N,...",
        help="layers on each IPU, counted as layers_per_ipu counts them; -1: the planner chooses the number",
    )  # fmt: skip
    g.add_argument(
        "--pin", dest="pins", metavar="MODULE=IPU", action="append",
        help="put a module on an IPU, counted from 0; may be repeated",
    )  # fmt: skip
    g.add_argument("--prefer", default="time", metavar="WHAT", help="what comes first, time or memory (default time)")
    g.add_argument(
        "--planner", default="chain", metavar="SPEC",
        help='planner and its options, e.g. uniform or "chain{time_limit=30}" (default chain)',
    )  # fmt: skip


def _output_options(g: Any) -> None:
    g.add_argument(
        "--output", metavar="DIR", help="write ipu_config.json, ipu_partition_plan.json and parallelize.py there"
    )
    g.add_argument("--json", action="store_true", help="print the plan document, and nothing else, on stdout")
    g.add_argument("--audit", action="store_true", help="list which operations were counted, ignored or unknown")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _models(arguments[1:]) if arguments[:1] == ["models"] else _plan(arguments)
    except PartitionError as error:
        print(f"ipu-partition: {_one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ipu-partition: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return INTERNAL
    except OSError as error:
        print(f"ipu-partition: {error.strerror or error}: {error.filename or 'standard output'}", file=sys.stderr)
        return UsageError.exit_code
    except Exception as error:  # a defect of ours
        print(f"ipu-partition: internal error: {type(error).__name__}: {_one_line(str(error))}", file=sys.stderr)
        print(
            "Please report it with the command you ran; IPU_PARTITION_DEBUG=1 shows where it happened.", file=sys.stderr
        )
        if _debug():
            raise
        return INTERNAL


def _plan(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(attached(arguments)))
    output, as_json, audit, model = (options.pop(name) for name in ("output", "json", "audit", "model"))
    options |= {
        "config": fields(options["config"]),
        "layers": counts(options["layers"]),
        "pins": homes(options["pins"]),
    }
    from .api import partition
    from .report.progress import progress

    if output is not None:
        from .emit.files import check_directory

        check_directory(output)
    with interruptible(), progress() as report:
        plan = partition(model, progress=report, **options)
    written = plan.save(output) if output is not None else ()
    _print(plan, as_json, audit, [str(path) for path in written])
    return FITS if plan.fits else DOES_NOT_FIT


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """While planning, when nothing has been written, an interruption ends the process at once: torch's tracer may not
    survive an exception that is raised in the middle of it."""

    def leave(*_: object) -> None:
        os.write(2, b"\nipu-partition: interrupted; nothing was written.\n")
        os._exit(INTERRUPTED)

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print(plan: PartitionPlan, as_json: bool, audit: bool, written: Sequence[str]) -> None:
    if as_json:
        sys.stdout.write(plan.to_json())
        return
    from .report.lists import render_audit
    from .report.terminal import show, show_plan

    show_plan(plan)
    if audit:
        show(render_audit(plan))
    for path in written:
        print(f"wrote {_one_line(path)}")


def _models(arguments: Sequence[str]) -> int:
    p = _Parser(prog="ipu-partition models", description="List the built-in models.")
    p.parse_args(arguments)
    from .models import catalogue
    from .report.lists import render_models
    from .report.terminal import show

    show(render_models(catalogue()))
    return FITS


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _debug() -> bool:
    return bool(os.environ.get("IPU_PARTITION_DEBUG"))


if __name__ == "__main__":
    sys.exit(main())
