"""Options that several commands have, and what their texts mean."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ..arguments import counts, fields, homes, proportions
from ..errors import UsageError


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. Try `{self.prog} --help`.")


def workload_options(parser: argparse.ArgumentParser) -> None:
    """Everything that says which model is meant, and how it runs."""
    model_options(parser.add_argument_group("model"))
    shape_options(parser.add_argument_group("input shapes"))
    run_options(parser.add_argument_group("how it runs"))


def keywords(options: dict[str, Any]) -> dict[str, Any]:
    """The parsed options as keywords of `partition`: lists and mappings are read from their texts."""
    read = {
        "config": fields,
        "layers": counts("--layers"),
        "pins": homes,
        "matmul_proportion": proportions,
        "serialized_embedding_splits_per_ipu": counts("--serialized-embedding-splits-per-ipu"),
        "serialized_projection_splits_per_ipu": counts("--serialized-projection-splits-per-ipu"),
    }
    return {name: read[name](value) if name in read else value for name, value in options.items()}


def model_options(g: Any) -> None:
    g.add_argument("--model", metavar="NAME", help="catalogue name, Hub id, or folder with config.json")
    g.add_argument("--task", metavar="TASK", help="a Transformers task, e.g. text-generation (default: the family's)")
    g.add_argument(
        "--config", metavar="KEY=VALUE", nargs="+", action="extend", help="override fields of the configuration"
    )
    g.add_argument("--revision", metavar="REV", help="branch, tag or commit on the Hub")
    g.add_argument(
        "--trust-remote-code", action="store_true", help="run code that comes with a Hub model (default: never)"
    )


def shape_options(g: Any) -> None:
    g.add_argument("--sequence-length", type=int, metavar="N", help="tokens of the (encoder's) input")
    g.add_argument("--target-length", type=int, metavar="N", help="tokens of the decoder")
    g.add_argument("--image-size", type=int, metavar="N", help="pixels of a side")
    g.add_argument("--audio-seconds", type=float, metavar="S", help="length of the audio at 16 kHz")
    g.add_argument("--micro-batch-size", type=int, default=1, metavar="N", help="samples per micro-batch (default 1)")


def run_options(g: Any) -> None:
    g.add_argument(
        "--ipus", type=int, metavar="N", help="IPUs per replica (default: the smallest power of two that fits)"
    )
    g.add_argument("--replicas", type=int, default=1, metavar="N", help="copies of the pipeline (default 1)")
    common_options(g)
    _machine_options(g)


def common_options(g: Any) -> None:
    """How a model runs, but for the machine, IPUs and replicas."""
    _mode_option(g)
    g.add_argument(
        "--gradient-accumulation", type=int, metavar="N",
        help="micro-batches per weight update (default: smallest power of two >= 8 times the pipeline's need)",
    )  # fmt: skip
    g.add_argument(
        "--optimizer-state-offchip", action=argparse.BooleanOptionalAction, default=None,
        help="keep optimizer state in host memory (default: only where it does not fit on chip)",
    )  # fmt: skip
    g.add_argument("--replicated-tensor-sharding", action="store_true", help="share optimizer state among replicas")
    g.add_argument(
        "--recompute-checkpoint-every-layer", action=argparse.BooleanOptionalAction, default=True,
        help="keep the output of every layer, else recompute whole stages (default: keep)",
    )  # fmt: skip
    g.add_argument(
        "--precision", default="", metavar="P",
        help="16.16, 16.32 or 32.32 (default 16.16; 32.32 with a machine file)",
    )  # fmt: skip
    g.add_argument(
        "--matmul-proportion", default="0.2", metavar="X[,X,...]",
        help="available-memory proportion, one for all IPUs or one for each (default 0.2)",
    )  # fmt: skip
    _optimizer_options(g)
    _serialisation_options(g)
    g.add_argument(
        "--target", metavar="NAME",
        help="optimum: obey optimum-graphcore's class (default where there is one); poptorch: place blocks freely; "
        "torch: one stage on each device of a machine file (default with one)",
    )  # fmt: skip


def checked_options(parser: argparse.ArgumentParser) -> None:
    """What a configuration file does not say, or a trainer says instead of it, and the file."""
    model_options(parser.add_argument_group("model"))
    shape_options(parser.add_argument_group("input shapes"))
    g = parser.add_argument_group("how it runs")
    _mode_option(g)
    g.add_argument(
        "--replicas", type=int, metavar="N", help="copies of the pipeline, instead of the file's, in all modes"
    )
    g.add_argument(
        "--gradient-accumulation", type=int, metavar="N",
        help="micro-batches per weight update, instead of the file's (as IPUTrainer's option)",
    )  # fmt: skip
    _optimizer_options(g)
    g.add_argument(
        "--precision", metavar="P",
        help="16.16, 16.32 or 32.32 (default 16.16, or 16.32 where the file says no half partials)",
    )  # fmt: skip
    _machine_options(g)
    g = parser.add_argument_group("configuration")
    g.add_argument("--ipu-config", required=True, metavar="FILE", help="ipu_config.json, or a folder that holds it")
    g.add_argument(
        "--pod", metavar="NAME",
        help="the entry to take where an old file has values by machine, such as pod16 (default: its default)",
    )  # fmt: skip


def _mode_option(g: Any) -> None:
    g.add_argument("--mode", default="both", metavar="MODE", help="training, inference or both (default both)")


def _machine_options(g: Any) -> None:
    outlining_option(g)
    g.add_argument(
        "--machine", default="mk2", metavar="NAME",
        help="mk2 or bow (default mk2), or a .toml or .json file that describes other devices",
    )  # fmt: skip


def outlining_option(g: Any) -> None:
    g.add_argument(
        "--no-outlining", dest="outlining", action="store_false", help="equal layers on an IPU do not share their code"
    )


def _optimizer_options(g: Any) -> None:
    g.add_argument(
        "--optimizer", default="adamw", metavar="NAME", help="adamw, lamb, sgd or sgd-momentum (default adamw)"
    )
    kept = {
        "accum-type": "gradient accumulators",
        "first-order-momentum-accum-type": "the first moment",
        "second-order-momentum-accum-type": "the second moment",
    }
    for name, what in kept.items():
        g.add_argument(f"--{name}", metavar="TYPE", help=f"fp16 or fp32, of {what} (default: as optimum's trainer)")


def _serialisation_options(g: Any) -> None:
    for layer in ("embedding", "projection"):
        g.add_argument(
            f"--{layer}-serialization-factor", type=int, default=1, metavar="N",
            help=f"pieces in which the {layer} is worked on (default 1)",
        )  # fmt: skip
        g.add_argument(
            f"--serialized-{layer}-splits-per-ipu", metavar="N,N,...", help=f"pieces of the {layer} on each IPU"
        )


def override_options(g: Any) -> None:
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
        "--planner", default="", metavar="SPEC",
        help='planner and its options, e.g. uniform or "chain{time_limit=30}" (default chain; machine file: inline)',
    )  # fmt: skip


def order_option(g: Any) -> None:
    g.add_argument(
        "--order", default="program", metavar="WHICH",
        help="with a machine file: program, or best, which looks for an order of the model's parts that is faster "
        "(default program)",
    )  # fmt: skip
