"""The plan as a document: it round-trips, and it refuses to contradict itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition.errors import UsageError
from ipu_partition.plan import PLAN_NAME, PartitionPlan
from tests.plans_edit import edited

NAMES = ["gpt2_medium", "overruled", "bart", "deberta", "inference_only", "not_fitting"]


@pytest.mark.parametrize("name", NAMES)
def test_json_round_trip(plans: ModuleType, name: str) -> None:
    plan = plans.ALL[name]()
    text = plan.to_json()
    assert PartitionPlan.from_json(text) == plan
    assert PartitionPlan.from_json(text).to_json() == text
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_save_writes_three_files_and_load_reads_them(plans: ModuleType, tmp_path: Path) -> None:
    plan = plans.gpt2_medium()
    paths = plan.save(tmp_path / "new" / "folder")
    assert [p.name for p in paths] == ["ipu_config.json", "ipu_partition_plan.json", "parallelize.py"]
    assert sorted(p.name for p in paths[0].parent.iterdir()) == [p.name for p in paths]
    assert PartitionPlan.load(paths[0].parent) == PartitionPlan.load(paths[1]) == plan


def test_saving_twice_gives_the_same_bytes(plans: ModuleType, tmp_path: Path) -> None:
    first = [p.read_bytes() for p in plans.bart().save(tmp_path)]
    assert [p.read_bytes() for p in plans.bart().save(tmp_path)] == first


def test_the_fingerprint_depends_on_all_but_the_seconds(plans: ModuleType) -> None:
    data = plans.bart().to_dict()
    old = plans.bart().fingerprint()
    assert data["fingerprint"] == old
    data["training"]["solution"]["seconds"] = 99.0
    assert PartitionPlan.from_dict(data).fingerprint() == old
    data["training"]["blocks"][0]["ipu"] = 1
    assert edited(data).fingerprint() != old


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "holds a JSON list"),
        (b"{}", "Make the plan again"),
        (b'{"schema_version": 4, "news": 1}', r"schema_version 4, this ipu-partition reads up to 3; upgrade"),
        (b'{"schema_version": "one"}', "schema_version"),
        (b'{"schema_version": true}', "schema_version is True"),
        (b'{"schema_version": 0}', "schema_version is 0"),
        (b'{"schema_version": 3, "schema_version": 3}', "'schema_version' is there twice"),
        (b'{"schema_version": NaN}', "NaN is no number"),
        (b'{"schema_version": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b'{"schema_version": "\\ud800"}', "is not JSON"),
    ],
)
def test_an_unreadable_plan_is_a_usage_error(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / PLAN_NAME
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message) as error:
        PartitionPlan.load(tmp_path)
    assert str(file) in str(error.value)


@pytest.mark.parametrize("path", ["missing.json", "nul\0byte"])
def test_a_missing_file_is_a_usage_error(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        PartitionPlan.load(f"{tmp_path}/{path}")


def change(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def edit(data: dict[str, Any]) -> None:
        place: Any = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return edit


CONTRADICTIONS = {
    "add up": change("training", "ipus", 0, "memory", "total_bytes", to=1),
    "capacity": change("training", "ipus", 0, "memory", "capacity_bytes", to=1),
    "modes say otherwise": change("fits", to=False),
    "status": change("training", "status", to="infeasible"),
    "the gap is": change("training", "solution", "gap", to=0.2),
    "layers_per_ipu has": change("training", "layers_per_ipu", to=[24]),
    "ipus are not": change("training", "ipus", 0, "ipu", to=3),
    "IPU beyond": change("training", "blocks", 0, "ipu", to=8),
    "stage indices": change("training", "stages", 0, "index", to=4),
    "needs at least 17": change("training", "workload", "gradient_accumulation", to=16),
    "matmul_proportion has": change("training", "workload", "matmul_proportion", to=[0.2]),
    "does not belong": change("inference", "workload", "schedule", to="pipelined-training"),
    "cycle_us where": change("inference", "predicted", "cycle_us", to=3.0),
    "predicted times": change("inference", "predicted", to=None),
    "a shortfall": change("training", "shortfall", to={"ipu": 0, "bytes": 1, "terms": {}}),
    "is for inference": change("training", "workload", to=None),
    "optimum_class": change("optimum_class", to=None),
    "layers of 2 IPUs, training has 8": change("overrides", to={"layers": [12, 12]}),
    "pin 'lm_head' to an IPU beyond 3 in inference": change("overrides", to={"pins": {"lm_head": 5}}),
    "put memory first, training puts time": change("overrides", to={"prefer": "memory"}),
    "of the other criterion": change("training", "solution", "lower_bound_bytes", to=3),
    "the fullest IPU has": change("training", "solution", "peak_bytes", to=3),
    "proved that nothing does": change("training", "solution", "proved", to=True),
    "says what else is proved": change("training", to=None),
    "Extra inputs": change("training", "extra", to=1),
    "valid integer": change("training", "stages", 0, "ipu", to=True),
    "finite": change("training", "predicted", "samples_per_second", to=float("nan")),
}


@pytest.mark.parametrize("message", CONTRADICTIONS)
def test_a_contradiction_is_refused(plans: ModuleType, message: str) -> None:
    data = plans.gpt2_medium().to_dict()
    CONTRADICTIONS[message](data)
    if message == "says what else is proved":
        data = plans.bart().to_dict()
        data["training"]["solution"]["refined"] = True
    if message == "is for inference":
        data["training"]["workload"] = data["inference"]["workload"] | {"ipus": 8}
        data["training"]["predicted"] |= {"cycle_us": None, "latency_us": 1.0}
    with pytest.raises(UsageError, match=message):
        PartitionPlan.from_dict(data)


def test_a_plan_without_modes_is_refused(plans: ModuleType) -> None:
    data = plans.bart().to_dict() | {"training": None}
    with pytest.raises(UsageError, match="neither training nor inference"):
        PartitionPlan.from_dict(data)


def test_the_error_shows_a_few_problems_shortly() -> None:
    with pytest.raises(UsageError, match=r"and \d+ more") as error:
        PartitionPlan.from_dict({"schema_version": 3, "model": {"name": "x" * 10_000}})
    assert len(str(error.value)) < 1000


def test_blocks_of_a_mode(plans: ModuleType) -> None:
    assert plans.gpt2_medium().blocks("inference")[-1].module == "lm_head"
    with pytest.raises(UsageError, match="no inference part, only training"):
        plans.bart().blocks("inference")


def test_reading_and_saving_a_plan_needs_no_torch(plans: ModuleType, tmp_path: Path) -> None:
    plans.bart().save(tmp_path)
    code = (
        "import sys; from ipu_partition.plan import PartitionPlan; "
        f"PartitionPlan.load({str(tmp_path)!r}).save({str(tmp_path / 'copy')!r}); "
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert (tmp_path / "copy" / "parallelize.py").read_bytes() == (tmp_path / "parallelize.py").read_bytes()
