"""The environment of the host half: an interpreter that PopTorch's time knew, with the real packages, kept in a cache.

Imports the standard library alone. As a command it prints the interpreter of the environment, which it builds first
where there is none: `python -m tests.conformance.environment`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
REQUIREMENTS = HERE / "requirements.txt"
PYTHON = "IPU_PARTITION_CONFORMANCE_PYTHON"
"""Environment variable: the interpreter to use, and no other."""
CACHE = "IPU_PARTITION_CONFORMANCE_CACHE"
"""Environment variable: the folder that environments are kept in."""
MINORS = (8, 9, 10, 11)
"""Of the Python versions that torch 2.0.1 and Transformers 4.29.2 have wheels for, best first."""
COMPLETE = "complete.json"
_PROBE = (
    "import sys, venv, ensurepip; assert sys.implementation.name == 'cpython'; "
    "print(sys.executable); print('.'.join(map(str, sys.version_info[:3])))"
)
_CHECK = """
import os, sys
from importlib.metadata import distribution
for pin in sys.argv[1:]:
    name, _, version = pin.partition("==")
    found = distribution(name)
    if found.version != version:
        sys.exit(f"{name} is {found.version}, expected {version}")
    for file in found.files or sys.exit(f"{name} has no list of files"):
        if file.size is not None and os.path.getsize(found.locate_file(file)) != file.size:
            sys.exit(f"{file} of {name} is damaged")
"""
"""Fails where a package is of another version, or a file of it is not there as it was installed."""
_IMPORTS = "import torch, transformers, optimum.graphcore; print(torch.__version__, transformers.__version__)"
_INTERFERING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_CONSTRAINT")


class NoInterpreterError(Exception):
    """No usable Python 3.8 to 3.11 is here."""


class BuildError(Exception):
    """The environment could not be built."""


class WrongInterpreterError(BuildError):
    """What the user names is no usable Python 3.8 to 3.11."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that can make virtual environments."""

    path: str
    version: str

    @property
    def minor(self) -> int:
        return int(self.version.split(".")[1])


def find_interpreter(environ: Mapping[str, str], home: Path) -> Interpreter:
    """The one that the environment names, else the first that works, Python 3.8 before 3.9, and so on.

    Raises NoInterpreterError, and WrongInterpreterError where the one that is named is none.
    """
    if named := environ.get(PYTHON):
        found = probe(named, environ)
        if found is None or found.minor not in MINORS:
            what = "no Python that makes virtual environments" if found is None else f"Python {found.version}"
            raise WrongInterpreterError(f"{PYTHON} is {named!r}, {what}; expected a Python 3.8, 3.9, 3.10 or 3.11.")
        return found
    for minor in MINORS:
        for path in candidates(minor, environ, home):
            found = probe(path, environ)
            if found is not None and found.minor == minor:
                return found
    raise NoInterpreterError(
        f"No Python 3.8, 3.9, 3.10 or 3.11 was found in PATH or with pyenv; {PYTHON} can name one."
    )


def candidates(minor: int, environ: Mapping[str, str], home: Path) -> list[str]:
    """Paths under which a Python 3.`minor` may be, the ones in PATH first."""
    name = f"python3.{minor}"
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    roots = dict.fromkeys([Path(environ["PYENV_ROOT"])] if environ.get("PYENV_ROOT") else [home / ".pyenv"])
    roots.setdefault(home / ".pyenv")
    made = [v / "bin" / name for root in roots for v in sorted(root.glob(f"versions/3.{minor}.*"), reverse=True)]
    there = [str(path) for path in (*(folder / name for folder in folders), *made) if os.access(path, os.X_OK)]
    this = [sys._base_executable] if sys.version_info[:2] == (3, minor) else []  # type: ignore[attr-defined]
    return list(dict.fromkeys([*this, *there]))


