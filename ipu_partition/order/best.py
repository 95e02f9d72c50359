"""A model put in the order in which it is fastest."""

from __future__ import annotations

from ..devices import TorchMachine
from ..devices.solve import workload
from ..errors import UsageError
from ..prepare import Prepared
from ..request import ORDERS, Request
from .price import DEFAULT_SECONDS, Priced, priced
from .problems import Subject
from .reordered import reordered
from .words import LEAST, in_words, share

BEST = ORDERS[1]


def check_order(request: Request) -> None:
    """UsageError where a better order is asked for and cannot be had."""
    if request.order == BEST and not request.machine_file:
        raise UsageError(
            "order is 'best', but PopTorch begins its blocks in the order in which the model calls its modules: IPUs "
            "run in program order alone. `ipu-partition explain --order` says what that costs; other orders are for "
            "--machine FILE (target torch)."
        )
    if request.order == BEST and request.prefer != "time":
        raise UsageError(f"Orders are compared by time, and prefer is {request.prefer!r}. Leave one of the two out.")


def in_best_order(
    prepared: Prepared, request: Request, machine: TorchMachine, *, time_limit: float = DEFAULT_SECONDS
) -> tuple[Prepared, str, float]:
    """`prepared` in the best order that is found within `time_limit` seconds, what came of it in words, and what every
    plan in any order takes at least (us). It stays as it is where none is better by 0.01 %. UsageError as for
    :func:`.price.priced`; KeyboardInterrupt where it is interrupted."""
    work = workload(prepared, request, len(machine.devices))
    found = priced(Subject(prepared, work, machine), time_limit=time_limit)
    if found.interrupted:
        raise KeyboardInterrupt
    bound = found.lower_bound_us
    if found.kept or found.best is None or (found.loss is not None and found.loss < LEAST):
        return prepared, _kept(found), bound
    return reordered(prepared, found.best.order), f"In another order than the program's: {in_words(found)}.", bound


def _kept(found: Priced) -> str:
    if found.best is None:
        return "The program's order is kept: no plan was found that fits in any order."
    if found.proved and found.kept:
        return "The program's order is kept: no other is faster, proven."
    most = "" if not found.most_loss else f"; it costs at most {share(found.most_loss)}"
    return f"The program's order is kept: none that is worth it was found{most}."
