"""Pushing, with huggingface_hub's own code talking to a Hub on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from huggingface_hub import constants

from ipu_partition.errors import UsageError
from ipu_partition.ipu_config import IPUConfig
from ipu_partition.plan import PartitionPlan

from .standin import TOKEN, Hub

REPO = "some-org/gpt2-medium-ipu"
THREE = ["README.md", "ipu_config.json", "ipu_partition_plan.json"]


def test_one_commit_with_what_the_folder_holds(plans: ModuleType, hub: Hub, tmp_path: Path) -> None:
    plan: PartitionPlan = plans.gpt2_medium()
    done = plan.push_to_hub(REPO)
    folder = {path.name: path.read_bytes() for path in plan.save_pretrained(tmp_path / "folder", repo=REPO)}
    (commit,) = hub.commits
    assert commit["files"] == folder
    assert commit["keys"] == ["header", "file", "file", "file"]
    assert hub.files(REPO) == {".gitattributes": b"", **folder}
    assert sorted(folder) == THREE
    assert done.files == tuple((name, len(folder[name])) for name in THREE)
    assert done.kept == ()
    assert done.url is not None
    assert done.url.startswith(f"{hub.url}/{REPO}/commit/")
    assert not hub.repositories[REPO].private
    assert f'IPUConfig.from_pretrained("{REPO}")'.encode() in folder["README.md"]


def test_what_was_pushed_is_read_back(plans: ModuleType, hub: Hub) -> None:
    plan = plans.gpt2_medium()
    plan.push_to_hub(REPO)
    assert PartitionPlan.from_pretrained(REPO) == plan
    assert IPUConfig.from_pretrained(REPO) == plan.ipu_config()


def test_code_is_pushed_only_where_the_configuration_cannot_say_the_cut(plans: ModuleType, hub: Hub) -> None:
    plans.deberta().push_to_hub(REPO)
    assert sorted(hub.commits[0]["files"]) == sorted([*THREE, "parallelize.py"])


@pytest.mark.parametrize("name", ["README.md", "readme.md"])
def test_a_readme_that_is_there_stays(plans: ModuleType, hub: Hub, name: str) -> None:
    there = {name: b"mine", "config.json": b"{}", "pytorch_model.bin": b"weights", "ipu_config.json": b"old"}
    hub.add(REPO, there)
    done = plans.gpt2_medium().push_to_hub(REPO)
    assert done.kept == ("README.md",)
    assert sorted(hub.commits[0]["files"]) == THREE[1:]
    after = hub.files(REPO)
    assert {n: after[n] for n in there if n != "ipu_config.json"} == {
        n: there[n] for n in there if n != "ipu_config.json"
    }
    assert after["ipu_config.json"] != b"old"


def test_a_readme_that_appears_meanwhile_stays(plans: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the list of files and the commit."""
    from huggingface_hub import HfApi

    hub.add(REPO, {})
    real = HfApi.create_commit

    def late(self: HfApi, *args: Any, **kwargs: Any) -> Any:
        hub.add(REPO, {"README.md": b"theirs"})
        return real(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", late)
    with pytest.raises(UsageError, match=r"somebody else changed it at the same time.*Try again"):
        plans.gpt2_medium().push_to_hub(REPO)
    assert hub.files(REPO) == {"README.md": b"theirs"}


def test_pushing_the_same_again_commits_nothing(plans: ModuleType, hub: Hub) -> None:
    plan = plans.gpt2_medium()
    plan.push_to_hub(REPO)
    done = plan.push_to_hub(REPO)
    assert len(hub.commits) == 1
    assert done.kept == ("README.md",)
    assert done.url is not None


def test_a_private_repository_a_new_branch_a_message_and_a_pull_request(plans: ModuleType, hub: Hub) -> None:
    plan = plans.gpt2_medium()
    plan.push_to_hub(REPO, private=True, revision="pod16", commit_message="For POD16")
    assert hub.repositories[REPO].private
    assert (hub.commits[0]["revision"], hub.commits[0]["summary"]) == ("pod16", "For POD16")
    assert "ipu_config.json" not in hub.files(REPO)
    done = plan.push_to_hub(REPO, create_pr=True)
    assert hub.commits[1]["pull"]
    assert done.url == f"{hub.url}/{REPO}/discussions/1"
    assert "ipu_config.json" not in hub.files(REPO)


def test_a_dry_run_touches_no_network(plans: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    done = plans.gpt2_medium().push_to_hub(REPO, dry_run=True)
    assert hub.requests == []
    assert [name for name, _ in done.files] == THREE
    assert done.url is None


@pytest.mark.parametrize(
    ("pattern", "status", "message"),
    [
        ("repos/create", 401, "does not accept the token.*hf auth login"),
        ("repos/create", 403, "no permission.*may write"),
        ("repos/create", 404, "no such repository"),
        ("/commit/", 403, "no permission"),
        ("/commit/", 404, "no such repository"),
        ("/commit/", 409, "busy with another change.*Try again"),
        ("/commit/", 412, "somebody else changed it"),
        ("/commit/", 413, "too large"),
        ("/commit/", 500, "a problem of its own"),
        ("GET /api/models", 403, "no permission"),
        ("validate-yaml", 400, "README"),
    ],
)
def test_what_the_hub_objects_to_is_one_plain_error(
    plans: ModuleType, hub: Hub, pattern: str, status: int, message: str
) -> None:
    hub.faults[pattern] = (status, f"The Hub says {TOKEN}\nand Bearer {TOKEN} twice")
    with pytest.raises(UsageError, match=message) as caught:
        plans.gpt2_medium().push_to_hub(REPO)
    _plain(str(caught.value))
    assert hub.commits == []


def _plain(text: str) -> None:
    assert TOKEN not in text
    assert "\n" not in text
    assert REPO in text
    assert len(text) < 500


def test_a_hub_that_does_not_answer(plans: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import get_session

    monkeypatch.setattr("ipu_partition.hub.publish.PATIENCE_S", 0.2)
    before = get_session().timeout
    hub.faults["repos/create"] = (0, "")
    with pytest.raises(UsageError, match="did not answer in time") as caught:
        plans.gpt2_medium().push_to_hub(REPO)
    _plain(str(caught.value))
    assert get_session().timeout == before


def test_a_hub_that_is_not_there(plans: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"Pushing to .* failed: .*refused") as caught:
        plans.gpt2_medium().push_to_hub(REPO)
    _plain(str(caught.value))


def test_what_is_no_hub_at_all(plans: ModuleType, hub: Hub) -> None:
    """A portal that answers everything with a page."""
    hub.faults["."] = (200, "Please accept our terms")
    with pytest.raises(UsageError, match="Pushing to"):
        plans.gpt2_medium().push_to_hub(REPO)


def test_without_a_token(plans: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UsageError, match=r"no token for the Hub.*hf auth login"):
        plans.gpt2_medium().push_to_hub(REPO)
    assert hub.requests == []
    assert plans.gpt2_medium().push_to_hub(REPO, token=TOKEN).url


@pytest.mark.parametrize("token", ["hf_Wrong", "no token\nX: y", "ü"])
def test_a_wrong_token_is_not_printed(plans: ModuleType, hub: Hub, token: str) -> None:
    with pytest.raises(UsageError) as caught:
        plans.gpt2_medium().push_to_hub(REPO, token=token)
    assert token not in str(caught.value)
    assert hub.commits == []


@pytest.mark.parametrize("known", [True, False])
def test_offline(plans: ModuleType, off: None, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """Whether or not the client was imported before the variable was set."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", known)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(UsageError, match=r"the Hub is off \(HF_HUB_OFFLINE\)"):
        plans.gpt2_medium().push_to_hub(REPO)
    assert plans.gpt2_medium().push_to_hub(REPO, dry_run=True).files


@pytest.mark.parametrize(
    "repo",
    ["", "gpt2-ipu", "a/b/c", "../b", "a/..", "a b/c", "a/b\n", "-a/b", "a/b.git", "a--b/c", "a/" + "b" * 100, "ä/b"],
)
def test_what_is_no_repository(plans: ModuleType, hub: Hub, repo: str) -> None:
    with pytest.raises(UsageError, match="is no name of a repository"):
        plans.gpt2_medium().push_to_hub(repo)
    assert hub.requests == []


@pytest.mark.parametrize("options", [{"revision": " "}, {"commit_message": ""}])
def test_empty_words(plans: ModuleType, hub: Hub, options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"has no name|is empty"):
        plans.gpt2_medium().push_to_hub(REPO, **options)
    assert hub.requests == []


def test_a_plan_that_does_not_fit_is_pushed_only_by_force(plans: ModuleType, hub: Hub) -> None:
    plan = plans.not_fitting()
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="IPU 1 lacks 349,748,480 bytes"):
            plan.push_to_hub(REPO, dry_run=dry_run)
    assert hub.requests == []
    plan.push_to_hub(REPO, force=True)
    assert b"**does not fit**: IPU 1 lacks 349,748,480 bytes" in hub.files(REPO)["README.md"]


def test_a_configuration_that_cannot_run_is_pushed_only_by_force(plans: ModuleType, hub: Hub) -> None:
    finding = {"mode": None, "field": "x", "text": "'x' is no field.", "fatal": True}
    data = plans.gpt2_medium().model_dump(mode="json") | {"checked": "file", "findings": [finding]}
    plan = PartitionPlan.model_validate(data)
    with pytest.raises(UsageError, match="cannot run: 'x' is no field"):
        plan.push_to_hub(REPO)
    assert plan.push_to_hub(REPO, force=True).url
    assert b"x' is no field." in hub.files(REPO)["README.md"].replace(b"&#39;", b"'")


def test_findings_without_a_plan_are_never_pushed(plans: ModuleType, hub: Hub) -> None:
    finding = {"mode": None, "field": "x", "text": "wrong", "fatal": True}
    data = plans.gpt2_medium().model_dump(mode="json") | {"training": None, "inference": None, "fits": False}
    plan = PartitionPlan.model_validate({**data, "checked": "file", "findings": [finding]})
    with pytest.raises(UsageError, match="nothing to write"):
        plan.push_to_hub(REPO, force=True)
    assert hub.requests == []


def test_a_stale_plan_is_pushed_only_by_force(plans: ModuleType, hub: Hub) -> None:
    data = plans.gpt2_medium().model_dump(mode="json")
    data["basis"]["rules"] = "0" * 16
    plan = PartitionPlan.model_validate(data)
    with pytest.raises(UsageError, match="The plan is stale: it was made with other rules"):
        plan.push_to_hub(REPO)
    assert plan.push_to_hub(REPO, force=True).url


def test_nothing_but_the_known_files_is_ever_sent(plans: ModuleType, hub: Hub) -> None:
    for make in plans.ALL.values():
        make().push_to_hub(REPO, force=True)
    sent = {name for commit in hub.commits for name in commit["files"]}
    assert sent == {*THREE, "parallelize.py"}
    assert not any("lfs" in path or "xet" in path for _, path in hub.requests)
    assert json.loads(hub.files(REPO)["ipu_config.json"])
