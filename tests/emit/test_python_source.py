"""The text of parallelize.py: readable, valid on the old host, and never anyone else's code."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipu_partition.emit.python_source import python_source
from ipu_partition.plan import PartitionPlan

NAMES = ["gpt2_medium", "overruled", "bart", "deberta", "inference_only", "not_fitting"]
HOSTILE = 'x"\n"""\nimport os; os.system("touch /pwned")\r#\u2028\u202e\x85\x0c\x00\\'


def test_golden(plans: ModuleType, golden: Path) -> None:
    assert python_source(plans.bart()) == (golden / "parallelize.py.txt").read_text(encoding="ascii")


@pytest.mark.parametrize("name", NAMES)
def test_python_3_8_and_few_imports(plans: ModuleType, name: str) -> None:
    tree = ast.parse(python_source(plans.ALL[name]()), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"poptorch", "torch", "typing", "weakref"}
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"__future__"}


@pytest.mark.parametrize("name", NAMES)
def test_same_plan_same_bytes(plans: ModuleType, name: str) -> None:
    plan = plans.ALL[name]()
    assert python_source(plan) == python_source(PartitionPlan.from_json(plan.to_json()))


def test_a_plan_that_does_not_fit_says_so(plans: ModuleType) -> None:
    assert "predicted NOT to fit" in python_source(plans.not_fitting())
    assert "predicted to fit" in python_source(plans.bart())


def hostile_plan(plans: ModuleType, text: str) -> PartitionPlan:
    blocks = [plans.block(text, 0, text + "id", (text + "other",))]
    adapter = {"kind": "weight-as-activation", "module": text, "method": text, "alternatives": [text]}
    changes = {"adapters": [adapter], "checkpoints": [{"module": text, "alternatives": [text]}]}
    model = dict.fromkeys(("name", "architecture", "task", "fingerprint", "transformers_version", "source"), text)
    training = plans.mode_plan(plans.workload("training", 1), blocks, **changes)
    made: PartitionPlan = plans.plan(training, None, model=model)
    return made


def shape(source: str) -> str:
    """The syntax tree with all strings blanked."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@settings(max_examples=50, deadline=None)
@given(text=st.text(min_size=1) | st.text(alphabet="'\"\\\n\r#{}%$\u2028é", min_size=1) | st.just(HOSTILE))
def test_names_stay_data(plans: ModuleType, text: str) -> None:
    source = python_source(hostile_plan(plans, text))
    assert source.isascii()
    assert shape(source) == shape(python_source(hostile_plan(plans, "plain")))
    table = next(n for n in ast.parse(source).body if isinstance(n, ast.Assign) and n.targets[0].id == "TRAINING")  # type: ignore[attr-defined]
    assert ast.literal_eval(table.value)["blocks"] == [((text, text + "other"), text + "id", 0)]
