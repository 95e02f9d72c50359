"""The text of parallelize.py: readable, valid on the old host, and never anyone else's code."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipu_partition.emit.python_source import python_source
from ipu_partition.errors import UsageError
from ipu_partition.plan import PartitionPlan

NAMES = ["gpt2_medium", "overruled", "bart", "deberta", "inference_only", "not_fitting"]
KINDS = {
    "weight-as-activation": {"method": "get"},
    "set-attribute": {"name": "layerdrop", "value": 0.0},
    "serialised-linear": {"value": 3},
    "static-function": {"class_name": "Layer", "method": "forward", "name": "torch", "value": "no-finite-check"},
}
HOSTILE = 'x"\n"""\nimport os; os.system("touch /pwned")\r#\u2028\u202e\x85\x0c\x00\\'


def test_golden(plans: ModuleType, golden: Path) -> None:
    plan = plans.bart()
    source = python_source(plan).replace(plan.fingerprint(), "<fingerprint>")  # it depends on the rules of cost
    assert source == (golden / "parallelize.py.txt").read_text(encoding="ascii")


@pytest.mark.parametrize("name", NAMES)
def test_python_3_8_and_few_imports(plans: ModuleType, name: str) -> None:
    tree = ast.parse(python_source(plans.ALL[name]()), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"poptorch", "torch", "typing"}
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"__future__"}


@pytest.mark.parametrize("name", NAMES)
def test_same_plan_same_bytes(plans: ModuleType, name: str) -> None:
    plan = plans.ALL[name]()
    assert python_source(plan) == python_source(PartitionPlan.from_json(plan.to_json()))


def test_a_plan_that_does_not_fit_says_so(plans: ModuleType) -> None:
    assert "predicted NOT to fit" in python_source(plans.not_fitting())
    assert "predicted to fit" in python_source(plans.bart())


def hostile_plan(plans: ModuleType, text: str) -> PartitionPlan:
    blocks = [{**plans.block(text, 0, text + "id", (text + "other",)), "parameters": 3, "rows": [2]}]
    place = {"module": text, "alternatives": [text]}
    adapters = [
        {"kind": "weight-as-activation", "method": text, **place},
        {"kind": "set-attribute", "name": text, "value": True, **place},
        {"kind": "static-function", "class_name": text, "method": text, "name": text, "value": "dropout", **place},
    ]
    changes = {"adapters": adapters, "checkpoints": [{"module": text, "alternatives": [text]}]}
    model = dict.fromkeys(("name", "architecture", "task", "fingerprint", "transformers_version", "source"), text)
    training = plans.mode_plan(plans.workload("training", 1), blocks, **changes)
    made: PartitionPlan = plans.plan(training, None, model=model)
    return made


def with_adapters(plans: ModuleType, *kinds: str) -> PartitionPlan:
    adapters = [{"kind": kind, "module": "m", **KINDS[kind]} for kind in kinds]
    training = plans.mode_plan(plans.workload("training", 1), [plans.block("m", 0)], adapters=adapters)
    made: PartitionPlan = plans.plan(training, None)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_holds_the_adapters_of_its_plan_alone(plans: ModuleType, kind: str) -> None:
    source = python_source(with_adapters(plans, kind))
    ast.parse(source, feature_version=(3, 8))
    assert [name for name in KINDS if f"_ADAPTERS[{name!r}] = ".replace("'", '"') in source] == [kind]
    assert len(source) < len(python_source(with_adapters(plans, *KINDS)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        {"value": [1]},
        {"value": "os.system"},
        {"method": 3},
        {"name": None, "method": None, "value": None},
        {"kind": "exec"},
        {"code": "1"},
    ],
)
def test_an_adapter_that_makes_no_sense_is_no_plan(plans: ModuleType, kind: str, change: dict[str, object]) -> None:
    data = plans.bart().to_dict()
    data["training"]["adapters"] = [{"kind": kind, "module": "m", **KINDS[kind], **change}]
    with pytest.raises(UsageError, match="adapters"):
        PartitionPlan.from_dict(data)


def test_nothing_runs_when_the_file_is_imported(plans: ModuleType) -> None:
    """Beside definitions: imports, literals, empty containers, names, and one object without state."""
    for node in ast.parse(python_source(with_adapters(plans, *KINDS))).body:
        parts = [] if isinstance(node, ast.FunctionDef | ast.ClassDef) else ast.walk(node)
        calls = [part for part in parts if isinstance(part, ast.Call)]
        assert isinstance(
            node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.Expr
        )
        assert not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant)
        assert [ast.unparse(call) for call in calls] in ([], ["_TorchWithoutChecks()"])


def shape(source: str) -> str:
    """The syntax tree with all strings blanked."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@settings(max_examples=50, deadline=None)
@given(
    text=st.text(min_size=1)
    | st.text(alphabet="'\"\\\n\r#{}%$\u2028é", min_size=1)
    | st.sampled_from([HOSTILE, "{0.__class__}", "{model}", "%(x)s", "__import__('os')", "\u2029\u0085", "-" * 10])
)
def test_names_stay_data(plans: ModuleType, text: str) -> None:
    source = python_source(hostile_plan(plans, text))
    assert source.isascii()
    assert shape(source) == shape(python_source(hostile_plan(plans, "plain")))
    table = next(n for n in ast.parse(source).body if isinstance(n, ast.Assign) and n.targets[0].id == "TRAINING")  # type: ignore[attr-defined]
    values = ast.literal_eval(table.value)
    assert values["blocks"] == [((text, text + "other"), text + "id", 0)]
    assert values["adapters"][1] == ("set-attribute", (text,), {"name": text, "value": True})
    assert values["sizes"] == {text: (3, (2,))}
