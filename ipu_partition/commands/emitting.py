"""`--emit`: the cut of a plan in the words of other tools, on stdout or in files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError, one_line

if TYPE_CHECKING:
    from ..emit.other import Emitted, Opening
    from ..plan import PartitionPlan


def emit_option(g: Any) -> None:
    g.add_argument(
        "--emit", metavar="FORMAT[,FORMAT]", action="append",
        help="say the cut as device_map (accelerate), megatron, split_spec (torch.distributed.pipelining) or vllm, "
        "which says inference where both modes are planned, the others training: with --output in files there, else "
        "one of them on stdout and nothing else",
    )  # fmt: skip


def wanted(texts: Sequence[str] | None, output: str | None, as_json: bool) -> tuple[str, ...]:
    """The formats to emit; UsageError where there is no such format, or stdout is to hold more than one document."""
    from ..emit.other import formats

    names = formats(texts or ())
    if names and output is None and (as_json or len(names) > 1):
        what = ", ".join([*names, *(["the plan (--json)"] if as_json else [])])
        raise UsageError(
            f"stdout holds one document, but {what} are asked for; write them into a folder: --output DIR."
        )
    return names


def emitted(plan: PartitionPlan, names: Sequence[str], mode: str | None = None, **opening: Any) -> dict[str, Emitted]:
    """By format."""
    from ..emit.other import EMITTERS

    return {name: EMITTERS[name].emit(plan, mode, **opening) for name in names}


def opening(plan: PartitionPlan, options: Mapping[str, Any]) -> Opening:
    """What the command line says of the model and `plan` does not hold."""
    held = plan.model.source in ("built-in", "hub")
    return {
        "model": None if held else options.get("model"),
        "trust_remote_code": bool(options.get("trust_remote_code")),
    }


def put(plan: PartitionPlan, found: Mapping[str, Emitted], output: str | None) -> list[str]:
    """Write the files into `output` and give the lines that say so; without it, print the one. What a report would
    say of the plan, and where a tool will do otherwise, is said on stderr."""
    from ..emit.files import write_all
    from ..emit.other import EMITTERS

    said = [f"{name}: {note}" for name, one in found.items() for note in one.notes]
    if output is None and found:
        said += [f"this plan is stale: {plan.stale}."] if plan.stale else []
        said += ["this plan DOES NOT FIT."] if not plan.fits else []
    for line in said:
        print(one_line(f"ipu-partition: {line}"), file=sys.stderr)
    if output is None:
        sys.stdout.write("".join(one.text for one in found.values()))
        return []
    texts = {EMITTERS[name].file_name: one.text for name, one in found.items()}
    return [f"wrote {path}" for path in write_all(output, texts)] if texts else []
