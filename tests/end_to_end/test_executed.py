"""The generated code, executed on small models with the poptorch stand-in: every weight lands where the plan says."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ipu_partition import PartitionPlan, partition
from ipu_partition.families import rule_for
from ipu_partition.models import Shapes, build, example_inputs, resolve, with_shapes
from ipu_partition.prepare import prepare, target_of
from ipu_partition.request import Request
from ipu_partition.verify import poptorch_standin
from ipu_partition.workload import Mode

from .families import FAMILIES, small_options


@pytest.fixture
def standin() -> Iterator[Any]:
    poptorch_standin.install()
    yield poptorch_standin
    poptorch_standin.uninstall()


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("parallelize_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("target", ["optimum", "poptorch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_is_where_the_plan_says(family: str, target: str, tmp_path: Path, standin: Any) -> None:
    options = small_options(family)
    plan = partition(FAMILIES[family], ipus=4, target=target, **options)  # type: ignore[arg-type]
    plan.save(tmp_path)
    code = _module(tmp_path / "parallelize.py")
    for mode in plan.modes():
        model, inputs, expected = _real_model(family, target, options, plan, mode)
        code.parallelize(model)
        with standin.recording(model) as record:
            model(**inputs)
        broken = standin.violations(record, code.options(training=mode == "training"), mode == "training")
        assert not broken, broken
        placed = record.parameter_ipus()
        for name, ipu in expected.items():
            assert placed[name] == (ipu,), f"{name} in {mode}"


def _real_model(
    family: str, target: str, options: dict[str, Any], plan: PartitionPlan, mode: str
) -> tuple[torch.nn.Module, dict[str, torch.Tensor], dict[str, int]]:
    """A CPU model with random weights, real inputs, and the IPU of every weight by the plan's units."""
    request = Request(target=target, **options)
    shapes = Shapes(**{k: v for k, v in options.items() if k != "config"})
    spec = with_shapes(resolve(FAMILIES[family], config=options["config"]), shapes)
    ready = prepare(spec, request, Mode(mode), target_of(spec, request), lambda _: None)
    training = mode == "training"
    host = rule_for(spec.architecture)
    meta, _ = build(spec, training=training)
    declared = host is not None and host.declared_loss is not None
    fake = example_inputs(spec, shapes, training=training, with_labels=not (training and declared), model=meta)
    model = spec.model_class._from_config(meta.config, attn_implementation="eager").train(training)  # type: ignore[attr-defined]
    inputs = {
        k: torch.zeros(v.shape, dtype=v.dtype) if not v.is_floating_point() else torch.randn(v.shape)
        for k, v in fake.items()
    }
    if "attention_mask" in inputs:
        inputs["attention_mask"].fill_(1)
    return model, inputs, _expected(ready, plan, mode)


def _expected(ready: Any, plan: PartitionPlan, mode: str) -> dict[str, int]:
    ipu_of = {u: stage.ipu for stage in plan.mode(mode).stages for u in stage.units}  # type: ignore[arg-type]
    moved = {a.parameter for a in ready.layout.adapters}
    found: dict[str, int] = {}
    for name, parameter in ready.graph.parameters.items():
        readers = ready.graph.readers(name)
        if readers and not parameter.buffer and name not in moved:
            found[name] = ipu_of[readers[0]]
    return found
