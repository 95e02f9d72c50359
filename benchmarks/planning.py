"""How long planning takes, step by step, beside a bare `torch.export` of the same model in the same process.

    python benchmarks/planning.py [--json] [MODEL ...]

For every model a fresh interpreter measures: importing torch and transformers, one bare export per mode (the model
already built; before and after, the lower counts), and between them the whole of `partition()` and its steps.
`ratio` is the whole of `partition()`, heavy imports not counted, over the bare exports. `solve` is the
longest search of the planner, a part of `placing`. Peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # before benchmarks/, where `planners` is a file

FAMILIES = (
    "bert-base-uncased", "roberta-base", "microsoft/deberta-base", "gpt2", "facebook/bart-base", "t5-small",
    "unc-nlp/lxmert-base-uncased", "google/vit-base-patch16-224-in21k", "facebook/hubert-base-ls960",
    "facebook/wav2vec2-base",
)  # fmt: skip
LARGE = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 80, "hidden_size": 8192,
    "intermediate_size": 28672, "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 32000,
}  # fmt: skip
LARGE_NAME = "llama-2-70b-sized"
STEPS = ("building", "tracing", "costing", "placing")


def measure(model: str) -> dict[str, Any]:
    """Seconds of every step for one model, in this process."""
    begin = time.perf_counter()
    import torch
    import transformers

    _ = transformers.PretrainedConfig
    imported = time.perf_counter() - begin
    large = model == LARGE_NAME
    named = _large() if large else model
    before = _bare_exports(torch, model)

    from ipu_partition import partition

    marks: list[tuple[str, float]] = []
    begin = time.perf_counter()
    plan = partition(named, ipus=64 if large else 4, progress=lambda text: marks.append((text, time.perf_counter())))
    planned = time.perf_counter()
    source = plan.to_json()
    emitted = time.perf_counter()
    steps = _steps(marks, planned)
    export = min(before, _bare_exports(torch, model))
    return {
        "model": model,
        "import_s": imported,
        **steps,
        "emit_s": emitted - planned,
        "partition_s": planned - begin,
        "export_s": export,
        "ratio": (planned - begin) / export if export else None,
        "fits": plan.fits,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "document_bytes": len(source),
    }


def _bare_exports(torch: Any, model: str) -> float:
    """Both modes; 0.0 for the large configuration, which is there for its memory."""
    return 0.0 if model == LARGE_NAME else sum(_bare_export(torch, model, training) for training in (True, False))


def _bare_export(torch: Any, model: str, training: bool) -> float:
    """The model as `partition` builds it, exported by torch alone."""
    from ipu_partition.families import rule_for
    from ipu_partition.models import Shapes, build, example_inputs, resolve

    spec = resolve(model)
    rule = rule_for(spec.architecture)
    module, _ = build(spec, training=training)
    labels = not (training and rule is not None and rule.declared_loss)
    inputs = example_inputs(spec, Shapes(), training=training, with_labels=labels, model=module)
    module.train(training)
    begin = time.perf_counter()
    torch.export.export(module, (), inputs, strict=False)
    return time.perf_counter() - begin


def _large() -> Any:
    import transformers

    return transformers.AutoConfig.for_model(**LARGE)


def _steps(marks: list[tuple[str, float]], end: float) -> dict[str, float]:
    totals = dict.fromkeys(STEPS, 0.0)
    for (text, begin), (_, finish) in zip(marks, [*marks[1:], ("", end)], strict=True):
        step = text.split()[0]
        if step in totals:
            totals[step] += finish - begin
    solved = [float(match[1]) for text, _ in marks if (match := re.match(r"solved in ([\d.]+) s", text))]
    return {**{f"{step}_s": seconds for step, seconds in totals.items()}, "solve_s": max(solved, default=0.0)}


def _help_seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "ipu_partition", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", default=[*FAMILIES, LARGE_NAME])
    p.add_argument("--json", action="store_true")
    p.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.one:
        print(json.dumps(measure(options.models[0])))
        return
    rows = []
    for model in options.models:
        run = subprocess.run([sys.executable, __file__, "--one", model], capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(f"{model}: {run.stderr.strip().splitlines()[-1]}")
        rows.append(json.loads(run.stdout.splitlines()[-1]))
        if not options.json:
            _print_row(rows[-1], header=len(rows) == 1)
    if options.json:
        print(json.dumps({"help_s": min(_help_seconds() for _ in range(3)), "rows": rows}, indent=2))
    else:
        print(f"ipu-partition --help: {min(_help_seconds() for _ in range(3)):.2f} s")


def _print_row(row: dict[str, Any], header: bool) -> None:
    columns = [c for c in row if c.endswith("_s")]
    if header:
        print(f"{'model':36}" + "".join(f"{c[:-2]:>10}" for c in columns) + f"{'ratio':>8}{'peak MB':>9}")
    ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
    print(
        f"{row['model']:36}" + "".join(f"{row[c]:10.3f}" for c in columns) + f"{ratio:>8}{row['peak_mb']:9.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
