"""What proofs cost, and what a planned split is worth where a pipeline can be run: on the processors of this machine.

    python benchmarks/verify.py [--json] [--proofs | --splits] [MODEL ...]

*Proofs*: for every model a fresh interpreter plans it for four IPUs and verifies training and inference at full size.
Seconds and peak memory are those of the verification and of the process.

*Splits*: this machine is measured (one thread each for two processes, and the link between them), GPT-2-like models
with heads of different weight are planned for it, and trained for a few steps with that split and with an even one
(`--planner uniform`: half of the layers on each process, but for a dropout, the embedding before and the head after).
They take turns, and the fastest of the medians counts. `measured` is the step time of the even split over that of the
planned one, `predicted` the same of the times that the plans predict.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before benchmarks/, where `planners` is a file

from benchmarks.planning import FAMILIES

HEADS = {
    "no head to speak of": {"vocab_size": 512, "n_embd": 256, "n_layer": 8, "n_head": 4},
    "head of two layers": {"vocab_size": 6_144, "n_embd": 256, "n_layer": 8, "n_head": 4},
    "head of eight layers": {"vocab_size": 24_576, "n_embd": 256, "n_layer": 8, "n_head": 4},
    "head of twenty layers": {"vocab_size": 60_000, "n_embd": 256, "n_layer": 8, "n_head": 4},
}
"""GPT-2-like models; a layer has 12 n_embd^2 weights, the head vocab_size x n_embd."""
SEQUENCE, MICRO_BATCHES, STEPS, TURNS = 128, 8, 5, 2


def prove(model: str) -> dict[str, Any]:
    """One model, in this process."""
    import torch

    from ipu_partition import partition

    torch.set_num_threads(1)
    plan = partition(model, ipus=4)
    begin = time.perf_counter()
    found = plan.verify(size="full")
    row: dict[str, Any] = {"model": model, "seconds": time.perf_counter() - begin, "passed": found.passed}
    row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    proofs = found.training or found.inference
    assert proofs is not None
    if proofs.equivalence is not None:
        row["largest_difference"] = proofs.equivalence.max_relative
        row["gradients"] = proofs.equivalence.gradients
    if proofs.placement is not None:
        row["ops"] = proofs.placement.ops
    row["difference"] = found.difference
    return row


def compare_splits() -> dict[str, Any]:
    """Planned against even splits on two processes of this machine."""
    from ipu_partition.devices.measure import measured, to_toml

    machine = measured("cpu", devices=2)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "machine.toml"
        file.write_text(to_toml(machine))
        rows = [_compare(name, config, file) for name, config in HEADS.items()]
    return {"machine": machine, "rows": rows}


def _compare(name: str, config: dict[str, int], machine: Path) -> dict[str, Any]:
    from transformers import GPT2Config

    from ipu_partition import partition
    from ipu_partition.engine import Options, run

    ids = {"bos_token_id": 0, "eos_token_id": 0}
    model = GPT2Config(**config, **ids, n_positions=SEQUENCE, architectures=["GPT2LMHeadModel"])
    ask: dict[str, Any] = {
        "ipus": 2, "mode": "training", "machine": str(machine), "sequence_length": SEQUENCE,
        "gradient_accumulation": MICRO_BATCHES,
    }  # fmt: skip
    plans = {"planned": partition(model, **ask), "even": partition(model, **ask, planner="uniform")}
    options = Options(ranks=2, steps=STEPS, micro_batches=MICRO_BATCHES, compare=False)
    seconds: dict[str, list[float]] = {which: [] for which in plans}
    for _ in range(TURNS):
        for which, plan in plans.items():
            seconds[which].append(run(plan, options, model).step_seconds)
    predicted = {which: plan.mode("training").predicted.update_us / 1e6 for which, plan in plans.items()}  # type: ignore[union-attr,operator]
    best = {which: min(found) for which, found in seconds.items()}
    return {
        "model": name,
        **{f"{which}_units": [len(s.units) for s in plan.mode("training").stages] for which, plan in plans.items()},
        **{f"{which}_s": best[which] for which in plans},
        **{f"{which}_predicted_s": predicted[which] for which in plans},
        "measured": best["even"] / best["planned"],
        "predicted": predicted["even"] / predicted["planned"],
    }


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", default=list(FAMILIES))
    p.add_argument("--json", action="store_true")
    p.add_argument("--proofs", action="store_true", help="only these")
    p.add_argument("--splits", action="store_true", help="only these")
    p.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.one:
        print(json.dumps(prove(options.models[0])))
        return
    proofs = [] if options.splits else [_proofs(model, not options.json) for model in options.models]
    splits = None if options.proofs else compare_splits()
    if options.json:
        print(json.dumps({"proofs": proofs, "splits": splits}, indent=2))
    elif splits is not None:
        _print_splits(splits)


def _proofs(model: str, show: bool) -> dict[str, Any]:
    run = subprocess.run([sys.executable, __file__, "--one", model], capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{model}: {run.stderr.strip().splitlines()[-1]}")
    row: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    if show:
        print(
            f"{model:38}{row['seconds']:8.1f} s{row['peak_mb']:8.0f} MB{row.get('ops', 0):8} ops"
            f"{row.get('gradients', 0):6} gradients, largest difference {row.get('largest_difference') or 0.0:.1e}  "
            + ("passed" if row["passed"] else f"FAILED: {row['difference']}"),
            flush=True,
        )
    return row


def _print_splits(found: dict[str, Any]) -> None:
    device = found["machine"]["device"]
    rate, link = device["flops_per_s"], device.get("link_bytes_per_s", 0.0)
    print(f"machine: {rate} FLOP/s, {device['bytes_per_s']:.3g} bytes/s, link {link:.3g} bytes/s")
    titles = f"{'planned':>10}{'even':>10}{'s planned':>11}{'s even':>9}{'measured':>10}{'predicted':>11}"
    print(f"{'GPT-2 with a':24}{titles}")
    for row in found["rows"]:
        units = ["/".join(map(str, row[f"{which}_units"])) for which in ("planned", "even")]
        print(
            f"{row['model']:24}{units[0]:>10}{units[1]:>10}{row['planned_s']:11.3f}{row['even_s']:9.3f}"
            f"{row['measured']:10.2f}{row['predicted']:11.2f}"
        )


if __name__ == "__main__":
    main()
