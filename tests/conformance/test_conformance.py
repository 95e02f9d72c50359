"""What of the conformance suite needs no other environment; the suite itself is `make conformance`."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipu_partition.api import open_model, workshop
from ipu_partition.families import rules
from ipu_partition.plan import ModePlan
from ipu_partition.planned import plan_modes
from ipu_partition.request import Request
from ipu_partition.solve import Solved

from . import __main__ as suite
from . import cases
from . import environment as env
from .cases import WITHOUT_LOSS, Case, all_cases, cases_of
from .compare import compare, table
from .expected import unit_homes
from .jobs import JOBS, jobs_of, write_jobs
from .saved import document_homes, document_problems

HERE = Path(__file__).parent


def python(folder: Path, name: str, text: str) -> str:
    """An executable that stands for an interpreter."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return str(path)


def says(path: str, version: str) -> str:
    return f"echo {path}; echo {version}"


def test_python_3_8_is_preferred_and_shims_that_do_not_run_are_passed_over(tmp_path: Path) -> None:
    python(tmp_path / "bin", "python3.8", "echo 'pyenv: python3.8: command not found' >&2; exit 127")
    python(tmp_path / "bin", "python3.9", says("/real/3.9", "3.9.18"))
    environ = {"PATH": str(tmp_path / "bin") + os.pathsep + os.defpath}
    assert env.find_interpreter(environ, tmp_path) == env.Interpreter("/real/3.9", "3.9.18")
    for version in ("3.8.9", "3.8.18"):
        python(tmp_path / ".pyenv" / "versions" / version / "bin", "python3.8", says("/real/3.8", version))
    assert env.find_interpreter(environ, tmp_path).minor == 8
    python(tmp_path / "other" / "versions" / "3.8.1" / "bin", "python3.8", says("/other/3.8", "3.8.1"))
    environ["PYENV_ROOT"] = str(tmp_path / "other")
    assert env.find_interpreter(environ, tmp_path).path == "/other/3.8"


def test_a_named_interpreter_is_used_or_refused(tmp_path: Path) -> None:
    named = python(tmp_path, "mine", says("/mine", "3.10.2"))
    environ = {"PATH": os.defpath, env.PYTHON: named}
    assert env.find_interpreter(environ, tmp_path).minor == 10
    python(tmp_path, "mine", says("/mine", "3.13.0"))
    with pytest.raises(env.WrongInterpreterError, match=r"Python 3\.13\.0; expected"):
        env.find_interpreter(environ, tmp_path)
    with pytest.raises(env.WrongInterpreterError, match="no Python"):
        env.find_interpreter({**environ, env.PYTHON: str(tmp_path / "absent")}, tmp_path)


def test_without_an_interpreter_all_is_skipped_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(env, "MINORS", ())
    monkeypatch.delenv(env.PYTHON, raising=False)
    assert suite.main([]) == 0
    out = capsys.readouterr().out
    assert "SKIPPED" in out
    assert "No Python 3.8, 3.9, 3.10 or 3.11 was found" in out
    assert out.endswith("0 passed, 0 failed, 1 skipped\n")


@pytest.mark.parametrize("ci", ["true", ""])
def test_a_wrong_interpreter_that_is_named_is_a_failure_everywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv(env.PYTHON, str(tmp_path / "absent"))
    assert suite.main([]) == 1
    assert capsys.readouterr().out.endswith("0 passed, 1 failed\n")


def test_a_class_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main(["T5", "Nonsense"]) == 2
    out = capsys.readouterr().out
    assert "no case has 'Nonsense'" in out
    assert all(f"    {case.name}\n" in out for case in all_cases())


@pytest.mark.parametrize(
    ("ci", "code", "closing"),
    [
        *((ci, 1, "0 passed, 1 failed\n") for ci in ("true", "1", "True", "woodpecker")),
        *((ci, 0, "1 skipped\n") for ci in ("", "false", "0", "False")),
    ],
)
def test_an_environment_that_cannot_be_built_fails_ci_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: str, code: int, closing: str
) -> None:
    def broken(*_: object) -> Path:
        raise env.BuildError("no index")

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(suite, "environment", broken)
    assert suite.main([]) == code
    assert capsys.readouterr().out.endswith(closing)


