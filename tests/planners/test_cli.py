"""``python -m planners``: documents in, documents out, one line for whatever is wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from planners import (
    Device,
    Feasible,
    Optimal,
    Problem,
    Schedule,
    SharedGroup,
    Solution,
    Unit,
    cli,
    commands,
    evaluate,
    files,
    registry,
)
from planners.problem_json import to_dict, to_json

ROOT = Path(__file__).parent.parent.parent
TIED = Problem(
    units=(Unit("embedding", 2.0, 4.0, 10), Unit("layer", 8.0, 16.0, 20, 5), Unit("head", 3.0, 6.0, 0, 7)),
    devices=(Device(100), Device(90)),
    schedule=Schedule.TRAINING,
    groups=(SharedGroup("table", (0, 2), 30, colocate=True),),
)


@dataclass(frozen=True)
class Fake:
    """A planner for tests. It says what it is told to say."""

    answer: Any = None
    time_limit: float = 10.0

    def __call__(self, problem: Problem) -> Solution:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer if self.answer else Optimal((0, 1, 0), evaluate(problem, (0, 1, 0)), f"{self.time_limit}")


@pytest.fixture
def problem(tmp_path: Path) -> str:
    path = tmp_path / "problem.json"
    path.write_text(to_json(TIED))
    return str(path)


def fake(monkeypatch: pytest.MonkeyPatch, planner: Any) -> None:
    monkeypatch.setattr(registry, "parse", lambda spec: planner)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with code 2 and prints nothing else."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("planners: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


def test_a_problem_is_solved_and_the_solution_confirmed(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "solve", problem, "--planner", "brute")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["status"], document["assignment"]) == ("optimal", [0, 1, 0])
    assert document["seconds"] > 0
    solution = tmp_path / "solution.json"
    solution.write_text(out)
    code, out, err = run(capsys, "evaluate", problem, str(solution))
    assert (code, err) == (0, "")
    assert json.loads(out)["confirmed"]


def test_chain_is_the_default(problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", problem, "--time-limit", "5")
    assert (code, json.loads(out)["planner"], json.loads(out)["objective"]) == (0, "chain", 32.0)


def test_what_does_not_fit_has_its_own_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = tmp_path / "small.json"
    small.write_text(to_json(replace(TIED, devices=(Device(40),) * 2)))
    code, out, err = run(capsys, "solve", str(small), "--planner", "brute")
    assert (code, json.loads(out)["status"], err) == (3, "infeasible", "")
    solution = tmp_path / "solution.json"
    solution.write_text(out)
    code, out, _ = run(capsys, "evaluate", str(small), str(solution))
    assert (code, json.loads(out)["confirmed"], json.loads(out)["fits"]) == (3, True, False)


@pytest.mark.parametrize(
    ("solution", "code", "confirmed", "valid"),
    [
        ([0, 1, 0], 0, True, True),
        ({"assignment": [0, 1, 0]}, 0, True, True),
        ([0, 0, 1], 3, True, False),
        ([0, 1], 3, True, False),
        ({"assignment": [0, 1, 0], "status": "infeasible"}, 5, False, True),
        ({"assignment": [0, 0, 1], "status": "feasible"}, 5, False, False),
        ({"assignment": None, "status": "infeasible"}, 3, True, False),
    ],
)
def test_codes_of_the_judge(
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    solution: Any,
    code: int,
    confirmed: bool,
    valid: bool,
) -> None:
    path = tmp_path / "solution.json"
    path.write_text(json.dumps(solution))
    found, out, err = run(capsys, "evaluate", problem, str(path))
    document = json.loads(out)
    assert (found, document["confirmed"], document["valid"], err) == (code, confirmed, valid, "")
    assert document["format"] == "planning-judgement/1"


def test_documents_come_from_the_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, problem: str) -> None:
    def given(text: str) -> Any:
        return type("Stdin", (), {"buffer": Buffer(text.encode("utf-8-sig"))})

    class Buffer(io.BytesIO):
        def fileno(self) -> int:
            return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(sys, "stdin", given(to_json(TIED)))
    output = tmp_path / "solution.json"
    assert cli.main(["solve", "-", "--planner", "brute", "--output", str(output)]) == 0
    monkeypatch.setattr(sys, "stdin", given(output.read_text()))
    assert cli.main(["evaluate", problem, "-", "--output", str(tmp_path / "found.json")]) == 0


def test_output_replaces_the_file_at_once_or_not_at_all(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "solution.json"
    output.write_text("before")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "No space left" in refused(capsys, "solve", problem, "--planner", "brute", "--output", str(output))
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["problem.json", "solution.json"]
    monkeypatch.undo()
    assert run(capsys, "solve", problem, "--planner", "brute", "--output", str(output)) == (0, "", "")
    assert json.loads(output.read_text())["status"] == "optimal"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["problem.json", "solution.json"]


def test_output_follows_links_and_spares_devices(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    assert run(capsys, "solve", problem, "--planner", "brute", "--output", str(link))[0] == 0
    assert link.is_symlink()
    assert target.is_file()
    assert run(capsys, "solve", problem, "--planner", "brute", "--output", os.devnull)[0] == 0
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(("output", "words"), [("", "is a folder"), ("missing/s.json", "there is no such folder")])
def test_output_that_cannot_be_written_is_refused_before_solving(
    problem: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    words: str,
) -> None:
    monkeypatch.setattr(commands, "solve", lambda *_: pytest.fail("solved"))
    assert words in refused(capsys, "solve", problem, "--output", str(tmp_path / output))


def test_planners_are_listed_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    listed = dict(line.split(": ", 1) for line in out.splitlines())
    assert [key.split("{")[0] for key in listed] == list(registry.names())
    assert "brute{limit=1000000 time_limit=60.0}" in listed
    assert "uniform{layers=-1}" in listed
    assert all(listed.values())


def test_a_planner_that_cannot_be_loaded_is_listed_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "names", lambda: ("broken",))
    monkeypatch.setattr(registry, "load", lambda name: (_ for _ in ()).throw(ImportError("no module\nnamed x")))
    assert run(capsys, "list") == (0, "broken: cannot be loaded: no module named x\n", "")


def test_the_time_limit_reaches_the_planner(
    problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, Fake())
    assert json.loads(run(capsys, "solve", problem, "--time-limit", "2.5")[1])["planner"] == "2.5"
    fake(monkeypatch, Fake(time_limit=2.5))
    assert run(capsys, "solve", problem, "--time-limit", "2.5")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "arguments are required: COMMAND"),
        (["frob"], "invalid choice: 'frob'"),
        (["solve"], "arguments are required: PROBLEM"),
        (["solve", "PROBLEM", "--colour"], "unrecognized arguments: --colour"),
        (["solve", "PROBLEM", "--planner", "magic"], "there is no planner 'magic'"),
        (["solve", "PROBLEM", "--planner", "chain{"], "is not understood"),
        (["solve", "PROBLEM", "--planner", "brute{limit=1}"], "more than its limit of 1"),
        (["solve", "PROBLEM", "--time-limit", "soon"], "invalid float value: 'soon'"),
        (["solve", "PROBLEM", "--time-limit", "0"], "--time-limit is 0.0, expected a number of seconds above 0"),
        (["solve", "PROBLEM", "--time-limit", "nan"], "--time-limit is nan"),
        (["solve", "PROBLEM", "--time-limit", "inf"], "--time-limit is inf"),
        (["solve", "PROBLEM", "--time-limit", "3", "--planner", "brute{time_limit=4}"], "contradicts 'brute{time_lim"),
        (["evaluate", "PROBLEM"], "arguments are required: SOLUTION"),
        (["evaluate", "-", "-"], "cannot both be read from the standard input"),
        (["evaluate", "PROBLEM", "PROBLEM"], "the solution has unknown keys"),
        (["solve", "FOLDER"], "Is a directory"),
        (["solve", "FOLDER/missing\n.json"], "No such file or directory: '"),
    ],
)
def test_usage_is_explained_in_one_line(
    problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    places = {"PROBLEM": problem, "FOLDER": str(tmp_path)}
    given = [places.get(argument, argument.replace("FOLDER", str(tmp_path))) for argument in arguments]
    assert words in refused(capsys, *given)


def test_a_planner_without_time_limit_takes_none(
    problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, lambda problem: pytest.fail("asked"))
    monkeypatch.setattr(registry, "specification", lambda planner: "plain")
    assert "'plain' takes no time limit" in refused(capsys, "solve", problem, "--time-limit", "3")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON"),
        (b"\x7fELF\x02\xff\xfe", "is not UTF-8 text: byte 5"),
        (b"\x00" * 100, "is not JSON"),
        (b"[" * 1_000_000, "nested too deep"),
        (
            json.dumps({**to_dict(TIED), "units": "HERE"}).replace('"HERE"', "1e400").encode(),
            "units is inf, expected a",
        ),
        (json.dumps({**to_dict(TIED), "copy_us_per_byte": "HERE"}).replace('"HERE"', "NaN").encode(), "holds NaN"),
        (json.dumps({**to_dict(TIED), "devices": []}).encode(), "0 devices, expected 1 to 64"),
        (json.dumps({**to_dict(TIED), "copy_us_per_byte": -1}).encode(), "copy_us_per_byte is -1"),
        (json.dumps({**to_dict(TIED), "pins": [[0, 7]]}).encode(), "index 7 is out of range, expected 0 to 1"),
        (json.dumps({**to_dict(TIED), "a\nb\x1b": 1}).encode(), r"unknown keys ['a\nb\x1b']"),
    ],
)
def test_malformed_documents_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    path = tmp_path / "problem.json"
    path.write_bytes(content)
    assert words in refused(capsys, "solve", str(path))
    assert words in refused(capsys, "evaluate", str(path), str(path))


def test_an_enormous_file_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "huge.json"
    with open(path, "wb") as file:
        file.truncate(2**34)
    begin = time.perf_counter()
    assert f"has more than {2**28} bytes" in refused(capsys, "solve", str(path))
    assert time.perf_counter() - begin < 1.0
    monkeypatch.setattr(files, "MOST_FILE_BYTES", 1000)
    assert "has more than 1000 bytes" in refused(capsys, "solve", "/dev/zero")


def test_a_wrong_answer_is_the_planners_fault(
    problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, Fake(Feasible((0, 1, 0), evaluate(TIED, (0, 1, 0)), "fake", lower_bound=33.0)))
    code, out, err = run(capsys, "solve", problem)
    assert (code, out) == (1, "")
    assert "planner 'fake' gave an answer that the judge rejects: its lower bound 33.0 is above its value 32.0" in err


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ZeroDivisionError("of\nmine"), 1, "internal error: ZeroDivisionError: of mine"),
        (RecursionError("x" * 9999), 1, "internal error: RecursionError: xxx"),
        (ValueError("too large for me"), 2, "too large for me"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_planners_raise_is_told_in_one_line(
    problem: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    words: str,
) -> None:
    fake(monkeypatch, Fake(error))
    found, out, err = run(capsys, "solve", problem)
    assert (found, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert len(err) < 2100


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    assert left.value.code == 0
    assert "3 infeasible" in " ".join(capsys.readouterr().out.split())


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False, **options
    )


def test_as_a_module_it_needs_neither_torch_nor_ipus(problem: str) -> None:
    done = python("-m", "planners", "solve", "-", "--planner", "brute", input=to_json(TIED))
    assert (done.returncode, done.stderr, json.loads(done.stdout)["status"]) == (0, "", "optimal")
    code = (
        "import sys; from planners.cli import main; main(['list']); main(sys.argv[1:]);"
        "print([m for m in ('torch', 'transformers', 'ipu_partition', 'pydantic', 'networkx') if m in sys.modules],"
        "file=sys.stderr)"
    )
    done = python("-c", code, "solve", problem)
    assert done.stderr.strip() == "[]"


def test_a_reader_that_leaves_early_is_no_error(problem: str) -> None:
    command = f"{sys.executable} -m planners solve {problem} --planner brute | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1)
    assert done.stderr == ""


def test_an_interruption_is_told_in_one_line() -> None:
    code = (
        "import signal, sys; from planners.cli import main; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "print('ready', flush=True); sys.exit(main(['solve', '-']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (130, "", "planners: interrupted\n")


README = (ROOT / "planners" / "README.md").read_text()


def test_the_example_of_the_readme_is_solved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "problem.json"
    path.write_text(README.split("```json\n")[1].split("```")[0])
    code, out, _ = run(capsys, "solve", str(path), "--planner", "brute")
    assert (code, json.loads(out)["assignment"]) == (0, [0, 1, 0])


def keys(value: Any) -> set[str]:
    """Of all objects inside."""
    if isinstance(value, dict):
        return set(value).union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_the_readme_names_every_key(problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        **to_dict(TIED),
        "tensors": [{"name": "x", "producer": 0, "readers": [1], "bytes": 1, "gradient_bytes": 0}],
    }
    _, solution, _ = run(capsys, "solve", problem, "--planner", "brute")
    (tmp_path / "solution.json").write_text(solution)
    _, judgement, _ = run(capsys, "evaluate", problem, str(tmp_path / "solution.json"))
    for key in keys([document, json.loads(solution), json.loads(judgement)]) | {"proved"}:
        assert f"`{key}`" in README or f'"{key}"' in README, key
