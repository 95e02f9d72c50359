"""Reading from the Hub, with huggingface_hub's own code talking to a Hub on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from huggingface_hub import constants

from ipu_partition.errors import UsageError
from ipu_partition.ipu_config import IPUConfig
from ipu_partition.plan import PartitionPlan

from .standin import TOKEN, Hub

REPO = "Graphcore/bert-base-ipu"
CONFIG = "ipu_config.json"
PLAN = "ipu_partition_plan.json"
READERS = [(IPUConfig, CONFIG), (PartitionPlan, PLAN)]


def _config(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_revision_is_a_branch_a_commit_or_the_newest(hub: Hub) -> None:
    first = hub.add(REPO, {CONFIG: _config(seed=1)})
    hub.add(REPO, {CONFIG: _config(seed=2)})
    hub.add(REPO, {CONFIG: _config(seed=3)}, "pod16")
    assert IPUConfig.from_pretrained(REPO).seed == 2
    assert IPUConfig.from_pretrained(REPO, revision="pod16").seed == 3
    assert IPUConfig.from_pretrained(REPO, first).seed == 1
    assert hub.changes() == []


def test_an_old_file_of_the_hub_is_translated(hub: Hub) -> None:
    tables = {"replication_factor": {"pod4": 1, "pod16": 4, "default": 4}, "layers_per_ipu": [0, 4, 4, 4]}
    hub.add(REPO, {CONFIG: _config(**tables, embedding_serialization_factor=0)})
    with pytest.warns(UserWarning, match="Taken: 'pod4'"):
        config = IPUConfig.from_pretrained(REPO, pod="pod4")
    assert config.replication_factor == 1
    assert {note.field for note in config.notes} == {"replication_factor", "embedding_serialization_factor"}


def test_a_plan_of_a_revision(plans: ModuleType, hub: Hub) -> None:
    hub.add(REPO, {PLAN: plans.bart().to_json().encode()}, "bart")
    hub.add(REPO, {PLAN: plans.gpt2_medium().to_json().encode()})
    assert PartitionPlan.from_pretrained(REPO, revision="bart") == plans.bart()
    assert PartitionPlan.from_pretrained(REPO) == plans.gpt2_medium()


@pytest.mark.parametrize(("kind", "file"), READERS, ids=str)
def test_what_is_not_there(hub: Hub, kind: Any, file: str) -> None:
    hub.add(REPO, {"config.json": b"{}"})
    with pytest.raises(UsageError, match=f"holds no {file}"):
        kind.from_pretrained(REPO)
    with pytest.raises(UsageError, match="has no revision 'nope'"):
        kind.from_pretrained(REPO, "nope")
    with pytest.raises(UsageError, match=r"no file or folder 'no/body', .* no such repository"):
        kind.from_pretrained("no/body")


@pytest.mark.parametrize(("kind", "file"), READERS, ids=str)
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"seed": NaN}', b"\xff\xfe", b"[" * 10**5], ids=repr)
def test_what_is_there_and_makes_no_sense(hub: Hub, kind: Any, file: str, content: bytes) -> None:
    hub.add(REPO, {file: content})
    with pytest.raises(UsageError) as caught:
        kind.from_pretrained(REPO)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_huge_file_is_not_fetched(hub: Hub) -> None:
    hub.add(REPO, {CONFIG: b"{}"})
    hub.repositories[REPO].claims_bytes = 10**12
    with pytest.raises(UsageError, match=r"has 1,000,000,000,000 bytes.* not fetched"):
        IPUConfig.from_pretrained(REPO)
    assert not [path for method, path in hub.requests if method == "GET"]


def test_a_large_file_is_fetched_and_refused(hub: Hub) -> None:
    hub.add(REPO, {CONFIG: _config(executable_cache_dir="x" * (1 << 20))})
    with pytest.raises(UsageError, match="more than 1,048,576 bytes"):
        IPUConfig.from_pretrained(REPO)


def test_what_was_fetched_before_is_read_without_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.add(REPO, {CONFIG: _config(seed=5)})
    assert IPUConfig.from_pretrained(REPO).seed == 5
    hub.faults["."] = (503, "down")
    assert IPUConfig.from_pretrained(REPO).seed == 5
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{revision}/{filename}")
    assert IPUConfig.from_pretrained(REPO).seed == 5
    with pytest.raises(UsageError, match=r"not in the local cache \(the Hub cannot be reached\)"):
        IPUConfig.from_pretrained("Graphcore/other")
    asked = len(hub.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert IPUConfig.from_pretrained(REPO, commit).seed == 5
    with pytest.raises(UsageError, match="the Hub is off: HF_HUB_OFFLINE"):
        IPUConfig.from_pretrained("Graphcore/other")
    assert len(hub.requests) == asked


@pytest.mark.parametrize(("status", "message"), [(401, "does not accept the token"), (403, "no permission")])
def test_what_the_hub_objects_to(hub: Hub, status: int, message: str) -> None:
    hub.faults["HEAD"] = (status, f"{TOKEN} is wrong")
    with pytest.raises(UsageError, match=f"{message}.*may read there") as caught:
        IPUConfig.from_pretrained(REPO)
    assert TOKEN not in str(caught.value)


def test_a_folder_comes_before_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    IPUConfig(seed=9).save_pretrained(REPO)
    assert IPUConfig.from_pretrained(REPO).seed == 9
    assert hub.requests == []


def test_the_environment_alone_is_enough(hub: Hub, tmp_path: Path) -> None:
    """Another process, with nothing replaced in it."""
    hub.add(REPO, {CONFIG: _config(layers_per_ipu=[3, 3])})
    code = f"from ipu_partition import IPUConfig; print(IPUConfig.from_pretrained({REPO!r}).layers_per_ipu)"
    env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    root = Path(__file__).parent.parent.parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=env, check=False)
    assert (run.stdout, run.returncode) == ("[3, 3]\n", 0), run.stderr