def probe(path: str, environ: Mapping[str, str]) -> Interpreter | None:
    """What is at `path`, or None where it does not run or cannot make virtual environments (a shim of pyenv, say)."""
    try:
        ran = subprocess.run(
            [path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60, env=_clean(environ)
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    lines = ran.stdout.split("\n")
    return None if ran.returncode or len(lines) < 2 else Interpreter(lines[0], lines[1])


def place(interpreter: Interpreter, requirements: bytes, environ: Mapping[str, str], home: Path) -> Path:
    """The folder of the environment: another for other requirements and another interpreter. BuildError where it would
    be inside the checkout."""
    digest = hashlib.sha256(requirements)
    digest.update(f"\0{interpreter.path}\0{interpreter.version}\0{platform.machine()}".encode())
    cache = environ.get(CACHE) or Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "ipu-partition"
    folder = Path(cache).expanduser().absolute() / f"conformance-{digest.hexdigest()[:16]}"
    if CHECKOUT in folder.resolve().parents:
        raise BuildError(f"{CACHE} puts the environment into the checkout ({folder}); expected a folder outside of it.")
    return folder


def ready(folder: Path) -> Path | None:
    """The interpreter of the environment in `folder` if it is complete and whole, else None."""
    python = folder / "bin" / "python"
    if not (folder / COMPLETE).is_file() or not os.access(python, os.X_OK):
        return None
    ran = subprocess.run([python, "-I", "-c", _CHECK, *pins()], capture_output=True, text=True)
    if ran.returncode:
        say(f"{folder} is damaged: {[ran.returncode, *ran.stderr.strip().splitlines()][-1]}")
    return None if ran.returncode else python


def pins() -> list[str]:
    """`name==version` of every requirement on this machine."""
    lines = [line.partition(";") for line in REQUIREMENTS.read_text(encoding="ascii").splitlines() if line[:1] != "#"]
    here = (sys.platform, platform.machine()) == ("linux", "x86_64")
    return [pin.strip() for pin, _, marker in lines if pin and (here or not marker)]


def environment(environ: Mapping[str, str], home: Path) -> Path:
    """The interpreter of an environment with the requirements, built where there is none.

    Raises NoInterpreterError and BuildError.
    """
    interpreter = find_interpreter(environ, home)
    folder = place(interpreter, REQUIREMENTS.read_bytes(), environ, home)
    if found := ready(folder):
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            return ready(folder) or _build(interpreter, folder, environ)
    except OSError as error:
        raise BuildError(f"{folder} cannot be written ({error}); {CACHE} can name another folder.") from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder at a time; the system lifts the lock of a process that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(interpreter: Interpreter, folder: Path, environ: Mapping[str, str]) -> Path:
    """Under another name first, so that a folder that is there is whole."""
    for left in (folder, *folder.parent.glob(f"{folder.name}.part-*")):
        shutil.rmtree(left, ignore_errors=True)
    say(f"building {folder} with Python {interpreter.version}, once: about 2 GB are downloaded, 4 GB are kept")
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    try:
        _fill(interpreter, part, environ)
        (part / COMPLETE).write_text(json.dumps({"python": interpreter.version}) + "\n", encoding="ascii")
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder / "bin" / "python"


def _fill(interpreter: Interpreter, folder: Path, environ: Mapping[str, str]) -> None:
    python = str(folder / "bin" / "python")
    pip = [python, "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--quiet"]
    _run([interpreter.path, "-I", "-m", "venv", str(folder)], environ, "making a virtual environment")
    where = "installing from the package index (is it reachable?)"
    _run([*pip, "--no-deps", "--only-binary=:all:", "--requirement", str(REQUIREMENTS)], environ, where)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import poptorch_standin as p; p.install(); " + _IMPORTS
    standin = str(CHECKOUT / "ipu_partition" / "verify")
    _run([python, "-I", "-B", "-c", script, standin], environ, "importing optimum.graphcore")


def _run(command: Sequence[str], environ: Mapping[str, str], what: str) -> None:
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_clean(environ))
    if ran.returncode:
        last = "\n  ".join(ran.stdout.strip().splitlines()[-8:])
        raise BuildError(f"{what} failed with exit code {ran.returncode}:\n  {last}")


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would mix other packages in."""
    return {name: value for name, value in environ.items() if name not in _INTERFERING}


def say(text: str) -> None:
    print(f"conformance: {text}", flush=True)


if __name__ == "__main__":
    try:
        print(environment(os.environ, Path.home()))
    except (NoInterpreterError, BuildError) as problem:
        sys.exit(f"conformance: {problem}")
