"""`ipu-partition batch`: many models to folders that are ready for the Hub."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .common import DOES_NOT_FIT, FITS, INTERRUPTED
from .options import Parser, common_options, keywords, outlining_option, shape_options

if TYPE_CHECKING:
    from ..batch import Entry

_DESCRIPTION = """Plan many models for pods of several sizes, and write a folder for each that is ready for the Hub:
DIR/pod16/<model>-ipu with ipu_config.json, README.md and ipu_partition_plan.json, and DIR/summary.json. Each model is
traced once. A replica gets the number of IPUs (a power of two) that is predicted to be fastest when as many replicas
run as the pod has room for, pod size / IPUs; training and inference each get numbers of their own. The plan is made
for the first machine and predicted for the others. Run again, it goes on where it was stopped and does what is new or
out of date; a README.md that is there is never written over. A model that fails, or whose process is killed, is a
line of the summary, and the rest goes on."""

_LIST = """A list is text, a model and its options on each line, as in `roberta-base task=text-classification
sequence_length=384 config=num_labels=3`, with comments after #; or JSON Lines or a JSON list of objects, as in
{"model": "gpt2", "sequence_length": 512}. Names are those --model takes; folders are relative to the current directory,
not to the list. Options are the keywords of partition(), and go before those given here for all models. The list is
checked before anything runs: one option in it that cannot be ends the batch with exit code 2."""

_EXIT = """Exit codes: 0 everything is planned and fits, 2 usage, 3 something does not fit or failed (see the summary),
130 interrupted: what was finished is there, and the same command goes on."""


def parser() -> Parser:
    p = Parser(prog="ipu-partition batch", description=_DESCRIPTION, epilog=f"{_LIST} {_EXIT}")
    g = p.add_argument_group("models")
    which = g.add_mutually_exclusive_group(required=True)
    which.add_argument("--models", metavar="FILE", help="a list of models; see below")
    which.add_argument("--catalogue", metavar="NAME", nargs="*", help="built-in models (default: all of them)")
    g.add_argument("--task", metavar="TASK", help="a Transformers task (default: the family's)")
    g.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with Hub models (default: never)"
    )
    g = p.add_argument_group("where it runs")
    g.add_argument("--pods", type=int, nargs="+", default=[4, 16, 64], metavar="N", help="IPUs (default 4 16 64)")
    g.add_argument(
        "--machines", nargs="+", default=["mk2", "bow"], metavar="NAME",
        help="the first is planned for, the rates of all are predicted (default mk2 bow)",
    )  # fmt: skip
    shape_options(p.add_argument_group("input shapes, for the models that have them"))
    g = p.add_argument_group("how it runs")
    common_options(g)
    outlining_option(g)
    g.add_argument("--prefer", default="time", metavar="WHAT", help="what comes first, time or memory (default time)")
    g.add_argument("--planner", default="chain", metavar="SPEC", help="planner and its options (default chain)")
    g.add_argument("--fit", action="store_true", help="change options of what does not fit until it does")
    _engine_options(p.add_argument_group("processes"))
    g = p.add_argument_group("output")
    g.add_argument("--output", metavar="DIR", required=True, help="the folder to write to")
    g.add_argument("--force", action="store_true", help="do everything anew, and replace what is not ours")
    g.add_argument("--json", action="store_true", help="print summary.json, and nothing else, on stdout")
    return p


def _engine_options(g: Any) -> None:
    g.add_argument("--jobs", type=int, metavar="N", help="models at the same time (default: as cores and memory allow)")
    g.add_argument(
        "--backend", default="loky", metavar="NAME",
        help="a joblib backend: loky (default), threading, dask or ray; the last two join the cluster that "
        "DASK_SCHEDULER_ADDRESS or RAY_ADDRESS names",
    )  # fmt: skip
    g.add_argument("--timeout", type=float, metavar="S", help="give a model up after S seconds (default: never)")


def run(arguments: Sequence[str]) -> int:
    options = vars(parser().parse_args(arguments))
    names = ("output", "force", "json", "models", "catalogue", "pods", "machines", "jobs", "backend", "timeout")
    given = {name: options.pop(name) for name in names}
    from ..batch import Engine, batch
    from ..report.batch import counted, show_batch

    engine = Engine(given["backend"], given["jobs"], given["timeout"])
    entries = _entries(given["models"], given["catalogue"])
    with _stopping(), counted() as progress:
        done = batch(
            entries,
            given["output"],
            pods=given["pods"],
            machines=given["machines"],
            options={name: value for name, value in keywords(options).items() if value is not None},
            engine=engine,
            force=given["force"],
            progress=progress,
        )
    if given["json"]:
        sys.stdout.write(done.summary.to_json())
    else:
        show_batch(done.results, done.asked, done.kept)
    if done.interrupted:
        print(f"ipu-partition: interrupted; {_finished(done.results, done.asked)}", file=sys.stderr)
        return INTERRUPTED
    return FITS if done.complete else DOES_NOT_FIT


def _finished(results: Sequence[object], asked: int) -> str:
    return f"{len(results)} of {asked} folders are done. The same command goes on."


def _entries(file: str | None, names: Sequence[str] | None) -> list[Entry]:
    from ..batch import of_catalogue, read_entries

    return of_catalogue(names or ()) if file is None else read_entries(file)


@contextlib.contextmanager
def _stopping() -> Iterator[None]:
    """The first interruption, or request to end, stops the batch; while it stops, others change nothing."""

    def stop(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
