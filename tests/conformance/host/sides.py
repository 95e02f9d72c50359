"""The two ways to cut a model on the host: the real optimum class with our ipu_config.json, and our parallelize.py."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

from models import inputs_for, plain_model
from observe import Names, observed


def optimum(job: dict[str, Any], mode: str) -> dict[str, Any]:
    """In the steps of IPUTrainer: parallelize, then deparallelize and parallelize again. The class goes by the model's
    configuration, in which the plan says what to set."""
    from optimum.graphcore import IPUConfig
    from optimum.graphcore.modeling_utils import to_pipelined

    training = mode == "training"
    config = IPUConfig.from_pretrained(job["folder"])
    options = config.to_options(for_inference=not training, compile_only=True)
    model = to_pipelined(
        plain_model(job, job["modes"][mode]["settings"]), config.train() if training else config.eval()
    )
    names = Names(model)
    runs = []
    for _ in range(2):
        model.parallelize(**config._parallelize_kwargs)
        runs.append(observed(model, inputs_for(job, mode, model), options, names, training))
        model.deparallelize()
    problems = _file_problems(job["folder"])
    if type(model).__name__ != job["optimum_class"]:
        problems.append(f"the class is {type(model).__name__}, the plan says {job['optimum_class']}")
    return {**runs[0], "again": _done(runs[1]) == _done(runs[0]), "files": problems}


def plain(job: dict[str, Any], mode: str) -> dict[str, Any]:
    """The model of Transformers as it is, cut, restored and cut again by the generated code."""
    training = mode == "training"
    code = _module(Path(job["folder"]) / "parallelize.py")
    options = code.options(training=training)
    model = plain_model(job, {}).train(training)
    names, before = Names(model), sorted(model.state_dict())
    runs = []
    for _ in range(2):
        code.parallelize(model)
        runs.append(observed(model, inputs_for(job, mode, model), options, names, training))
        code.deparallelize(model)
    problems = [] if sorted(model.state_dict()) == before else ["deparallelize() leaves other names of weights"]
    blocks = [[paths[0], block, ipu] for paths, block, ipu in (code.TRAINING if training else code.INFERENCE)["blocks"]]
    if blocks != job["modes"][mode]["blocks"]:
        problems.append(f"parallelize.py begins the blocks {blocks}, the plan says {job['modes'][mode]['blocks']}")
    return {**runs[0], "again": _done(runs[1]) == _done(runs[0]), "files": problems}


def _done(run: dict[str, Any]) -> dict[str, Any]:
    """What was done in a pass: a class may leave a module behind that nothing calls any more."""
    return {**run, "calls": [row for row in run["calls"] if row[1]]}


def _file_problems(folder: str) -> list[str]:
    """The real class must read what our file says, and write what it reads as the same."""
    from optimum.graphcore import IPUConfig

    ours = json.loads((Path(folder) / "ipu_config.json").read_text(encoding="utf-8"))
    config = IPUConfig.from_pretrained(folder)
    found = [] if config.to_dict() == ours else [f"the real class reads {_different(config.to_dict(), ours)}"]
    with tempfile.TemporaryDirectory() as written:
        config.save_pretrained(written)
        again = IPUConfig.from_pretrained(written).to_dict()
    return found + ([] if again == ours else [f"the real class writes {_different(again, ours)}"])


def _different(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    keys = [key for key in sorted({*theirs, *ours}) if theirs.get(key, "nothing") != ours.get(key, "nothing")]
    return ", ".join(f"{key} = {theirs.get(key)!r} for {ours.get(key)!r}" for key in keys)


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("parallelize_under_test", str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