def test_the_folder_depends_on_what_is_in_it_and_is_outside_of_the_checkout(tmp_path: Path) -> None:
    def place(requirements: bytes, version: str = "3.8.1", **environ: str) -> Path:
        return env.place(env.Interpreter("/p", version), requirements, environ, tmp_path)

    assert place(b"a") == place(b"a")
    assert len({place(b"a"), place(b"b"), place(b"a", "3.9.1")}) == 3
    assert place(b"a").parent == tmp_path / ".cache" / "ipu-partition"
    assert place(b"a", XDG_CACHE_HOME="/x").parent == Path("/x/ipu-partition")
    assert place(b"a", **{env.CACHE: "/y"}).parent == Path("/y")
    with pytest.raises(env.BuildError, match="outside"):
        place(b"a", **{env.CACHE: str(env.CHECKOUT / "build")})


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Builds an environment of a shell script; the argument is what happens after it was written."""
    named = python(tmp_path, "python", says("/mine", "3.8.1"))
    environ = {"PATH": os.defpath, env.PYTHON: named, env.CACHE: str(tmp_path / "cache")}

    def run(then: str) -> Path:
        def fill(_: env.Interpreter, folder: Path, __: object) -> None:
            python(folder / "bin", "python", "exit 0")
            if then == "interrupt":
                raise KeyboardInterrupt
            assert then == "go on", "built again"

        monkeypatch.setattr(env, "_fill", fill)
        return env.environment(environ, tmp_path)

    return run


def test_an_environment_is_built_once(build: Callable[[str], Path]) -> None:
    built = build("go on")
    assert build("never") == built
    assert built.parent.parent.name.startswith("conformance-")


def test_an_interrupted_build_is_never_used(build: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build("interrupt")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
    built = build("go on")
    folder = built.parent.parent
    (folder / env.COMPLETE).unlink()  # as if it had been killed
    left = folder.parent / f"{folder.name}.part-left"
    left.mkdir()
    assert env.ready(folder) is None
    assert build("go on") == built
    assert env.ready(folder) == built
    assert not left.exists()


def test_a_damaged_environment_is_built_again(build: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    built = build("go on")
    python(built.parent, "python", "echo torch is 2.1.0 >&2; exit 1")
    assert build("go on") == built
    assert "is damaged: torch is 2.1.0" in capsys.readouterr().out


def _installed(folder: Path) -> Path:
    """A package as installers leave it."""
    (folder / "thing.py").write_bytes(b"x = 1\n")
    info = folder / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "RECORD").write_text("thing.py,,6\nthing-1.0.dist-info/RECORD,,\n")
    return info


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda info: None, ""),
        (lambda info: (info / "METADATA").write_text("Name: thing\nVersion: 2.0\n"), "thing is 2.0, expected 1.0"),
        (lambda info: (info.parent / "thing.py").write_bytes(b"x"), "thing.py of thing is damaged"),
        (lambda info: (info.parent / "thing.py").unlink(), "thing.py"),
        (lambda info: (info / "RECORD").unlink(), "thing has no list of files"),
        (lambda info: (info / "METADATA").unlink(), "thing"),
        (lambda info: info.rename(info.parent / "gone"), "thing"),
    ],
)
def test_every_damage_is_found(tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(_installed(tmp_path))
    command = [sys.executable, "-S", "-c", env._CHECK, "thing==1.0"]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert (ran.returncode != 0) == bool(said)
    assert said in ran.stderr


def test_what_pip_says_is_told(tmp_path: Path) -> None:
    broken = python(tmp_path, "python", "echo Could not find a version; exit 1")
    with pytest.raises(env.BuildError, match=r"failed with exit code 1:\n  Could not find a version"):
        env._fill(env.Interpreter(broken, "3.8.1"), tmp_path / "part", os.environ)


def test_every_requirement_is_pinned() -> None:
    lines = [line for line in env.REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.match(r"[A-Za-z0-9._-]+==[0-9.]+(; |$)", line) for line in lines)
    assert {"optimum-graphcore==0.7.1", "transformers==4.29.2", "torch==2.0.1"} <= set(lines) & set(env.pins())
    markers = {marker.strip() for line in lines if (marker := line.partition(";")[2])}
    assert markers == {'sys_platform == "linux" and platform_machine == "x86_64"'}  # what env.pins() knows
    assert not any(";" in pin for pin in env.pins())


def test_every_class_of_the_table_is_compared() -> None:
    assert {case.rule.architecture for case in all_cases()} == {rule.architecture for rule in rules()}
    for case in all_cases():
        assert {target for target, _ in case.plans} >= {"optimum"}
    assert {8} <= {plan["ipus"] for case in all_cases() for _, plan in case.plans}


def test_the_classes_without_a_loss_are_still_there() -> None:
    assert set(WITHOUT_LOSS) <= {rule.architecture for rule in rules()}


def test_known_differences_say_why() -> None:
    rows = [row for section in table().values() if isinstance(section, list) for row in section]
    assert rows
    assert all(row["why"] for row in rows)


def test_the_host_half_is_python_3_8_and_never_imports_the_project() -> None:
    for file in (HERE / "host").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 8))
        assert not re.search(r"^\s*(from|import) ipu_partition", text, re.MULTILINE)


def _small_case() -> Case:
    (rule,) = (rule for rule in rules() if rule.architecture == "GPT2LMHeadModel")
    first = next(cases_of(rule))
    return Case(rule, first.model, first.config, first.shapes, (("poptorch", {"ipus": 2, "mode": "training"}),))


@pytest.fixture(scope="module")
def planned() -> tuple[ModePlan, Solved]:
    """A part of a document, and what it is of."""
    case = _small_case()
    ((target, keywords),) = case.plans
    request = Request(target=target, task=case.rule.task, config=case.config, **case.shapes, **keywords)  # type: ignore[arg-type]
    requests = dict.fromkeys(request.modes, request)
    (one,) = plan_modes(workshop(open_model(case.model, requests), suggests=False), requests).values()
    return one.plan, one.solved


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """A job and its run, both in this environment: the plain model of the Transformers that was traced."""
    folder = tmp_path_factory.mktemp("jobs")
    write_jobs({0: _small_case()}, folder)
    standin = env.CHECKOUT / "ipu_partition" / "verify"
    command = [sys.executable, str(HERE / "host" / "run.py"), str(standin), str(folder / JOBS), str(folder / "report")]
    subprocess.run(command, check=True, env={**os.environ, **suite._ONE_THREAD})
    (job,), (run,) = json.loads((folder / JOBS).read_text()), json.loads((folder / "report").read_text())
    return job, run


def test_plan_and_host_agree(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    job, run = both
    compared = compare(run, job)
    assert compared.problems == []
    assert compared.parameters > 50
    assert compared.calls > 50
    assert {ipu for _, ipus in run["parameters"] for ipu in ipus} == {0, 1}
    assert len(job["modes"]["training"]["checkpoints"]) == len(run["checkpoints"]) > 1
    assert job["problems"] == []


def _moved_parameter(run: dict[str, Any]) -> None:
    run["parameters"][3][1] = [1 - run["parameters"][3][1][0]]


def _both_ipus(run: dict[str, Any]) -> None:
    run["parameters"][3][1] = [0, 1]


def _moved_call(run: dict[str, Any]) -> None:
    run["calls"][7][1][0][0] += 1


def _moved_stage(run: dict[str, Any]) -> None:
    run["calls"][7][1][0][1] += 1


def _second_call(run: dict[str, Any]) -> None:
    run["calls"][7][1].append(run["calls"][7][1][0])


def _never_called(run: dict[str, Any]) -> None:
    run["calls"][7][1].clear()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_never_called, "is called on (IPU, stage) [], the plan says [("),
        (lambda run: run["checkpoints"].pop(), "is not kept, the plan says so"),
        (lambda run: run["checkpoints"].append(["lm_head"]), "the output of lm_head is kept, the plan does not say so"),
        *(
            (lambda run, name=name: run["options"].update({name: "other"}), f"option {name} is other, the plan says")
            for name in (
                "gradient accumulation",
                "replication factor",
                "device iterations",
                "memory proportions",
                "half partials",
                "optimizer state off chip",
                "replicated tensor sharding",
            )
        ),
        (_moved_parameter, "is read on IPUs"),
        (_both_ipus, "is read on IPUs [0, 1]"),
        (_moved_call, "is called on (IPU, stage)"),
        (_moved_stage, "is called on (IPU, stage)"),
        (_second_call, "is called on (IPU, stage)"),
        (lambda run: run["parameters"].append([["new.weight"], [0]]), "new.weight is read on IPUs [0], the plan does"),
        (lambda run: run["parameters"].pop(0), "is not on the host"),
        (lambda run: run["calls"].append([["new"], [[0, 0]]]), "module new is called"),
        (lambda run: run["calls"].append([["transformer.h.0.new"], [[3, 3]]]), "the plan has transformer.h.0 on"),
        (lambda run: run.update(rules=[["stage-order", "text"]]), "rule stage-order: text"),
        (lambda run: run.update(files=["a wrong file"]), "a wrong file"),
        (lambda run: run.update(again=False), "otherwise than before"),
        (lambda run: run.update(error="Traceback\nKeyError: 'x'"), "raised KeyError: 'x'"),
    ],
)
def test_every_difference_is_found(
    both: tuple[dict[str, Any], dict[str, Any]], change: Callable[[dict[str, Any]], object], said: str
) -> None:
    job, run = copy.deepcopy(both)
    change(run)
    problems = compare(run, job).problems
    assert len(problems) == 1
    assert said in problems[0]


def test_a_module_that_the_host_replaces_may_be_left_uncalled_and_nothing_else(
    both: tuple[dict[str, Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, run = copy.deepcopy(both)
    row = {"side": "plain", "classes": "GPT2.*", "module": re.escape(run["calls"][7][0][0]), "why": "as a test"}
    monkeypatch.setitem(table(), "no_calls", [row])
    _moved_call(run)
    assert len(compare(run, job).problems) == 1
    _never_called(run)
    assert compare(run, job).problems == []
    run["calls"][8][1].clear()
    assert len(compare(run, job).problems) == 1


def test_a_cut_for_the_optimum_class_alone_must_be_refused(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    job, run = copy.deepcopy(both)
    job["modes"]["training"]["optimum_only"] = True
    assert "raised nothing, expected PlanMismatchError" in compare(run, job).problems[0]
    run["error"] = "Traceback\nparallelize.PlanMismatchError: lacks a module"
    assert compare(run, job).problems == []


def _other(parts: list[Any], index: int, **values: object) -> None:
    """The parts of a document are frozen; its lists are not."""
    parts[index] = parts[index].model_copy(update=values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: _other(plan.stages, 0, ipu=1 - plan.stages[0].ipu), "the stages are on"),
        (lambda plan: plan.stages[0].units.pop(), "the stages do not have every unit once"),
        (lambda plan: plan.stages[0].modules.pop(), "stage 0 has the modules"),
        (lambda plan: plan.stages[1].modules.append("lm_head"), "stage 1 has the modules"),
        (lambda plan: _other(plan.blocks, 0, ipu=1 - plan.blocks[0].ipu), "is on IPU"),
        (lambda plan: plan.blocks.clear(), "the blocks are on the IPUs [0] in turn, expected [0, 1"),
        (lambda plan: _other(plan.ipus, 1, cycle_us=0.0), "the IPUs [0] have work, expected [0, 1]"),
    ],
)
def test_every_difference_of_the_document_is_found(
    planned: tuple[ModePlan, Solved], change: Callable[[ModePlan], object], said: str
) -> None:
    plan, solved = planned[0].model_copy(deep=True), planned[1]
    homes = unit_homes(solved)
    assert document_problems(plan, solved, homes) == []
    assert document_homes(plan) == homes
    change(plan)
    assert any(said in problem for problem in document_problems(plan, solved, homes))


def test_a_mode_that_is_lost_and_a_wrong_document_fail_the_case(
    both: tuple[dict[str, Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job, run = copy.deepcopy(both)
    assert suite._tallies([job], [run])["GPT2LMHeadModel"].failed == 0
    job["problems"] = ["a wrong stage"]
    tally = suite._tallies([job], [run])["GPT2LMHeadModel"]
    assert (tally.runs, tally.failed) == (2, 1)
    assert "the saved document: a wrong stage" in tally.problems[0]
    monkeypatch.setattr(cases, "WITHOUT_LOSS", ("GPT2LMHeadModel",))
    (job,) = jobs_of(_small_case(), tmp_path)
    assert job["problems"] == ["['training'] are planned, expected []"]
