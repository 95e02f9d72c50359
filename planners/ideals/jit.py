"""Numba behind one decorator."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from ..registry import PlannerError

COMPILED = ("jit.py", "words.py", "rows.py", "sweep.py")
Function = TypeVar("Function", bound=Callable[..., Any])


def entry(function: Function) -> Function:
    """Compiled when first called, without the interpreter's lock; kept on disk where a folder can be written.

    PlannerError where Numba is not installed.
    """
    try:
        function.__qualname__ += _digest()
        return cast(Function, load().njit(function, cache=True, nogil=True))
    except (OSError, RuntimeError):
        return cast(Function, load().njit(function, nogil=True))


def compiled(function: Function) -> Function:
    """Compiled as part of what calls it; nothing else can call it."""
    return cast(Function, load().njit(function, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True))


def load() -> ModuleType:
    """Numba. PlannerError where it is not installed."""
    check()
    import numba

    module: ModuleType = numba
    return module


def check() -> None:
    """PlannerError where Numba is not installed; at once, while to load it takes half a second."""
    try:
        found = find_spec("numba")
    except ValueError:
        found = None
    if found is None:
        raise PlannerError("planner 'ideals' needs numba, which is not installed; pip install 'ipu-partition[graphs]'")


@cache
def _digest() -> str:
    """Of all that is compiled: Numba itself notices changes of one file, not of those that it is compiled with."""
    found = sha256()
    for name in COMPILED:
        found.update((Path(__file__).parent / name).read_bytes())
    return "_" + found.hexdigest()[:16]
